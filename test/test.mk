# `make test`: every step below in this order, each even if one before it failed, then one line
# with the counts of all. STEP:N lets make run N jobs at once within the step.
TEST_STEPS := deps tools:2 unit-tests:2 test-sys-native test-core-links test-lock-order test-sys-matrix \
	test-sys-debug test-soak test-sys-clang test-sys-pc test-pc-devices test-cli ports:2 test-ports check-format tidy

test:
	@python3 $(S)/test/all.py $(TEST_STEPS)

# The system tests; `make test-sys-ufork NAMES="fork_return pipe_basics"` runs some of them.
NAMES ?=
CPUS ?=
.PHONY: test-sys-native test-sys-ufork test-sys-clang test-sys-pc test-pc-devices test-cli \
	test-core-links
test-sys-native: tools
	@python3 $(S)/test/run.py --build $(O) --system native $(NAMES)
test-sys-ufork: tools
	@python3 $(S)/test/run.py --build $(O) --system ufork $(if $(CPUS),--cpus $(CPUS)) $(if $(DEBUG),--debug) $(NAMES)
# All of them with 1, 2 and 8 virtual CPUs, whatever the host has.
.PHONY: test-sys-matrix
test-sys-matrix: tools
	@status=0; for cpus in 1 2 8; do \
	  python3 $(S)/test/run.py --build $(O) --system ufork --cpus $$cpus $(NAMES) || status=1; done; exit $$status
test-sys-clang: tools
	@python3 $(S)/test/run.py --build $(O) --system ufork --compiler clang $(NAMES)
test-sys-pc: tools image $(O)/test/pc-runner
	@python3 $(S)/test/run.py --build $(O) --system pc $(NAMES)
test-pc-devices: tools image $(O)/test/pc-devices
	@python3 $(S)/test/pc_devices.py $(O)
$(O)/test/pc-runner $(O)/test/pc-devices: $(O)/test/pc-%: $(S)/test/pc/%.c | tools
	@mkdir -p $(@D)
	$(O)/bin/ufork-cc -std=gnu11 -O2 -Wall -Wextra -Werror $< -o $@
test-cli: tools
	@python3 $(S)/test/cli.py --build $(O) $(NAMES)
test-core-links: $(O)/obj/kern/hosted/kernel-core.o
	@python3 $(S)/test/core-links.py $< $(S)/kernel/plat.h

# Everything at once at random, two minutes; an hour (SECONDS=N) on each of CPUS=N,N... with `make soak`.
SEED ?=
.PHONY: test-soak soak
test-soak: tools
	@python3 $(S)/test/soak.py --build $(O) $(if $(SEED),--seed $(SEED)) $(if $(DEBUG),--debug)
soak: tools
	@python3 $(S)/test/soak.py --build $(O) --seconds $(or $(SECONDS),3600) $(if $(CPUS),--cpus $(CPUS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(DEBUG),--debug)

# A kernel that checks how locks are taken: the tests in which threads meet, or NAMES. `make
# test-sys-debug NAMES=all` runs all of them.
DEBUG_TESTS := $(patsubst $(S)/test/sys/%.c,%,$(wildcard $(addprefix $(S)/test/sys/,thread*.c sig_*.c \
	fork_thread.c fork_again_frozen.c fork_storm.c futex*.c pipe_*.c unix_*.c tcp*.c epoll*.c exec_thread.c \
	wait_*.c sysv_*.c pty.c timer*.c signalfd.c fs_locks.c fs_rename.c mm_map.c vfork.c posix_ipc.c)))
.PHONY: test-sys-debug test-lock-order
test-sys-debug: tools $(O)/bin/ufork-debug
	@python3 $(S)/test/run.py --build $(O) --system ufork --debug --cpus 2 \
	  $(if $(filter all,$(NAMES)),,$(or $(NAMES),$(DEBUG_TESTS)))
test-lock-order:
	@python3 $(S)/test/lock_order.py

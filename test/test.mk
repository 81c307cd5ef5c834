# `make test`: every step below in this order, each even if one before it failed, then one line
# with the counts of all. STEP:N lets make run N jobs at once within the step.
TEST_STEPS := deps tools:2 test-build unit-tests:2 test-sys-native test-core-links test-lock-order test-sys-matrix \
	test-sys-debug test-soak test-sys-clang test-sys-pc test-sys-pc-cpus test-pc-devices test-pc-loaders \
	test-pc-stacks test-cli ports:2 test-ports test-faas test-faas-python check-format tidy

test:
	@python3 $(S)/test/all.py $(TEST_STEPS)

# The system tests; `make test-sys-ufork NAMES="fork_return pipe_basics"` runs some of them. CPUS=N is
# the number of (virtual) CPUs; on pc it is 2 if not given, and `make test` runs with other counts what
# has most to do with them, `make test-sys-pc-all` everything.
NAMES ?=
CPUS ?=
PC_CPUS_NAMES := cpu_limit cpu_times cpus_parallel cpus_spread cpus_tlb epoll_many exec_thread exec_vfork \
	fork_atfork fork_beside \
	fork_bomb fork_generations fork_server fork_shared fork_snapshot fork_storm fork_thaw fork_thread fork_tree fpu_state \
	futex_private futex_shared mm_secret pipe_atomic pipe_pingpong pipe_spin preempt sig_preempt sig_storm \
	sig_thread spawn tcp_fork_server thread_cancel thread_cond thread_exit thread_mutex_shared threads timers \
	unix_eof unix_last_words unix_stream vfork wait_which
.PHONY: test-sys-native test-sys-ufork test-sys-clang test-sys-pc test-sys-pc-cpus test-sys-pc-all \
	test-pc-devices test-pc-loaders test-pc-stacks test-cli test-core-links
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
	@python3 $(S)/test/run.py --build $(O) --system pc $(if $(CPUS),--cpus $(CPUS)) $(NAMES)
test-sys-pc-cpus: tools image $(O)/test/pc-runner
	@python3 $(S)/test/run.py --build $(O) --system pc --cpus 1 $(PC_CPUS_NAMES)
	@python3 $(S)/test/run.py --build $(O) --system pc --cpus 8 $(PC_CPUS_NAMES)
test-sys-pc-all: tools image $(O)/test/pc-runner
	@bad=; for n in 1 2 3 8; do \
	  python3 $(S)/test/run.py --build $(O) --system pc --cpus $$n $(NAMES) || bad=1; done; test -z "$$bad"
test-pc-devices: tools image $(O)/test/pc-devices
	@python3 $(S)/test/pc_devices.py $(O)
test-pc-loaders: tools image $(O)/test/pc-place
	@python3 $(S)/test/pc_loaders.py $(O)
test-pc-stacks: tools image $(O)/test/pc/selftest.elf $(O)/test/pc-spin
	@python3 $(S)/test/pc_stacks.py $(O)
$(O)/test/pc-runner $(O)/test/pc-devices $(O)/test/pc-place $(O)/test/pc-spin: $(O)/test/pc-%: $(S)/test/pc/%.c | tools
	@mkdir -p $(@D)
	$(O)/bin/ufork-cc -std=gnu11 -O2 -Wall -Wextra -Werror $< -o $@
test-cli: tools
	@python3 $(S)/test/cli.py --build $(O) $(NAMES)
# Functions in Python behind ufaas, on Linux and on uFork.
.PHONY: test-faas-python
test-faas-python: tools image ufaas port-base port-python3 port-python3-native
	@python3 $(S)/test/faas_python.py --build $(O) $(NAMES)
.PHONY: test-build
test-build:
	@python3 $(S)/test/build.py
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
	fork_thread.c fork_beside.c fork_snapshot.c fork_again_frozen.c fork_storm.c futex*.c pipe_*.c unix_*.c tcp*.c epoll*.c exec_thread.c \
	wait_*.c sysv_*.c pty.c timer*.c signalfd.c fs_locks.c fs_rename.c mm_map.c vfork.c posix_ipc.c)))
.PHONY: test-sys-debug test-lock-order
test-sys-debug: tools $(O)/bin/ufork-debug
	@python3 $(S)/test/run.py --build $(O) --system ufork --debug --cpus 2 \
	  $(if $(filter all,$(NAMES)),,$(or $(NAMES),$(DEBUG_TESTS)))
test-lock-order:
	@python3 $(S)/test/lock_order.py

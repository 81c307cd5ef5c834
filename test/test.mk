# `make test`: every step below in this order, each even if one before it failed, then one line
# with the counts of all. STEP:N lets make run N jobs at once within the step.
TEST_STEPS := deps tools:2 unit-tests:2 test-sys-native test-core-links test-sys-ufork \
	test-sys-clang test-sys-pc test-sys-pc-cpus test-pc-devices test-pc-loaders test-cli ports:2 test-ports \
	check-format tidy

test:
	@python3 $(S)/test/all.py $(TEST_STEPS)

# The system tests; `make test-sys-ufork NAMES="fork_return pipe_basics"` runs some of them. On pc the
# machine has CPUS CPUs; with other counts `make test` runs what has most to do with them, and
# `make test-sys-pc-all` everything.
NAMES ?=
CPUS ?= 2
PC_CPUS_NAMES := cpu_limit cpu_times cpus_parallel cpus_tlb epoll_many exec_thread exec_vfork fork_atfork \
	fork_bomb fork_generations fork_server fork_shared fork_storm fork_thaw fork_thread fork_tree fpu_state \
	futex_private futex_shared mm_secret pipe_atomic pipe_pingpong pipe_spin preempt sig_preempt sig_storm \
	sig_thread spawn tcp_fork_server thread_cancel threads timers unix_stream vfork wait_which
.PHONY: test-sys-native test-sys-ufork test-sys-clang test-sys-pc test-sys-pc-cpus test-sys-pc-all \
	test-pc-devices test-pc-loaders test-cli test-core-links
test-sys-native: tools
	@python3 $(S)/test/run.py --build $(O) --system native $(NAMES)
test-sys-ufork: tools
	@python3 $(S)/test/run.py --build $(O) --system ufork $(NAMES)
test-sys-clang: tools
	@python3 $(S)/test/run.py --build $(O) --system ufork --compiler clang $(NAMES)
test-sys-pc: tools image $(O)/test/pc-runner
	@python3 $(S)/test/run.py --build $(O) --system pc --cpus $(CPUS) $(NAMES)
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
$(O)/test/pc-runner $(O)/test/pc-devices $(O)/test/pc-place: $(O)/test/pc-%: $(S)/test/pc/%.c | tools
	@mkdir -p $(@D)
	$(O)/bin/ufork-cc -std=gnu11 -O2 -Wall -Wextra -Werror $< -o $@
test-cli: tools
	@python3 $(S)/test/cli.py --build $(O) $(NAMES)
test-core-links: $(O)/obj/kern/hosted/kernel-core.o
	@python3 $(S)/test/core-links.py $< $(S)/kernel/plat.h

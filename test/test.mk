# `make test`: every step below in this order, each even if one before it failed, then one line
# with the counts of all. STEP:N lets make run N jobs at once within the step.
TEST_STEPS := deps tools:2 unit-tests:2 test-sys-native test-core-links test-sys-ufork \
	test-sys-clang test-sys-pc test-pc-devices test-pc-loaders test-cli ports:2 test-ports check-format tidy

test:
	@python3 $(S)/test/all.py $(TEST_STEPS)

# The system tests; `make test-sys-ufork NAMES="fork_return pipe_basics"` runs some of them.
NAMES ?=
.PHONY: test-sys-native test-sys-ufork test-sys-clang test-sys-pc test-pc-devices test-pc-loaders test-cli \
	test-core-links
test-sys-native: tools
	@python3 $(S)/test/run.py --build $(O) --system native $(NAMES)
test-sys-ufork: tools
	@python3 $(S)/test/run.py --build $(O) --system ufork $(NAMES)
test-sys-clang: tools
	@python3 $(S)/test/run.py --build $(O) --system ufork --compiler clang $(NAMES)
test-sys-pc: tools image $(O)/test/pc-runner
	@python3 $(S)/test/run.py --build $(O) --system pc $(NAMES)
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

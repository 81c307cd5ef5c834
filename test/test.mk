# `make test`: every step below in this order, each even if one before it failed, then one line
# with the counts of all. STEP:N lets make run N jobs at once within the step.
TEST_STEPS := deps tools:2 unit-tests:2 test-sys-native
TEST_STEPS += check-format

test:
	@python3 $(S)/test/all.py $(TEST_STEPS)

# The system tests; `make test-sys-ufork NAMES="fork_return pipe_eof"` runs some of them.
NAMES ?=
.PHONY: test-sys-native test-sys-ufork
test-sys-native:
	@python3 $(S)/test/run.py --build $(O) --system native $(NAMES)
test-sys-ufork: tools
	@python3 $(S)/test/run.py --build $(O) --system ufork $(NAMES)

# µFork. `make run` shows the main job, `make test` passes the tests; `make help` lists the rest.
# Every folder with something to build has a fragment FOLDER/NAME.mk that is included here.

BUILD ?= build
override O := $(abspath $(if $(filter command,$(origin O)),$(O),$(BUILD)))
S := $(CURDIR)
export O S

# V=1 shows every command; without it, a line for each file that is compiled or linked.
ifeq ($(V),)
.SILENT:
SAY = printf '  %-6s%s\n' CC '$(@:$(O)/%=%)';
endif
CC = $(SAY) gcc
CLANG = $(SAY) clang-14
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS_COMMON := -std=gnu11 -O2 -g -I$(S)/include -MMD -MP $(WARN)

# Programs and libraries of the host (tools): $(O)/obj/host/DIR/FILE.o
CFLAGS_HOST := $(CFLAGS_COMMON)

# What is compiled with the variables FLAGS_NAME (% is any text) depends on $(O)/flags/NAME, which is written when their
# contents are others than the last time. Without one the flags count as those of what is there.
FLAGS_host := CC CFLAGS_HOST CFLAGS_toolchain_% CFLAGS_verifier_%

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all run test bench ports clean deps help check-format tidy

all: deps tools

deps:
	@$(S)/scripts/deps.sh

# Fragments add to `tools` (what users call, in $(O)/bin) and to `unit-tests`.
.PHONY: tools unit-tests
tools:
unit-tests:

include $(wildcard lib/*.mk toolchain/*.mk verifier/*.mk kernel/*.mk kernel/test/*.mk plat/*/*.mk user/*.mk \
	ports/*.mk test/*.mk bench/*.mk bench/*/*.mk)

# Stripped, since make 4.3 does not always take off the end of line.
flags-now = $(strip $(foreach v,$(sort $(filter $(FLAGS_$(1)),$(.VARIABLES))),$(v)=$(subst $(SAY),,$($(v)))))
flags-then = $(strip $(file <$(O)/flags/$(1)))
flags-write = $(file >$(O)/flags/$(1),$(flags-now))
flags-first = $(shell mkdir -p $(O)/flags)$(flags-write)$(shell touch -d @1 $(O)/flags/$(1))
flags-check = $(if $(wildcard $(O)/flags/$(1)),\
	$(if $(subst x$(flags-now)x,,x$(flags-then)x),$(flags-write)),$(flags-first))
$(foreach n,$(patsubst FLAGS_%,%,$(filter FLAGS_%,$(.VARIABLES))),$(call flags-check,$(n)))
$(O)/flags/%: ; $(call flags-first,$*)

$(O)/obj/host/%.o: $(S)/%.c $(O)/flags/host
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_HOST) $(CFLAGS_$(subst /,_,$(dir $*))) -c $< -o $@

# Targets have absolute names; this makes the short one of the same file a target as well.
.PHONY: always
$(O:$(S)/%=%)/%: always ; @test '$(O)' = '$(O:$(S)/%=%)' || $(MAKE) --no-print-directory $(O)/$*

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)

clean:
	rm -rf $(O)

check-format:
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')

tidy:
	@$(S)/scripts/tidy.py

help:
	@echo 'make          build the tools into $(BUILD)/bin (V=1 shows every command)'
	@echo 'make run      the main job: Redis snapshots by fork, nginx and functions, on uFork and on Linux'
	@echo 'make test     all tests'
	@echo 'make soak     an hour of everything at once (SECONDS=N CPUS=N,N... SEED=N DEBUG=1)'
	@echo 'make ports    programs from unmodified sources into $(BUILD)/rootfs'
	@echo 'make test-python  tests of CPython itself, on uFork and on Linux (half an hour)'
	@echo 'make image    the kernel for bare x86-64: build/bin/ufork-pc.elf'
	@echo 'make bench    all experiments (QUICK=1: under 5 minutes; ONLY="hello nginx": some)'
	@echo 'make tidy     clang-tidy over all sources'
	@echo 'make bench-sfi  cost of the sandboxing on CPU-bound code'

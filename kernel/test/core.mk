# Unit tests of sched, time, proc and signal on the fake platform.

CFLAGS_FAKE := -std=gnu11 -O1 -g -fno-strict-aliasing -MMD -MP $(WARN) -I$(S) -I$(S)/include \
	-I$(S)/kernel/test/fake
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
FLAGS_tests := CC WARN CFLAGS_FAKE SANITIZE%

FAKE_SRC := kernel/test/fake/plat.c kernel/klog.c lib/fmt.c lib/spin.c
# Contexts of the C library confuse the address sanitizer: the scheduler goes without.
SANITIZE_test_sched := -fsanitize=undefined -fno-sanitize-recover=undefined
SRC_test_sched := $(wildcard kernel/sched/*.c) kernel/time/timer.c
SRC_test_timer := kernel/time/timer.c kernel/test/no_sched.c
SRC_test_pid := kernel/proc/pid.c kernel/test/no_sched.c
SRC_test_sigqueue := kernel/signal/pending.c kernel/test/no_sched.c
SRC_test_fork_time := kernel/proc/fork_time.c kernel/test/no_sched.c

CORE_TESTS := test_sched test_timer test_pid test_sigqueue test_fork_time

define core_test
$(O)/test/kernel/$(1): $(S)/kernel/test/$(1).c $(addprefix $(S)/,$(SRC_$(1)) $(FAKE_SRC)) $(O)/flags/tests \
		$(wildcard $(S)/kernel/*/*.h $(S)/kernel/*.h $(S)/kernel/test/fake/*.h)
	@mkdir -p $$(@D)
	$$(CC) $(filter-out -MMD -MP,$(CFLAGS_FAKE)) $(or $(SANITIZE_$(1)),$(SANITIZE)) \
		$$(filter %.c,$$^) -pthread -o $$@
endef
$(foreach t,$(CORE_TESTS),$(eval $(call core_test,$(t))))

# The same code under the thread sanitizer: the scheduler with four CPUs, then what many threads use.
# It does not know fences; ours order a store before a load (who sleeps, who wakes) and publish nothing.
# $(1): program; $(2): its sources
define race_test
$(O)/test/kernel/$(1): $(addprefix $(S)/,$(2) $(FAKE_SRC)) $(O)/flags/tests $(wildcard $(S)/kernel/*/*.h $(S)/kernel/*.h \
		$(S)/lib/*.h $(S)/kernel/test/fake/*.h)
	@mkdir -p $$(@D)
	$$(CC) $(filter-out -MMD -MP -DKMALLOC_DEBUG,$(CFLAGS_FAKE)) -fsanitize=thread -Wno-tsan $$(filter %.c,$$^) -pthread -o $$@
endef
$(eval $(call race_test,race_sched,kernel/test/test_sched.c $(SRC_test_sched)))
$(eval $(call race_test,race_core,kernel/test/race_core.c kernel/mm/kmalloc.c kernel/time/timer.c \
	kernel/proc/pid.c kernel/test/no_sched.c))


RACE_TESTS := race_sched race_core
.PHONY: test-tsan
unit-tests: test-tsan
test-tsan: $(RACE_TESTS:%=$(O)/test/kernel/%)
	set -e; for t in $(RACE_TESTS); do \
	  TSAN_OPTIONS=halt_on_error=1 timeout 600 $(O)/test/kernel/$$t 4; done

# The library under other names, beside the C library's.
$(O)/test/kernel/string.o: $(S)/lib/string.c $(O)/flags/kern-hosted
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_KERN) $(foreach f,memcpy memmove memset memcmp memchr strlen strnlen strcmp \
		strncmp strchr strrchr str_copy,-D$(f)=uf_$(f)) -I$(S)/kernel/test/fake -c $< -o $@
$(O)/test/kernel/test_string: $(S)/kernel/test/test_string.c $(O)/test/kernel/string.o $(O)/flags/tests
	$(CC) $(CFLAGS_FAKE) $(filter %.c %.o,$^) -o $@

# doc/syscalls.md is generated; the tests say when it is out of date.
.PHONY: syscalls-doc core-unit-tests
syscalls-doc:
	$(S)/kernel/syscall/gendoc.py $(S)/kernel/syscall/table.def $(S)/doc/syscalls.md

unit-tests: core-unit-tests
core-unit-tests: $(addprefix $(O)/test/kernel/,$(CORE_TESTS) test_string)
	$(S)/kernel/syscall/gendoc.py $(S)/kernel/syscall/table.def $(O)/test/kernel/syscalls.md
	diff $(S)/doc/syscalls.md $(O)/test/kernel/syscalls.md || { echo 'run make syscalls-doc'; false; }
	timeout 600 $(O)/test/kernel/test_string
	timeout 600 $(O)/test/kernel/test_timer
	timeout 600 $(O)/test/kernel/test_pid
	timeout 600 $(O)/test/kernel/test_sigqueue
	timeout 600 $(O)/test/kernel/test_fork_time
	timeout 600 $(O)/test/kernel/test_sched 1
	timeout 600 $(O)/test/kernel/test_sched 4

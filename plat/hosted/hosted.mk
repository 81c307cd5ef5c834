# The platform `hosted`: build/bin/ufork, the kernel core and all µprocesses in one Linux process.

# Runs between a µprocess's gate call and its return: freestanding, general registers only.
hosted-kern-src := $(patsubst $(S)/%,%,$(filter-out %/main.c %/options.c,$(wildcard $(S)/plat/hosted/*.c $(S)/plat/x86/*.c)))
# Runs before the kernel does: on libc.
hosted-libc-src := plat/hosted/main.c plat/hosted/options.c \
	$(patsubst $(S)/%,%,$(wildcard $(S)/plat/hosted/vm/*.c))

hosted-objs := $(hosted-kern-src:%.c=$(O)/obj/kern/hosted/%.o) \
	$(O)/obj/kern/hosted/plat/hosted/idle.o $(O)/obj/kern/hosted/plat/hosted/behind-gate.o $(O)/obj/kern/hosted/plat/x86/entry.o
hosted-libc-objs := $(hosted-libc-src:%.c=$(O)/obj/hosted-libc/%.o)

FLAGS_hosted-libc := CC CFLAGS_COMMON
$(O)/obj/hosted-libc/%.o: $(S)/%.c $(O)/flags/hosted-libc
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_COMMON) -D_GNU_SOURCE -fPIE -I$(S) -I$(S)/plat/hosted -I$(S)/plat/x86 -c $< -o $@

$(O)/bin/ufork: $(hosted-libc-objs) $(hosted-objs) $(O)/obj/kern/hosted/kernel-core.o
	@mkdir -p $(@D)
	$(CC) -pie -Wl,-z,now,-z,relro,-z,noexecstack -pthread -o $@ $^

# The same with a debug kernel, which `make DEBUG=1` uses instead (kernel/sched/lock_check.h).
hosted-debug-objs := $(patsubst $(O)/obj/kern/hosted/%,$(O)/obj/kern/hosted-debug/%,$(hosted-objs))
$(O)/bin/ufork-debug: $(hosted-libc-objs) $(hosted-debug-objs) $(O)/obj/kern/hosted-debug/kernel-core.o
	@mkdir -p $(@D)
	$(CC) -pie -Wl,-z,now,-z,relro,-z,noexecstack -pthread -o $@ $^

.PHONY: ufork
ufork: $(O)/bin/ufork
tools: $(O)/bin/ufork $(if $(DEBUG),$(O)/bin/ufork-debug)

# ---- tests: regions on libc, with a sanitizer whose shadow memory leaves the arena alone -----------

hosted-region-src := $(addprefix plat/hosted/,region.c region_end.c parked.c region_fork.c region_usage.c slots.c extent.c \
	pool.c seg.c seg_absorb.c seg_fork.c seg_share.c seg_spare.c seg_claim.c seg_written.c stand_in.c early.c written.c \
	seg_thaw.c thaw.c memobj.c pagemap.c test/support.c test/page_model.c) lib/spin.c

hosted-region-tests := $(addprefix $(O)/test/hosted/,region_test warm_test ahead_test spare_test stand_in_test claim_test)
$(hosted-region-tests): $(O)/test/hosted/%: plat/hosted/test/%.c $(hosted-region-src) \
		$(wildcard plat/hosted/*.h plat/hosted/test/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -fno-strict-aliasing -I$(S) -I$(S)/include \
	  -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	  -DARENA_LO=0x200000000000UL -DALIAS_LO=0x110000000000UL \
	  '-DSETTLED_SEGMENT=(1u<<20)' -DZYGOTE_FORKS=3 \
	  '-DABSORB_FROM=(3u<<20)' '-DCLAIM_PART=(256ul<<10)' -DLATER_LOOKS=2 -DALL_ANEW=20 $(filter %.c,$^) -pthread -o $@

# The thread sanitizer takes memory of the program to be below 512 GiB, or near the top.
$(O)/test/hosted/race_region: plat/hosted/test/race_region.c $(hosted-region-src) \
		$(wildcard plat/hosted/*.h plat/hosted/test/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -fno-strict-aliasing -I$(S) -I$(S)/include -fsanitize=thread -Wno-tsan \
	  -DALIAS_LO=0x800000000UL -DARENA_LO=0x2000000000UL -DARENA_HI=0x7000000000UL \
	  '-DSETTLED_SEGMENT=(1u<<20)' '-DABSORB_FROM=(3u<<20)' $(filter %.c,$^) -pthread -o $@
.PHONY: test-tsan-region
test-tsan: test-tsan-region
test-tsan-region: $(O)/test/hosted/race_region
	TSAN_OPTIONS=halt_on_error=1 timeout 600 $(O)/test/hosted/race_region

$(O)/test/hosted/clock_test: plat/hosted/test/clock_test.c plat/hosted/clock.c $(wildcard plat/hosted/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g $(WARN) -fno-strict-aliasing -I$(S) -I$(S)/include -I$(S)/plat/hosted -I$(S)/plat/x86 \
	  -pthread $(filter %.c,$^) -o $@

$(O)/test/hosted/pages_test: plat/hosted/test/pages_test.c plat/hosted/pages.c lib/spin.c $(wildcard plat/hosted/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -fno-strict-aliasing -I$(S) -I$(S)/include -I$(S)/plat/hosted \
	  -fsanitize=undefined -fno-sanitize-recover=undefined $(filter %.c,$^) -o $@

$(O)/test/hosted/pairing_test: plat/hosted/test/pairing_test.c plat/hosted/pairing.h kernel/test/fake/check_once.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -I$(S) -fsanitize=undefined -fno-sanitize-recover=undefined $< -o $@

$(O)/test/hosted/together_test: plat/hosted/test/together_test.c plat/hosted/test/tcp.c plat/hosted/together.c \
		$(wildcard plat/hosted/*.h plat/hosted/test/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -D_GNU_SOURCE -fno-strict-aliasing -I$(S) -I$(S)/include -I$(S)/plat/hosted \
	  -I$(S)/plat/x86 -pthread $(filter %.c,$^) -o $@

$(O)/test/hosted/behind_test: plat/hosted/test/behind_test.c plat/hosted/behind.c \
		$(wildcard plat/hosted/*.h plat/hosted/test/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -D_GNU_SOURCE -fno-strict-aliasing -mno-red-zone -I$(S) -I$(S)/include -I$(S)/plat/hosted \
	  -I$(S)/plat/x86 -pthread $(filter %.c,$^) -o $@

hosted-other-tests := $(addprefix $(O)/test/hosted/,clock_test pages_test pairing_test together_test behind_test)
$(hosted-region-tests) $(O)/test/hosted/race_region $(hosted-other-tests): $(O)/flags/tests

.PHONY: hosted-unit-tests
unit-tests: hosted-unit-tests
hosted-unit-tests: $(hosted-region-tests) $(hosted-other-tests)
	timeout 600 $(O)/test/hosted/pairing_test
	timeout 600 $(O)/test/hosted/together_test
	timeout 600 $(O)/test/hosted/behind_test
	timeout 600 $(O)/test/hosted/clock_test
	timeout 600 $(O)/test/hosted/pages_test
	timeout 600 $< auto 1 12000
	timeout 600 $< lazy 2 12000
	timeout 600 $< eager 3 6000
	timeout 600 $< copy 4 6000
	timeout 600 $(O)/test/hosted/warm_test
	timeout 600 $(O)/test/hosted/ahead_test
	timeout 600 $(O)/test/hosted/spare_test
	timeout 600 $(O)/test/hosted/stand_in_test
	timeout 600 $(O)/test/hosted/claim_test
	timeout 600 $(O)/test/hosted/claim_test old

# ---- tests of pc's memory, on libc: physical memory is a mapping, a software MMU does the accesses --

pc-mem-src := $(addprefix plat/pc/,frames.c page.c pagetable.c tlb.c table.c slots.c objmap.c memobj.c hotset.c \
	region.c region_table.c region_fault.c region_fork.c region_warm.c region_usage.c \
	test/support.c test/mmu.c test/audit.c) lib/spin.c

$(O)/test/pc/region_test: plat/pc/test/region_test.c $(pc-mem-src) \
		$(wildcard plat/pc/*.h plat/pc/test/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -fno-strict-aliasing -I$(S) -I$(S)/include -I$(S)/plat/pc/test \
	  -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	  -DDIRECT_LO=0x300000000000UL -DREGION_AREA_HI=0x12000000000UL -DFRAMES_CHECK -DSCARCE_MAX=20 $(filter %.c,$^) -o $@

# Several threads; slots enough for all, memory where the thread sanitizer allows it.
$(O)/test/pc/race_test: plat/pc/test/race_test.c $(pc-mem-src) \
		$(wildcard plat/pc/*.h plat/pc/test/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -fno-strict-aliasing -I$(S) -I$(S)/include -I$(S)/plat/pc/test \
	  -fsanitize=thread -pthread -DDIRECT_LO=0x4000000000UL -DREGION_AREA_HI=0x18000000000UL \
	  $(filter %.c,$^) -o $@

# Without optimization: the compiler shall not use the registers that are looked at.
$(O)/test/pc/page_test: plat/pc/test/page_test.c plat/pc/page.c plat/pc/page.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O0 -g $(WARN) -I$(S) -I$(S)/include -DDIRECT_LO=0 $< -o $@

$(O)/test/pc/kstack_test: plat/pc/test/kstack_test.c plat/pc/kstack.c lib/spin.c $(wildcard plat/pc/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -fno-strict-aliasing -I$(S) -I$(S)/include -I$(S)/plat/pc \
	  -fsanitize=undefined -fno-sanitize-recover=undefined -DSTACK_LO=0x300000000000UL $(filter %.c,$^) -o $@

pc-mem-tests := $(addprefix $(O)/test/pc/,region_test race_test page_test kstack_test)
$(pc-mem-tests): $(O)/flags/tests

.PHONY: pc-mem-unit-tests
unit-tests: pc-mem-unit-tests
# Seeds: odd ones with few mappings; 3 CPUs, or 1 where bit 1 is set.
pc-mem-unit-tests: $(pc-mem-tests)
	$(O)/test/pc/page_test
	timeout 600 $(O)/test/pc/kstack_test
	timeout 600 $< 1 8000
	timeout 600 $< 2 8000
	timeout 600 $< 3 8000
	timeout 600 $< 4 8000
	TSAN_OPTIONS=halt_on_error=1 timeout 600 $(O)/test/pc/race_test 1 3000

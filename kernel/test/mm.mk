# Unit tests of kernel/mm on the fake platform and fake regions.

SRC_mm_kmalloc := kernel/mm/kmalloc.c kernel/test/no_sched.c
SRC_mm_uio := $(addprefix kernel/mm/,usercopy.c uio.c kmalloc.c space.c vma.c fault.c) \
	kernel/test/fake/region.c kernel/test/no_files.c kernel/test/no_images.c kernel/test/no_sched.c
SRC_mm_space := $(addprefix kernel/mm/,mmap.c brk.c mremap.c madvise.c mlock.c) $(SRC_mm_uio)
SRC_mm_window := kernel/mm/window.c kernel/mm/kmalloc.c kernel/test/no_sched.c
SRC_mm_image := $(addprefix kernel/mm/,image.c image_load.c image_cache.c image_setup.c window.c \
	usercopy.c uio.c kmalloc.c space.c vma.c fault.c) kernel/test/fake/region.c \
	kernel/test/no_files.c kernel/test/no_sched.c $(VERIFIER_LIB_SRC)
CFLAGS_FAKE += -DKMALLOC_DEBUG

MM_TESTS := mm_kmalloc mm_uio mm_space mm_window mm_image
$(foreach t,$(MM_TESTS),$(eval $(call core_test,$(t))))

.PHONY: mm-unit-tests
unit-tests: mm-unit-tests
mm-unit-tests: $(MM_TESTS:%=$(O)/test/kernel/%)
	set -e; for t in $^; do timeout 600 $$t; done

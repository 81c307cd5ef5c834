# Unit tests of the drivers of platform pc: the real code on the host, against devices that the test
# plays, with the fakes and sanitizers of kernel/test.

PC_VIRTIO_SRC := plat/pc/virtio/virtqueue.c plat/pc/virtio/virtio.c plat/pc/virtio/drivers.c \
	plat/pc/virtio/rng.c plat/pc/virtio/blk.c plat/pc/virtio/net.c plat/pc/virtio/console.c \
	plat/pc/virtio/9p.c $(patsubst $(S)/%,%,$(wildcard $(S)/plat/pc/p9/*.c)) plat/pc/netdev.c \
	plat/pc/test/fakedev.c plat/pc/test/entropy.c
PC_P9_SRC := $(PC_VIRTIO_SRC) plat/pc/test/p9server.c plat/pc/test/p9_env.c

# $(1): test; $(2): its sources beside plat/pc/test/$(1).c
define pc_test
$(O)/test/pc/$(1): $(addprefix $(S)/,$(2) $(FAKE_SRC)) $(O)/flags/tests $(wildcard $(S)/plat/pc/*.h $(S)/plat/pc/*/*.h \
		$(S)/kernel/*/*.h $(S)/kernel/test/fake/*.h)
	@mkdir -p $$(@D)
	$$(CC) $(filter-out -MMD -MP,$(CFLAGS_FAKE)) $(SANITIZE) $$(filter %.c,$$^) \
		-pthread -o $$@
endef
$(eval $(call pc_test,p9_test,plat/pc/test/p9_test.c $(PC_P9_SRC) $(FS_TEST_SRC)))
$(eval $(call pc_test,p9_model,kernel/test/fs_model.c plat/pc/test/p9_model.c $(PC_P9_SRC) $(FS_TEST_SRC)))
$(eval $(call pc_test,virtio_test,plat/pc/test/virtio_test.c $(PC_VIRTIO_SRC) $(FS_TEST_SRC)))
$(eval $(call pc_test,random_test,plat/pc/test/random_test.c kernel/test/no_sched.c))
$(eval $(call pc_test,mmio_test,plat/pc/test/mmio_test.c kernel/test/no_sched.c))
$(O)/test/pc/cpulist_test: $(addprefix $(S)/plat/pc/,test/cpulist_test.c cpulist.c cpulist.h) $(O)/flags/tests
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g $(WARN) -I$(S) -I$(S)/include $(SANITIZE) $(filter %.c,$^) -o $@

.PHONY: pc-unit-tests
unit-tests: pc-unit-tests
pc-unit-tests: $(addprefix $(O)/test/pc/,p9_test p9_model virtio_test mmio_test random_test \
		cpulist_test)
	timeout 600 $(O)/test/pc/cpulist_test
	timeout 600 $(O)/test/pc/random_test
	timeout 600 $(O)/test/pc/mmio_test
	timeout 600 $(O)/test/pc/virtio_test
	timeout 600 $(O)/test/pc/p9_test
	timeout 600 $(O)/test/pc/p9_model 1 12000 /h 0
	timeout 600 $(O)/test/pc/p9_model 2 12000 /h 0

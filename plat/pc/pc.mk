# The platform `pc`: build/bin/ufork-pc.elf, the kernel core on bare x86-64, booted through PVH.


# Folders of sources; tests lie elsewhere.
pc-dirs := plat/pc plat/pc/virtio plat/pc/p9 plat/pc/net plat/x86
pc-src := $(patsubst $(S)/%,%,$(wildcard $(addprefix $(S)/,$(addsuffix /*.c,$(pc-dirs)))))
pc-asm := plat/pc/boot.S plat/pc/ap.S plat/pc/interrupt.S plat/x86/entry.S
pc-objs := $(pc-src:%.c=$(O)/obj/kern/pc/%.o) $(pc-asm:%.S=$(O)/obj/kern/pc/%.o) $(pc-lwip-objs)
pc-lds := $(S)/plat/pc/kernel.lds
# The loader of Firecracker and Cloud Hypervisor refuses segments with a smaller alignment than 2 MiB.
pc-link = $(CC) -nostdlib -static -no-pie -Wl,-T,$(pc-lds) -Wl,-z,max-page-size=0x200000 \
	-Wl,--build-id=none -Wl,--no-warn-rwx-segments

# The whole kernel as machine code: here the compiler optimises across files (LTO_DIRS).
$(O)/obj/kern/pc/kernel.o: $(pc-objs) $(KERN_SRC:%.c=$(O)/obj/kern/pc/%.o)
	$(CC) -O2 -g $(CFLAGS_PLAT_pc) -flto=2 -Wno-maybe-uninitialized -flinker-output=nolto-rel -nostdlib -r -o $@ $^

# $(1): the ELF file, $(2): folder for what it is made of, $(3): objects beside those of every image. Linked
# twice: the names of the functions are known after the first time.
define pc_image
$(2)/unnamed.elf: $(O)/obj/kern/pc/kernel.o $(3) $(pc-lds)
	@mkdir -p $$(@D)
	$$(pc-link) -o $$@ $(O)/obj/kern/pc/kernel.o $(3)

$(2)/symbols.S: $(2)/unnamed.elf $(S)/plat/pc/symbols.py
	python3 $(S)/plat/pc/symbols.py $$< $$@

$(1): $(2)/symbols.S $(2)/unnamed.elf
	@mkdir -p $$(@D)
	$$(CC) -c $$< -o $(2)/symbols.o
	$$(pc-link) -o $$@ $(O)/obj/kern/pc/kernel.o $(3) $(2)/symbols.o
endef
$(eval $(call pc_image,$(O)/bin/ufork-pc.elf,$(O)/obj/kern/pc,))
# With kernel bugs on demand (plat/pc/test/selftest.c).
$(eval $(call pc_image,$(O)/test/pc/selftest.elf,$(O)/obj/kern/pc/selftest,$(O)/obj/kern/pc/plat/pc/test/selftest.o))

.PHONY: image
image: $(O)/bin/ufork-pc.elf
tools: image

# The kernel core, freestanding, for one platform: $(O)/obj/kern/PLAT/kernel-core.o
# Nothing of the host's headers or libraries is reachable from it.

KERN_SRC := $(sort $(filter-out kernel/test/%,$(patsubst $(S)/%,%,$(wildcard $(S)/kernel/*.c \
	$(S)/kernel/*/*.c $(S)/lib/*.c))))
# The verifier's library is part of the trusted base and of the kernel.
KERN_SRC += $(VERIFIER_LIB_SRC)

CFLAGS_KERN := -std=gnu11 -O2 -g -ffreestanding -nostdinc -isystem $(shell gcc -print-file-name=include) \
	-fno-stack-protector -fno-strict-aliasing -fcf-protection=none -mgeneral-regs-only -mno-red-zone -fno-omit-frame-pointer \
	-fno-tree-loop-distribute-patterns -fno-common -MMD -MP $(WARN) -I$(S) -I$(S)/include

# The C compiler's way of addressing the kernel, where it is not the default; pc needs no frame
# pointers for its backtraces (plat/pc/backtrace.c), and no stack aligned to 16 bytes, since nothing in
# it uses vector registers. What short system calls run through is optimised across files there, when it
# is linked; lib/ is not, so that the compiler may copy and clear a few words in place.
CFLAGS_PLAT_pc = -mcmodel=kernel -fno-pic -fno-pie -fomit-frame-pointer -mpreferred-stack-boundary=3 \
	$(if $(filter $(LTO_DIRS),$(dir $*)),-flto)
LTO_DIRS := kernel/sched/ kernel/proc/ kernel/signal/ kernel/mm/ kernel/ipc/ plat/pc/ plat/x86/

# $(1): platform
# A debug kernel has the same folders, objects of its own, and checks: of locks, of freed memory.
CFLAGS_PLAT_hosted-debug := -I$(S)/plat/hosted -DLOCK_CHECK -DKMALLOC_DEBUG
define kern_rules
FLAGS_kern-$(1) := CC CFLAGS_KERN% CFLAGS_PLAT_$(1)
$(O)/obj/kern/$(1)/%.o: $(S)/%.c $(O)/flags/kern-$(1)
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS_KERN) -I$(S)/plat/$(1) -I$(S)/plat/x86 $$(CFLAGS_PLAT_$(1)) \
	  $$(CFLAGS_KERN_$$(subst /,_,$$(dir $$*))) -c $$< -o $$@

$(O)/obj/kern/$(1)/%.o: $(S)/%.S $(O)/flags/kern-$(1)
	@mkdir -p $$(@D)
	$$(CC) -I$(S) -I$(S)/include -MMD -MP -c $$< -o $$@

$(O)/obj/kern/$(1)/kernel-core.o: $(KERN_SRC:%.c=$(O)/obj/kern/$(1)/%.o)
	$$(CC) -nostdlib -r -o $$@ $$^
endef
$(eval $(call kern_rules,hosted))
$(eval $(call kern_rules,hosted-debug))
$(eval $(call kern_rules,pc))
FLAGS_kern-pc += LTO_DIRS

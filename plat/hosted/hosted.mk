# The platform `hosted`: build/bin/ufork, the kernel core and all µprocesses in one Linux process.

# Runs between a µprocess's gate call and its return: freestanding, general registers only.
hosted-kern-src := $(patsubst $(S)/%,%,$(filter-out %/main.c %/options.c,$(wildcard $(S)/plat/hosted/*.c)))
# Runs before the kernel does: on libc.
hosted-libc-src := plat/hosted/main.c plat/hosted/options.c

hosted-objs := $(hosted-kern-src:%.c=$(O)/obj/kern/hosted/%.o) $(O)/obj/kern/hosted/plat/hosted/entry.o
hosted-libc-objs := $(hosted-libc-src:%.c=$(O)/obj/hosted-libc/%.o)

$(O)/obj/kern/hosted/plat/hosted/entry.o: $(S)/plat/hosted/entry.S
	@mkdir -p $(@D)
	$(CC) -I$(S) -I$(S)/include -MMD -MP -c $< -o $@

$(O)/obj/hosted-libc/%.o: $(S)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_COMMON) -D_GNU_SOURCE -fPIE -I$(S) -I$(S)/plat/hosted -c $< -o $@

$(O)/bin/ufork: $(hosted-libc-objs) $(hosted-objs) $(O)/obj/kern/hosted/kernel-core.o
	@mkdir -p $(@D)
	$(CC) -pie -Wl,-z,now,-z,relro,-z,noexecstack -pthread -o $@ $^ \
	  -Wl,-Bstatic -lZydis -lZycore -Wl,-Bdynamic

.PHONY: ufork
ufork: $(O)/bin/ufork
#tools: $(O)/bin/ufork

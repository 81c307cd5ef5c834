# The verifier: a library for host tools and the kernel, `ufork-verify`, and their tests.

# Freestanding; the kernel compiles the same sources.
VERIFIER_LIB_SRC := $(addprefix verifier/,check.c decode.c elf.c resume.c sequence.c)
verifier-objs := $(VERIFIER_LIB_SRC:%.c=$(O)/obj/host/%.o)
verifier-data := $(addprefix $(S)/verifier/,allow.def rules.def)

$(O)/lib/libufverify.a: $(verifier-objs)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

$(O)/bin/ufork-verify: $(O)/obj/host/verifier/main.o $(O)/lib/libufverify.a
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -lZydis -lZycore

tools: $(O)/lib/libufverify.a $(O)/bin/ufork-verify

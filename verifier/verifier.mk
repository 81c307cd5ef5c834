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

# ---- tests ---------------------------------------------------------------------------------

verifier-test-obj := $(O)/obj/verifier-test
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_VERIFIER_TEST := $(CFLAGS_COMMON) -I$(S)/verifier/test

$(verifier-test-obj)/%.o: $(S)/verifier/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_VERIFIER_TEST) $(SANITIZE) -c $< -o $@

$(verifier-test-obj)/%.o: $(S)/verifier/%.S
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_VERIFIER_TEST) -c $< -o $@

$(verifier-test-obj)/verifier-test: $(addprefix $(verifier-test-obj)/,check.o decode.o elf.o \
		resume.o sequence.o test/main.o test/cases.o test/sequences.o test/elf.o \
		test/reference.o test/refuse.o test/accept.o)
	$(CC) $(SANITIZE) -o $@ $^ -lZydis -lZycore

# Without sanitizers: it runs instructions with registers of its own choosing.
$(verifier-test-obj)/plain/%.o: $(S)/verifier/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_VERIFIER_TEST) -c $< -o $@

$(verifier-test-obj)/verifier-sweep: $(addprefix $(verifier-test-obj)/plain/test/,sweep.o silicon.o \
		reference.o) $(O)/lib/libufverify.a
	$(CC) -o $@ $^ -lZydis -lZycore

.PHONY: verifier-tests
verifier-tests: $(addprefix $(verifier-test-obj)/,verifier-test verifier-sweep)
	@$(verifier-test-obj)/verifier-test
	@$(verifier-test-obj)/verifier-sweep

unit-tests: verifier-tests

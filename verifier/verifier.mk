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
FLAGS_verifier-test := CC CLANG CFLAGS_VERIFIER_TEST SANITIZE

$(verifier-test-obj)/%.o: $(S)/verifier/%.c $(O)/flags/verifier-test
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_VERIFIER_TEST) $(SANITIZE) -c $< -o $@

$(verifier-test-obj)/%.o: $(S)/verifier/%.S $(O)/flags/verifier-test
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_VERIFIER_TEST) -c $< -o $@

$(verifier-test-obj)/verifier-test: $(addprefix $(verifier-test-obj)/,check.o decode.o elf.o \
		resume.o sequence.o test/main.o test/cases.o test/sequences.o test/elf.o \
		test/reference.o test/refuse.o test/accept.o)
	$(CC) $(SANITIZE) -o $@ $^ -lZydis -lZycore

# Without sanitizers: it runs instructions with registers of its own choosing.
$(verifier-test-obj)/plain/%.o: $(S)/verifier/%.c $(O)/flags/verifier-test
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_VERIFIER_TEST) -c $< -o $@

$(verifier-test-obj)/verifier-sweep: $(addprefix $(verifier-test-obj)/plain/test/,sweep.o silicon.o \
		reference.o) $(O)/lib/libufverify.a
	$(CC) -o $@ $^ -lZydis -lZycore

# The fuzzer needs clang's runtime. Bounded: FUZZ_SECONDS, always the same seed.
FUZZ_SECONDS ?= 10
$(verifier-test-obj)/fuzz/%.o: $(S)/verifier/%.c $(O)/flags/verifier-test
	@mkdir -p $(@D)
	$(CLANG) $(CFLAGS_VERIFIER_TEST) -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=all -c $< -o $@

$(verifier-test-obj)/verifier-fuzz: $(addprefix $(verifier-test-obj)/fuzz/,check.o decode.o elf.o \
		resume.o sequence.o test/fuzz.o test/reference.o)
	$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^ -lZydis -lZycore

$(verifier-test-obj)/verifier-lengths: $(verifier-test-obj)/plain/test/lengths.o $(O)/lib/libufverify.a
	$(CC) -o $@ $^

.PHONY: verifier-tests verifier-fuzz verifier-images
# Real images: a probe built by ufork-cc, and all of $(O)/rootfs.
verifier-images: $(verifier-test-obj)/verifier-lengths tools
	@$(S)/verifier/test/images.sh $(O) $(verifier-test-obj)/verifier-lengths

verifier-fuzz: $(addprefix $(verifier-test-obj)/,verifier-test verifier-fuzz)
	@rm -rf $(verifier-test-obj)/corpus && mkdir -p $(verifier-test-obj)/corpus
	@$(verifier-test-obj)/verifier-test --seeds $(verifier-test-obj)/corpus
	@cd $(verifier-test-obj) && if ./verifier-fuzz -seed=1 -max_total_time=$(FUZZ_SECONDS) \
		-max_len=512 corpus >fuzz.log 2>&1; then \
		grep '^fuzz:' fuzz.log; echo 'verifier-fuzz: 1 passed, 0 failed'; \
	else tail -40 fuzz.log; echo 'verifier-fuzz: 0 passed, 1 failed'; exit 1; fi

verifier-tests: $(addprefix $(verifier-test-obj)/,verifier-test verifier-sweep) verifier-fuzz
	@$(verifier-test-obj)/verifier-test
	@$(verifier-test-obj)/verifier-sweep
	@python3 $(S)/verifier/test/doc.py

unit-tests: verifier-tests verifier-images

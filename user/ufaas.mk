# ufaas, the server of functions, from one source for both systems: by ufork-cc into the tree $(O)/rootfs,
# by native-cc into $(O)/native. `make ufaas` builds both; `make ports` and `make ports-native` include it.

UFAAS := user/ufaas
UFAAS_SRC := $(patsubst $(S)/%,%,$(filter-out %/worker.c,$(wildcard $(S)/$(UFAAS)/*.c)))
UFAAS_EXAMPLES := $(basename $(notdir $(wildcard $(S)/$(UFAAS)/examples/*.c)))
# The bridge to Lambda's Runtime API: a zygote that has parts in common with the server.
UFAAS_RAPI_SRC := $(patsubst $(S)/%,%,$(wildcard $(S)/$(UFAAS)/rapi/*.c)) \
	$(addprefix $(UFAAS)/,conn.c http.c log.c loop.c resident.c text.c tree.c)
CFLAGS_UFAAS := $(CFLAGS_COMMON) -D_GNU_SOURCE
FLAGS_ufaas := CFLAGS_UFAAS
FLAGS_ufaas-tests := CC UFAAS_SANITIZE

# $(1): ufork or native; $(2): compiler; $(3), $(4): where programs and examples go
define ufaas_variant
$(O)/obj/ufaas-$(1)/%.o: $(S)/%.c $(O)/flags/ufaas | $(O)/bin/$(2) toolchain
	@mkdir -p $$(@D)
	$$(SAY) $(O)/bin/$(2) $(CFLAGS_UFAAS) -c $$< -o $$@
$(3)/ufaas: $(UFAAS_SRC:%.c=$(O)/obj/ufaas-$(1)/%.o)
	@mkdir -p $$(@D)
	$$(SAY) $(O)/bin/$(2) -O2 $$^ -o $$@
$(UFAAS_EXAMPLES:%=$(4)/%): $(4)/%: $(O)/obj/ufaas-$(1)/$(UFAAS)/examples/%.o $(O)/obj/ufaas-$(1)/$(UFAAS)/worker.o
	@mkdir -p $$(@D)
	$$(SAY) $(O)/bin/$(2) -O2 $$^ -o $$@
$(4)/rapi: $(UFAAS_RAPI_SRC:%.c=$(O)/obj/ufaas-$(1)/%.o)
	@mkdir -p $$(@D)
	$$(SAY) $(O)/bin/$(2) -O2 $$^ -o $$@
.PHONY: ufaas-$(1)
ufaas-$(1): $(3)/ufaas $(UFAAS_EXAMPLES:%=$(4)/%) $(4)/rapi
endef
$(eval $(call ufaas_variant,ufork,ufork-cc,$(O)/rootfs/usr/bin,$(O)/rootfs/usr/lib/ufaas))
$(eval $(call ufaas_variant,native,native-cc,$(O)/native/bin,$(O)/native/lib/ufaas))

.PHONY: ufaas
ufaas: ufaas-ufork ufaas-native
$(O)/rootfs/usr/bin/ufaas: | port-base
ports: ufaas-ufork
ports-native: ufaas-native

# ---- unit tests, on the host under the sanitizers ------------------------------------------------------

UFAAS_BYTES := $(addprefix $(UFAAS)/,config.c config_keys.c http.c log.c loop.c rapi/path.c text.c toml.c)
UFAAS_SANITIZE := $(filter-out -MMD -MP -O2,$(CFLAGS_UFAAS)) -O1 -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
$(O)/test/ufaas/unit: $(wildcard $(S)/$(UFAAS)/test/unit*.c)
$(O)/test/ufaas/fuzz: $(S)/$(UFAAS)/test/fuzz.c
$(O)/test/ufaas/unit $(O)/test/ufaas/fuzz: $(UFAAS_BYTES) $(O)/flags/ufaas-tests $(wildcard $(S)/$(UFAAS)/*.h $(S)/$(UFAAS)/*/*.h)
	@mkdir -p $(@D)
	$(CC) $(UFAAS_SANITIZE) $(filter %.c,$^) -o $@

.PHONY: ufaas-unit-tests fuzz-ufaas
unit-tests: ufaas-unit-tests
ufaas-unit-tests: $(O)/test/ufaas/unit $(O)/test/ufaas/fuzz
	timeout 60 $(O)/test/ufaas/unit
	timeout 100 $(O)/test/ufaas/fuzz 1 30000

# The whole server and the bridge, for test/faas.py.
$(O)/test/ufaas/sanitized-ufaas: $(UFAAS_SRC)
$(O)/test/ufaas/sanitized-rapi: $(UFAAS_RAPI_SRC)
$(O)/test/ufaas/sanitized-ufaas $(O)/test/ufaas/sanitized-rapi: $(O)/flags/ufaas-tests $(wildcard $(S)/$(UFAAS)/*.h $(S)/$(UFAAS)/rapi/*.h)
	@mkdir -p $(@D)
	$(CC) $(UFAAS_SANITIZE) $(filter %.c,$^) -o $@

# As long as you like, guided by coverage.
fuzz-ufaas:
	@mkdir -p $(O)/test/ufaas/corpus
	$(CLANG) -std=gnu11 -D_GNU_SOURCE -DLIBFUZZER -g -O1 -I$(S)/include -fsanitize=fuzzer,address,undefined \
	  $(S)/$(UFAAS)/test/fuzz.c $(UFAAS_BYTES) -o $(O)/test/ufaas/libfuzzer
	$(O)/test/ufaas/libfuzzer -max_len=4096 $(O)/test/ufaas/corpus

# ufaas, the server of functions, from one source for both systems: by ufork-cc into the tree $(O)/rootfs,
# by native-cc into $(O)/native. `make ufaas` builds both; `make ports` and `make ports-native` include it.

UFAAS := user/ufaas
UFAAS_SRC := $(patsubst $(S)/%,%,$(filter-out %/worker.c,$(wildcard $(S)/$(UFAAS)/*.c)))
UFAAS_EXAMPLES := $(basename $(notdir $(wildcard $(S)/$(UFAAS)/examples/*.c)))
CFLAGS_UFAAS := $(CFLAGS_COMMON) -D_GNU_SOURCE

# $(1): ufork or native; $(2): compiler; $(3), $(4): where programs and examples go
define ufaas_variant
$(O)/obj/ufaas-$(1)/%.o: $(S)/%.c | $(O)/bin/$(2) toolchain
	@mkdir -p $$(@D)
	$$(SAY) $(O)/bin/$(2) $(CFLAGS_UFAAS) -c $$< -o $$@
$(3)/ufaas: $(UFAAS_SRC:%.c=$(O)/obj/ufaas-$(1)/%.o)
	@mkdir -p $$(@D)
	$$(SAY) $(O)/bin/$(2) -O2 $$^ -o $$@
$(UFAAS_EXAMPLES:%=$(4)/%): $(4)/%: $(O)/obj/ufaas-$(1)/$(UFAAS)/examples/%.o $(O)/obj/ufaas-$(1)/$(UFAAS)/worker.o
	@mkdir -p $$(@D)
	$$(SAY) $(O)/bin/$(2) -O2 $$^ -o $$@
.PHONY: ufaas-$(1)
ufaas-$(1): $(3)/ufaas $(UFAAS_EXAMPLES:%=$(4)/%)
endef
$(eval $(call ufaas_variant,ufork,ufork-cc,$(O)/rootfs/usr/bin,$(O)/rootfs/usr/lib/ufaas))
$(eval $(call ufaas_variant,native,native-cc,$(O)/native/bin,$(O)/native/lib/ufaas))

.PHONY: ufaas
ufaas: ufaas-ufork ufaas-native
$(O)/rootfs/usr/bin/ufaas: | port-base
ports: ufaas-ufork
ports-native: ufaas-native

# The runtime of functions in Python, beside the programs of ufaas.mk on both systems.
UFAAS_RUNTIMES := $(O)/rootfs/usr/lib/ufaas/runtime.py $(O)/native/lib/ufaas/runtime.py
$(UFAAS_RUNTIMES): $(S)/user/ufaas/python/runtime.py
	@mkdir -p $(@D)
	cp $< $@
$(O)/rootfs/usr/lib/ufaas/runtime.py: | port-base
ufaas-ufork: $(O)/rootfs/usr/lib/ufaas/runtime.py
ufaas-native: $(O)/native/lib/ufaas/runtime.py

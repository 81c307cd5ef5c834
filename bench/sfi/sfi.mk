# SPDX-License-Identifier: MIT
# `make bench-sfi`: cost of the sandboxing on CPU-bound code. RUNS=9 for more certainty.
SFI_PORTS := lua sqlite zlib lz4

.PHONY: bench-sfi
bench-sfi: deps
	@$(MAKE) --no-print-directory tools $(O)/test/load $(SFI_PORTS:%=port-%) $(SFI_PORTS:%=port-%-native) \
	  $(O)/bench/sfi/native/loops $(O)/bench/sfi/ufork/loops
	@python3 $(S)/bench/sfi/sfi.py --build $(O) $(if $(RUNS),--runs $(RUNS))

$(O)/bench/sfi/native/loops: $(S)/bench/sfi/loops.c $(O)/bin/native-cc $(O)/native-sysroot/.stamp
	@mkdir -p $(@D)
	$(O)/bin/native-cc -O2 $(WARN) $< -o $@

$(O)/bench/sfi/ufork/loops: $(S)/bench/sfi/loops.c $(O)/bin/ufork-cc $(O)/sysroot/.stamp
	@mkdir -p $(@D)
	$(O)/bin/ufork-cc -O2 $(WARN) $< -o $@

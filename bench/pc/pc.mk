# What the experiments on bare x86-64 need: programs that run in the machines, and the peer's kernel.
# Without that, the rest is measured: bench.py says what is missing.
BENCH_PC := $(O)/bench/pc
.PHONY: bench-pc
bench-pc: $(BENCH_PROGRAMS:%=$(O)/bench/glibc/%) $(BENCH_PC)/ufork/runner $(BENCH_PC)/linux/runner \
  $(BENCH_PC)/ufork/first $(BENCH_PC)/linux/first $(BENCH_PC)/linux/linux_init $(BENCH_PC)/tsc $(BENCH_PC)/redis_load
	@$(MAKE) --no-print-directory port-lz4-native
	@LZ4=$(O)/native/bin/lz4 $(S)/bench/pc/cloud-kernel.sh $(BENCH_PC)/kernel || \
	  echo 'bench: no cloud kernel, no figures of Linux on bare x86-64'

# The same programs with Debian's C library, which a Linux program has as a rule.
$(O)/bench/glibc/%: $(S)/bench/%.c $(S)/bench/measure.h
	@mkdir -p $(@D)
	gcc -O2 -static $(WARN) -o $@ $<
$(BENCH_PC)/ufork/%: $(S)/bench/pc/%.c $(S)/bench/pc/console.h $(O)/bin/ufork-cc $(O)/sysroot/.stamp
	@mkdir -p $(@D)
	$(O)/bin/ufork-cc -O2 $(WARN) -o $@ $<
$(BENCH_PC)/linux/%: $(S)/bench/pc/%.c $(S)/bench/pc/console.h $(O)/bin/native-cc $(O)/native-sysroot/.stamp
	@mkdir -p $(@D)
	$(O)/bin/native-cc -O2 $(WARN) -o $@ $<
$(BENCH_PC)/%: $(S)/bench/pc/%.c $(S)/bench/measure.h
	@mkdir -p $(@D)
	gcc -O2 $(WARN) -o $@ $<

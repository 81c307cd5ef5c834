# The main job: Redis on µFork and the same Redis on Linux take snapshots while clients write; then
# nginx on both.
SERVERS := port-base port-redis port-redis-native port-nginx port-nginx-native
run: deps
	@$(MAKE) --no-print-directory tools $(SERVERS)
	@python3 $(S)/bench/scenario.py --build $(O)
	@echo
	@python3 $(S)/bench/experiments_nginx.py --build $(O)
	@python3 $(S)/bench/experiments_faas.py --build $(O)

# All experiments: results.csv, figures and index.html in $(O)/report. QUICK=1 takes under 5 minutes,
# ONLY="hello memory" runs some of them.
BENCH_PROGRAMS := $(patsubst $(S)/bench/%.c,%,$(wildcard $(S)/bench/*.c))
PC_WANTED := $(if $(ONLY),$(filter pc%,$(ONLY)),yes)
bench: deps
	@$(MAKE) --no-print-directory tools $(SERVERS)
	@$(MAKE) --no-print-directory bench-programs $(if $(PC_WANTED),image bench-pc)
	@python3 $(S)/bench/bench.py --build $(O) $(if $(filter 1,$(QUICK)),--quick) \
	  $(if $(ONLY),--only $(ONLY))

.PHONY: bench-programs
bench-programs: $(BENCH_PROGRAMS:%=$(O)/bench/linux/%) $(BENCH_PROGRAMS:%=$(O)/bench/ufork/%)
$(O)/bench/linux/%: $(S)/bench/%.c $(S)/bench/measure.h $(O)/bin/native-cc
	@mkdir -p $(@D)
	$(O)/bin/native-cc -O2 $(WARN) -o $@ $<
$(O)/bench/ufork/%: $(S)/bench/%.c $(S)/bench/measure.h $(O)/bin/ufork-cc
	@mkdir -p $(@D)
	$(O)/bin/ufork-cc -O2 $(WARN) -o $@ $<

# The main job: Redis on µFork and the same Redis on Linux take snapshots while clients write.
run: deps
	@$(MAKE) --no-print-directory tools port-base port-redis port-redis-native
	@python3 $(S)/bench/scenario.py --build $(O)

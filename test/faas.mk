# ufaas with functions in C, on both systems.
.PHONY: test-faas
test-faas: tools port-base port-busybox ufaas
	@bad=; for system in native ufork; do \
	  python3 $(S)/test/faas.py --build $(O) --system $$system $(NAMES) || bad=1; done; test -z "$$bad"

# ufaas with functions in C: on Linux, on Linux under the sanitizers, on uFork.
.PHONY: test-faas
test-faas: tools port-base port-busybox ufaas $(O)/test/ufaas/sanitized-ufaas $(O)/test/ufaas/sanitized-rapi
	@bad=; for system in native 'native --server $(O)/test/ufaas/sanitized-ufaas' ufork; do \
	  python3 $(S)/test/faas.py --build $(O) --system $$system $(NAMES) || bad=1; done; test -z "$$bad"

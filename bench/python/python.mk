# SPDX-License-Identifier: MIT
# `make bench-python`: a zygote of CPython and its loops, on uFork and on Linux.
.PHONY: bench-python
bench-python: deps
	@$(MAKE) --no-print-directory tools port-base port-python3 port-python3-native
	@python3 $(S)/bench/python/python.py --build $(O) $(if $(filter 1,$(QUICK)),--rounds 2 --forks 300)

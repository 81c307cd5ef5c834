# Third-party programs from unmodified sources: ports/NAME/recipe, built by ports/build.sh.
# `make ports`: all of them for uFork, into the tree $(O)/rootfs.
# `make ports-native`: the same programs for Linux, into $(O)/native/bin.
# `make port-NAME`, `make port-NAME-native`: one of them.
# `make port-NAME-clang`: compiled by clang, into $(O)/rootfs-clang.
# build.sh itself finds out by content whether there is something to do.
PORTS := $(sort $(patsubst $(S)/ports/%/recipe,%,$(wildcard $(S)/ports/*/recipe)))
PORTS_NATIVE := $(filter-out base,$(PORTS))

.PHONY: ports ports-native test-ports test-ports-native $(PORTS:%=port-%) \
	test-ports-clang $(PORTS_NATIVE:%=port-%-native) $(PORTS:%=port-%-clang)
ports: $(PORTS:%=port-%)
ports-native: $(PORTS_NATIVE:%=port-%-native)

$(PORTS:%=port-%): port-%: deps tools
	@$(S)/ports/build.sh $* ufork
$(PORTS:%=port-%-clang): port-%-clang: deps tools
	@$(S)/ports/build.sh $* clang
$(PORTS_NATIVE:%=port-%-native): port-%-native: deps tools
	@$(S)/ports/build.sh $* native

# Smoke tests, `make test-ports NAMES="lua redis"` runs some of them.
test-ports: ports ports-native
	@$(S)/ports/test.sh ufork $(NAMES)
test-ports-native: ports-native
	@$(S)/ports/test.sh native $(NAMES)

# Some ports once more, compiled by clang.
PORTS_CLANG := busybox lua lz4 sqlite zlib
test-ports-clang: port-base-clang $(PORTS_CLANG:%=port-%-clang) $(PORTS_CLANG:%=port-%-native)
	@$(S)/ports/test.sh clang $(if $(NAMES),$(NAMES),$(PORTS_CLANG))

# CPython's own tests on both systems, compared case by case: half an hour, not part of `make test`.
# `make test-python NAMES="test_os test_pty:*SmallPty*"` runs some of them.
.PHONY: test-python
test-python: port-base port-busybox port-python3 port-python3-native
	@$(S)/ports/python3/suite.py $(NAMES)

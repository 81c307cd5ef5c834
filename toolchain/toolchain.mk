# SPDX-License-Identifier: MIT
# ufork-cc, its assembler and link stages, the C library for it, and the baseline native-cc.

TC := $(S)/toolchain
TC_OBJ := $(O)/obj/host/toolchain
LIBEXEC := $(O)/libexec/ufork
SYSROOT := $(O)/sysroot
NATIVE := $(O)/native-sysroot

CFLAGS_toolchain_as_ := -D_GNU_SOURCE
CFLAGS_toolchain_ld_ := -D_GNU_SOURCE
CFLAGS_toolchain_cc_ := -D_GNU_SOURCE
CFLAGS_toolchain_common_ := -D_GNU_SOURCE

tc_objs = $(patsubst $(S)/%.c,$(O)/obj/host/%.o,$(sort $(foreach d,$(1),$(wildcard $(TC)/$(d)/*.c))))

TC_STAGES := $(LIBEXEC)/as $(LIBEXEC)/ld $(LIBEXEC)/image.o $(LIBEXEC)/ufork.ld \
  $(LIBEXEC)/ufork.specs $(LIBEXEC)/native.specs

# What we build ourselves is compiled by gcc, whatever the user's programs are compiled by.
unexport UFORK_CC

.PHONY: toolchain
toolchain: $(O)/bin/ufork-cc $(O)/bin/ufork-clang $(O)/bin/native-cc $(O)/share/ufork/toolchain.cmake \
  $(SYSROOT)/.stamp $(NATIVE)/.stamp
tools: toolchain

$(LIBEXEC)/as: $(call tc_objs,as common)
$(LIBEXEC)/ld: $(call tc_objs,ld common)
$(LIBEXEC)/as $(LIBEXEC)/ld:
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_HOST) $^ -o $@

$(LIBEXEC)/%: $(TC)/cc/%
	@mkdir -p $(@D)
	cp $< $@

$(LIBEXEC)/ufork.ld: $(TC)/ld/ufork.ld
	@mkdir -p $(@D)
	cp $< $@

# Needs no headers and no library, so it can be built before the sysroot is there.
$(LIBEXEC)/image.o: $(TC)/rt/image.S $(S)/include/ufork/abi.h $(LIBEXEC)/as
	gcc -B$(LIBEXEC)/ -I$(S)/include -c $< -o $@

$(O)/bin/ufork-cc: $(call tc_objs,cc common) $(TC_STAGES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_HOST) $(call tc_objs,cc common) -o $@

$(O)/bin/ufork-clang: $(O)/bin/ufork-cc | $(LIBEXEC)/reserve.so
	ln -sf ufork-cc $@

# A plugin fits one version of clang: the one that toolchain/cc/main.c runs.
$(LIBEXEC)/reserve.so: $(TC)/clang/reserve.cpp
	@mkdir -p $(@D)
	g++ -std=c++14 -O1 -fPIC -shared -fno-exceptions -Wall -Wextra -Werror \
	  -isystem $$(llvm-config-14 --includedir) $< -o $@

$(O)/bin/native-cc: $(TC)/cc/native-cc.sh $(LIBEXEC)/native.specs
	@mkdir -p $(@D)
	cp $< $@

$(O)/share/ufork/toolchain.cmake: $(TC)/cc/toolchain.cmake
	@mkdir -p $(@D)
	cp $< $@

# ---- the C library ---------------------------------------------------------------------------

MUSL_SRC := $(O)/src/musl
MUSL_OVERLAY := $(TC)/musl/build.sh $(TC)/musl/removed $(shell find $(TC)/musl/src -type f)
RT_LIB := $(patsubst $(TC)/rt/%.c,$(O)/obj/rt/%.o,$(wildcard $(TC)/rt/*.c))

$(MUSL_SRC)/.stamp: $(S)/ports/sources.lock
	rm -rf $(@D)
	@mkdir -p $(dir $(@D))
	$(S)/ports/fetch.sh musl $(@D)
	@touch $@

$(O)/obj/rt/%.o: $(TC)/rt/%.c $(O)/bin/ufork-cc
	@mkdir -p $(@D)
	$(O)/bin/ufork-cc -O2 -ffreestanding -fno-builtin $(WARN) -Wno-missing-prototypes -c $< -o $@

$(O)/obj/rt/libgcc.a: $(RT_LIB)
	rm -f $@
	ar rcs $@ $^

$(SYSROOT)/.stamp: $(MUSL_SRC)/.stamp $(MUSL_OVERLAY) $(O)/bin/ufork-cc $(O)/obj/rt/libgcc.a \
  $(TC)/rt/crtbegin.S $(TC)/rt/crtend.S
	$(TC)/musl/build.sh $(MUSL_SRC) $(O)/obj/musl $(O)/bin/ufork-cc $(SYSROOT) --overlay
	cp $(O)/obj/rt/libgcc.a $(SYSROOT)/lib/
	$(O)/bin/ufork-cc -c $(TC)/rt/crtbegin.S -o $(SYSROOT)/lib/crtbegin.o
	$(O)/bin/ufork-cc -c $(TC)/rt/crtend.S -o $(SYSROOT)/lib/crtend.o
	cp $(SYSROOT)/lib/crtbegin.o $(SYSROOT)/lib/crtbeginT.o # the name that clang asks for
	rm -f $(SYSROOT)/lib/libgcc_eh.a && ar rcs $(SYSROOT)/lib/libgcc_eh.a # likewise; nothing unwinds
	@touch $@

$(NATIVE)/.stamp: $(MUSL_SRC)/.stamp $(MUSL_OVERLAY)
	$(TC)/musl/build.sh $(MUSL_SRC) $(O)/obj/musl-native gcc $(NATIVE)
	@touch $@

# ---- tests -----------------------------------------------------------------------------------

CFLAGS_toolchain_test_ := -mgeneral-regs-only -O1

$(O)/test/load: $(O)/obj/host/toolchain/test/load.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_HOST) $< -o $@

$(O)/test/as-sanitized: $(wildcard $(TC)/as/*.[ch]) $(TC)/common/args.c $(O)/flags/host
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS_HOST)) -D_GNU_SOURCE -fsanitize=address,undefined \
	  -fno-sanitize-recover $(filter %.c,$^) -o $@

.PHONY: toolchain-tests
unit-tests: toolchain-tests
toolchain-tests: toolchain $(O)/bin/ufork $(O)/test/load $(O)/test/as-sanitized $(O)/bin/ufork-verify
	python3 $(TC)/test/toolchain_test.py $(O)

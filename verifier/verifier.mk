# The verifier: a library for host tools and the kernel, `ufork-verify`, and their tests.

verifier-objs := $(addprefix $(O)/obj/host/verifier/,elf.o)

$(O)/lib/libufverify.a: $(verifier-objs)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

tools: $(O)/lib/libufverify.a

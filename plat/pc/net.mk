# The network stack of platform pc: lwIP, unmodified, and the socket layer over it.
# $(pc-lwip-objs) is what the kernel image links beside the sources of plat/pc/net.

LWIP := $(O)/lwip
LWIP_SRC := $(addprefix src/core/,init.c def.c dns.c inet_chksum.c ip.c mem.c memp.c netif.c pbuf.c raw.c \
	sys.c tcp.c tcp_in.c tcp_out.c udp.c ipv4/dhcp.c ipv4/etharp.c ipv4/icmp.c ipv4/ip4_frag.c \
	ipv4/ip4.c ipv4/ip4_addr.c ipv6/ethip6.c ipv6/icmp6.c ipv6/inet6.c ipv6/ip6.c ipv6/ip6_addr.c \
	ipv6/ip6_frag.c ipv6/mld6.c ipv6/nd6.c) src/netif/ethernet.c
NET_SRC := $(patsubst $(S)/%,%,$(wildcard $(S)/plat/pc/net/*.c))
NET_INCLUDE := -I$(S)/plat/pc/net -isystem $(LWIP)/src/include

# The compiler's freestanding headers, and of the C library what plat/pc/net/libc says.
CFLAGS_KERN_plat_pc_net_ := $(NET_INCLUDE) -isystem $(S)/plat/pc/net/libc

pc-lwip-objs := $(LWIP_SRC:%.c=$(O)/obj/kern/pc/lwip/%.o)

$(LWIP)/.fetched: $(S)/ports/sources.lock
	rm -rf $(LWIP)
	$(S)/ports/fetch.sh lwip $(LWIP)
	touch $@
$(LWIP_SRC:%=$(LWIP)/%): $(LWIP)/.fetched ;
$(pc-lwip-objs) $(NET_SRC:%.c=$(O)/obj/kern/pc/%.o): | $(LWIP)/.fetched

# Others' code: warnings are theirs.
$(O)/obj/kern/pc/lwip/%.o: $(LWIP)/%.c $(O)/flags/kern-pc
	@mkdir -p $(@D)
	$(CC) $(filter-out $(WARN),$(CFLAGS_KERN)) $(CFLAGS_PLAT_pc) -w -I$(S)/plat/pc/net -I$(S)/plat/pc/net/libc \
	  -I$(LWIP)/src/include -c $< -o $@

# ---- tests: the stack on the host, see plat/pc/net/test/net_env.h -----------------------------------

NET_TEST_SRC := $(NET_SRC) plat/pc/net/test/net_env.c kernel/net/socket.c kernel/net/transfer.c \
	$(patsubst $(S)/%,%,$(wildcard $(S)/kernel/ipc/unix*.c)) kernel/time/clock.c \
	$(filter-out kernel/mm/kmalloc.c,$(FS_TEST_SRC))
NET_TESTS := net_linux net_sock net_wire
lwip-test-objs := $(LWIP_SRC:%.c=$(O)/test/pc/lwip/%.o)

$(O)/test/pc/lwip/%.o: $(LWIP)/%.c $(O)/flags/tests $(wildcard $(S)/plat/pc/net/*.h $(S)/plat/pc/net/arch/*.h) | $(LWIP)/.fetched
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g -w -fno-strict-aliasing -I$(S) -I$(S)/include -I$(S)/plat/pc/net \
	  -I$(LWIP)/src/include $(SANITIZE) -c $< -o $@

net-test-objs := $(patsubst %.c,$(O)/test/pc/net/%.o,$(NET_TEST_SRC) $(FAKE_SRC))
net-test-headers := $(wildcard $(S)/plat/pc/*.h $(S)/plat/pc/net/*.h $(S)/plat/pc/net/*/*.h $(S)/kernel/*.h \
	$(S)/kernel/*/*.h $(S)/kernel/test/fake/*.h $(S)/lib/*.h)

$(O)/test/pc/net/%.o: $(S)/%.c $(O)/flags/tests $(net-test-headers) | $(LWIP)/.fetched
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS_FAKE)) $(SANITIZE) $(NET_INCLUDE) -c $< -o $@

$(NET_TESTS:%=$(O)/test/pc/%): $(O)/test/pc/%: $(O)/test/pc/net/plat/pc/net/test/%.o $(net-test-objs) \
		$(lwip-test-objs)
	$(CC) $(SANITIZE) $^ -pthread -o $@

.PHONY: net-unit-tests
unit-tests: net-unit-tests
net-unit-tests: $(NET_TESTS:%=$(O)/test/pc/%)
	timeout 600 $(O)/test/pc/net_linux
	timeout 600 $(O)/test/pc/net_sock
	@: fragments that wait for others are found by pointers that are not aligned
	LSAN_OPTIONS=use_unaligned=1 timeout 600 $(O)/test/pc/net_wire
	timeout 600 $(O)/test/pc/net_wire dhcp

# The network stack of platform pc: lwIP, unmodified, and the socket layer over it.
# $(pc-net-objs) is what the kernel image links.

LWIP := $(O)/lwip
LWIP_SRC := $(addprefix src/core/,init.c def.c dns.c inet_chksum.c ip.c mem.c memp.c netif.c pbuf.c raw.c \
	sys.c tcp.c tcp_in.c tcp_out.c timeouts.c udp.c ipv4/dhcp.c ipv4/etharp.c ipv4/icmp.c ipv4/ip4_frag.c \
	ipv4/ip4.c ipv4/ip4_addr.c ipv6/ethip6.c ipv6/icmp6.c ipv6/inet6.c ipv6/ip6.c ipv6/ip6_addr.c \
	ipv6/ip6_frag.c ipv6/mld6.c ipv6/nd6.c) src/netif/ethernet.c
NET_SRC := $(patsubst $(S)/%,%,$(wildcard $(S)/plat/pc/net/*.c))
NET_INCLUDE := -I$(S)/plat/pc/net -isystem $(LWIP)/src/include

# The compiler's freestanding headers, and of the C library what plat/pc/net/libc says.
CFLAGS_KERN_plat_pc_net_ := $(NET_INCLUDE) -isystem $(S)/plat/pc/net/libc

pc-net-objs := $(NET_SRC:%.c=$(O)/obj/kern/pc/%.o) $(LWIP_SRC:%.c=$(O)/obj/kern/pc/lwip/%.o)

$(LWIP)/.fetched: $(S)/ports/sources.lock
	rm -rf $(LWIP)
	$(S)/ports/fetch.sh lwip $(LWIP)
	touch $@
$(LWIP_SRC:%=$(LWIP)/%): $(LWIP)/.fetched ;
$(pc-net-objs): | $(LWIP)/.fetched

# Others' code: warnings are theirs.
$(O)/obj/kern/pc/lwip/%.o: $(LWIP)/%.c
	@mkdir -p $(@D)
	$(CC) $(filter-out $(WARN),$(CFLAGS_KERN)) $(CFLAGS_PLAT_pc) -w -I$(S)/plat/pc/net -I$(S)/plat/pc/net/libc \
	  -I$(LWIP)/src/include -c $< -o $@

.PHONY: pc-net
pc-net: $(pc-net-objs)

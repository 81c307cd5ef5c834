/* SPDX-License-Identifier: MIT */
/*
 * lwIP's periodic work, driven by one kernel timer. lwIP's own timer list allocates for every
 * expiry and dies if it cannot; this is a table. TCP's timer runs only while there are connections,
 * the others only when there is a network device.
 */
#include "kernel/time/timer.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"
#include "plat/pc/irq.h"
#include "plat/pc/net/stack.h"

#define NSEC_PER_MSEC 1000000u
#define TCP_TIMER 0

static const struct {
  u32 interval_ms;
  void (*run)(void);
} table[] = {
    {TCP_TMR_INTERVAL, tcp_tmr},
    {IP_TMR_INTERVAL, ip_reass_tmr},
    {IP6_REASS_TMR_INTERVAL, ip6_reass_tmr},
    {ARP_TMR_INTERVAL, etharp_tmr},
    {ND6_TMR_INTERVAL, nd6_tmr},
    {MLD6_TMR_INTERVAL, mld6_tmr},
    {DHCP_COARSE_TIMER_MSECS, dhcp_coarse_tmr},
    {DHCP_FINE_TIMER_MSECS, dhcp_fine_tmr},
};
#define TIMERS ARRAY_LEN(table)

static u64 next_run[TIMERS]; /* UINT64_MAX: not running */
static struct ktimer timer;
static bool due; /* atomic */
static u64 armed_for = UINT64_MAX;

u32_t sys_now(void) { return (u32_t)(plat_now() / NSEC_PER_MSEC); }

/* Any context: the work itself waits for the poller. */
static void fire(struct ktimer *t) {
  (void)t;
  __atomic_store_n(&due, true, __ATOMIC_SEQ_CST);
  irq_defer();
}

bool net_timers_due(void) { return __atomic_load_n(&due, __ATOMIC_SEQ_CST); }

static void start(unsigned i, u64 now) {
  next_run[i] = now + (u64)table[i].interval_ms * NSEC_PER_MSEC;
  if (next_run[i] < armed_for) {
    armed_for = next_run[i];
    ktimer_arm(&timer, armed_for);
  }
}

/* Called by lwip_init. */
void sys_timeouts_init(void) {
  ktimer_init(&timer, fire);
  for (unsigned i = 0; i < TIMERS; i++)
    next_run[i] = UINT64_MAX;
}

void net_timers_full(void) {
  u64 now = plat_now();
  for (unsigned i = TCP_TIMER + 1; i < TIMERS; i++)
    start(i, now);
}

/* lwIP: a connection has come into being. */
void tcp_timer_needed(void) {
  if (next_run[TCP_TIMER] == UINT64_MAX && (tcp_active_pcbs || tcp_tw_pcbs))
    start(TCP_TIMER, plat_now());
}

void net_timers_run(u64 now) {
  if (!net_timers_due())
    return;
  __atomic_store_n(&due, false, __ATOMIC_SEQ_CST);
  armed_for = UINT64_MAX;
  for (unsigned i = 0; i < TIMERS; i++) {
    if (next_run[i] > now)
      continue;
    table[i].run();
    next_run[i] = UINT64_MAX;
    if (i != TCP_TIMER || tcp_active_pcbs || tcp_tw_pcbs)
      start(i, now);
  }
  for (unsigned i = 0; i < TIMERS; i++)
    armed_for = min_u64(armed_for, next_run[i]);
  if (armed_for != UINT64_MAX)
    ktimer_arm(&timer, armed_for);
}

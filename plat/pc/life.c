/* SPDX-License-Identifier: MIT */
/* The log, and the ways the machine ends. */
#include "kernel/errno.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"
#include "plat/pc/pc.h"

#define DEBUG_EXIT_PORT                                                                            \
  0x501                  /* QEMU's isa-debug-exit, if there is one: its status becomes 2v + 1 */
#define PANIC_STATUS 127 /* 255 for QEMU's caller */

/* ---- log and end ----------------------------------------------------------------------------- */

void plat_log(const char *text, size_t n) { stdio_log(text, n); }

static void log_string(const char *s) { plat_log(s, strlen(s)); }

/* How a machine without ACPI is switched off: Firecracker ends when the keyboard controller is told
   to reset the CPU, QEMU with -no-reboot. */
static void keyboard_reset(void) { outb(0x64, 0xfe); }

/* No other way is left: a triple fault resets the machine. */
static _Noreturn void triple_fault(void) {
  struct {
    u16 limit;
    u64 base;
  } __attribute__((packed)) none = {0, 0};
  for (;;)
    __asm__ volatile("lidt %0; int3" : : "m"(none));
}

/* The other CPUs stand still. */
static _Noreturn void power_off(unsigned status) {
  stdio_exit_status(status);
  outl(DEBUG_EXIT_PORT, status & 0x7f);
  acpi_power_off();
  for (volatile int i = 0; i < 1000000; i++)
    ; /* it takes effect while we wait */
  keyboard_reset();
  for (volatile int i = 0; i < 1000000; i++)
    ;
  triple_fault();
}

_Noreturn void panic_at(const char *why, u64 rip, const u64 *sp) {
  static u32 panicking;
  __asm__ volatile("cli");
  smp_stop_others();
  if (__atomic_exchange_n(&panicking, 1, __ATOMIC_SEQ_CST) == 0) {
    stdio_break();
    log_string("ufork: kernel bug: ");
    log_string(why);
    log_string("\n");
    log_address(rip);
    log_backtrace(rip, sp);
  }
  power_off(PANIC_STATUS);
}

_Noreturn void plat_panic(const char *why) {
  u64 *sp;
  __asm__ volatile("mov %%rsp, %0" : "=r"(sp));
  panic_at(why, (u64)plat_panic, sp);
}

/* The status a shell would give. */
_Noreturn void plat_poweroff(int wait_status) {
  int sig = wait_status & 0x7f;
  if (boot.stats)
    irq_log();
  stdio_finish();
  __asm__ volatile("cli");
  smp_stop_others();
  power_off(sig ? 128u + (unsigned)sig : (unsigned)wait_status >> 8 & 0xff);
}

/* SPDX-License-Identifier: MIT */
/* The first serial port, a 16550. */
#include "lib/spin.h"
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"

#define PORT 0x3f8
#define SERIAL_GSI 4
enum { DATA = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };
#define LSR_DATA 1u
#define LSR_EMPTY 0x20u
#define FIFO_SIZE 16

static bool (*receiver)(u8 byte, bool ask);
static struct spin in_lock; /* the receiving side; taken with interrupts off */

void serial_init(void) {
  outb(PORT + IER, 0);
  outb(PORT + LCR, 0x80);
  outb(PORT + DATA, 1); /* 115200 */
  outb(PORT + IER, 0);
  outb(PORT + LCR, 3); /* 8N1 */
  outb(PORT + FCR, 7);
  outb(PORT + MCR, 0xb); /* the last bit lets interrupts out */
}

/* What finds no room stays in the port, which is silent until serial_resume. */
static void receive(void) {
  while (inb(PORT + LSR) & LSR_DATA) {
    if (!receiver(0, true)) {
      outb(PORT + IER, 0);
      return;
    }
    receiver(inb(PORT + DATA), false);
  }
}

static void interrupt(void *arg) {
  (void)arg;
  spin_lock(&in_lock);
  receive();
  spin_unlock(&in_lock);
}

void serial_listen(bool (*rx)(u8 byte, bool ask)) {
  receiver = rx;
  int vector = irq_vector_take("the serial port", interrupt, NULL);
  if (vector >= 0 && irq_route_gsi(SERIAL_GSI, vector, false) == 0)
    serial_resume();
}

void serial_resume(void) {
  u64 flags = irq_save();
  spin_lock(&in_lock);
  outb(PORT + IER, 1);
  receive(); /* what came before may raise no edge */
  spin_unlock(&in_lock);
  irq_restore(flags);
}

void serial_write(const char *text, size_t n) {
  while (n > 0) {
    u32 spins = 0;
    while (!(inb(PORT + LSR) & LSR_EMPTY) && ++spins < 1000000)
      __builtin_ia32_pause();
    for (int i = 0; i < FIFO_SIZE && n > 0; i++, n--)
      outb(PORT + DATA, (u8)*text++);
  }
}

/* SPDX-License-Identifier: MIT */
/*
 * together.c on a TCP connection of the host: what it learns, what the host then holds, and that
 * each way out of that pushes. The test is a thread of the kernel's making, on two vCPUs in turn.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "plat/hosted/test/as_thread.h"
#include "plat/hosted/test/tcp.h"
#include "plat/hosted/together.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEADER 200
#define BODY 600
#define TRIES 20

struct vcpu vcpus[MAX_CPUS];
unsigned vcpu_count = 2;
__thread struct vcpu *uf_vcpu_self __attribute__((tls_model("local-exec")));

static struct host_sock l, h;
static int peer;
static bool soon; /* what the scheduler has last been told */
static bool gone; /* h has been closed */

void *kzalloc(size_t n) { return calloc(1, n); }
void kfree(void *p) { free(p); }
void kernel_poll_soon(bool s) { soon = s; }
struct hostio *hostio_lock(u64 id) {
  return !gone && id == hostio_id(&h.io) ? &h.io : NULL;
}
void hostio_unlock(struct hostio *io) { CHECK(io == &h.io); }

/* ---- a connection ---------------------------------------------------------------------------- */

static void listen_anew(void) {
  if (l.io.fd > 0) {
    together_release(&l);
    CHECK(close(l.io.fd) == 0);
  }
  l = (struct host_sock){.io = {.fd = tcp_listen(), .generation = 1}};
  CHECK(l.io.fd >= 0);
  together_listen(&l);
  together_listen(&l); /* once is enough */
}

static void connect_anew(void) {
  static u32 generation = 1;
  peer = tcp_connect(l.io.fd);
  h = (struct host_sock){.io = {.fd = tcp_accept(l.io.fd), .slot = 1, .generation = ++generation}};
  CHECK(peer >= 0 && h.io.fd >= 0);
  gone = false;
  together_accepted(&h, &l);
}

static void hang_up(void) {
  together_push(&h);
  CHECK(close(h.io.fd) == 0 && close(peer) == 0);
  gone = true;
  together_release(&h);
}

static int waiting(void) { return tcp_unsent(h.io.fd); }

static void receive(size_t n) { CHECK(tcp_receive(peer, n)); }

/* As hostsock.c sends. Was the host told to hold it? */
static bool send_some(size_t n, bool small) {
  u32 held = together_begin(&h, small, false);
  together_done(&h, held, tcp_send(h.io.fd, n, held != 0));
  return held;
}

static void pairs(int n) {
  for (int i = 0; i < n; i++) {
    send_some(HEADER, true);
    CHECK(!send_some(BODY, true));
    CHECK(!h.held && waiting() == 0);
    receive(HEADER + BODY);
    together_end();
  }
}

/* ---- what is tested -------------------------------------------------------------------------- */

/* After enough pairs a header is held. The host itself gives up waiting after a while, so if this
   process has been stopped for that long, once more. */
static void hold_header(void) {
  for (int i = 0; i < TRIES; i++) {
    pairs(i ? 1 : PAIRING_FIRST);
    CHECK(send_some(HEADER, true));
    CHECK(h.held && soon && uf_vcpu_self->sent.kind == SENT_HELD);
    if (waiting() == HEADER)
      return;
    CHECK(!send_some(BODY, true));
    receive(HEADER + BODY);
    together_end();
  }
  CHECK(!"the host has held it");
}

static void expect_pushed(void) {
  CHECK(!h.held && waiting() == 0);
  receive(HEADER);
}

/* What was believed, and turned out wrong, takes twice as long to be believed again. */
static void expect_doubt(bool doubt) {
  pairs(PAIRING_FIRST);
  together_end();
  CHECK(pairing_expected(&h.kin->sends) == !doubt);
}

static void begin(void) {
  listen_anew();
  connect_anew();
  hold_header();
}

static void other_io(void) {
  begin();
  together_end();
  expect_pushed();
  CHECK(!soon && uf_vcpu_self->sent.kind == SENT_NOTHING);
  expect_doubt(true);
  hang_up();
}

/* The vCPU turns to another thread because this one sleeps, or because its time is up. */
static void switched(bool sleeps) {
  begin();
  thread_current()->state = sleeps ? THREAD_SLEEPING : THREAD_RUNNABLE;
  together_poll(uf_vcpu_self, false);
  thread_current()->state = THREAD_RUNNABLE;
  expect_pushed();
  CHECK(!soon);
  if (!sleeps) { /* nothing has been shown to be wrong */
    CHECK(!send_some(BODY, true));
    receive(BODY);
    together_end();
    CHECK(pairing_expected(&h.kin->sends));
  } else {
    expect_doubt(true);
  }
  hang_up();
}

static void idle(void) {
  begin();
  together_poll(uf_vcpu_self, true);
  expect_pushed();
  expect_doubt(true);
  hang_up();
}

/* Another vCPU asks; this one goes on as ever. */
static void asked(void) {
  begin();
  uf_vcpu_self = &vcpus[1];
  together_end();
  CHECK(together_push_all());
  CHECK(!together_push_all());
  uf_vcpu_self = &vcpus[0];
  expect_pushed();
  CHECK(!send_some(BODY, true));
  receive(BODY);
  together_end();
  CHECK(!soon);
  expect_doubt(false);
  hang_up();
}

/* The same thread goes on elsewhere, or another does with the same socket. */
static void elsewhere(void) {
  begin();
  uf_vcpu_self = &vcpus[1];
  u32 held = together_begin(&h, true, false);
  CHECK(!h.held && waiting() == 0);
  together_done(&h, held, false);
  uf_vcpu_self = &vcpus[0];
  together_end();
  expect_pushed();
  hang_up();
}

/* While the second is under way another vCPU sends the first of two. */
static void crossed(void) {
  begin();
  u32 second = together_begin(&h, true, false);
  CHECK(!second && tcp_send(h.io.fd, BODY, false));
  uf_vcpu_self = &vcpus[1];
  CHECK(send_some(HEADER, true));
  uf_vcpu_self = &vcpus[0];
  together_done(&h, second, true);
  receive(HEADER + BODY);
  together_end();
  CHECK(h.held);
  uf_vcpu_self = &vcpus[1];
  together_end();
  expect_pushed();
  uf_vcpu_self = &vcpus[0];
  hang_up();
}

/* The second is refused, is not all taken, or is to be held by the guest's own wish. */
static void second(bool more) {
  begin();
  CHECK(together_begin(&h, true, more) == 0);
  if (more)
    expect_pushed();
  together_done(&h, 0, false);
  if (!more)
    expect_pushed();
  CHECK(uf_vcpu_self->sent.kind == SENT_LATER);
  hang_up();
}

/* So is the first. */
static void first_in_part(void) {
  begin();
  together_end();
  receive(HEADER);
  for (int i = 0; i < 2 * PAIRING_FIRST; i++)
    pairs(1);
  u32 held = together_begin(&h, true, false);
  CHECK(held && tcp_send(h.io.fd, 2, true));
  together_done(&h, held, false);
  CHECK(!h.held && waiting() == 0 && uf_vcpu_self->sent.kind != SENT_HELD);
  hang_up();
}

static void closed(void) {
  begin();
  together_push(&h);
  expect_pushed();
  CHECK(close(h.io.fd) == 0);
  gone = true;
  together_release(&h);
  together_end(); /* the name means nothing now */
  CHECK(tcp_at_end(peer) && close(peer) == 0);
}

/* The guest's own cork: nothing of ours undoes it, and with it nothing is held by us. */
static void corked(void) {
  int on = 1, off = 0;
  begin();
  CHECK(together_cork(&h, &on, sizeof on) == 0);
  expect_pushed();
  CHECK(!send_some(HEADER, true));
  together_end();
  CHECK(!h.held);
  h.held = 2; /* as if a thread were just between the host's call and this */
  together_push(&h);
  CHECK(tcp_corked(h.io.fd) == 1);
  CHECK(together_cork(&h, &on, 1) == -EINVAL);
  CHECK(h.corked);
  CHECK(together_cork(&h, &off, sizeof off) == 0);
  expect_pushed();
  CHECK(!h.corked);
  hang_up();
}

/* What sends alone, is large, or comes third is left alone. */
static void not_pairs(void) {
  listen_anew();
  connect_anew();
  for (int i = 0; i < 10 * PAIRING_FIRST; i++) {
    CHECK(!send_some(HEADER, true));
    receive(HEADER);
    together_end();
  }
  for (int i = 0; i < 10 * PAIRING_FIRST; i++) {
    CHECK(!send_some(HEADER, false));
    CHECK(!send_some(BODY, true));
    receive(HEADER + BODY);
    together_end();
  }
  CHECK(pairing_run(&h.kin->sends) == 0);
  pairs(PAIRING_FIRST);
  CHECK(!send_some(HEADER, false));
  CHECK(!send_some(HEADER, true));
  together_end();
  receive(2 * HEADER);
  CHECK(send_some(HEADER, true));
  CHECK(!send_some(HEADER, true));
  CHECK(!send_some(HEADER, true));
  together_end();
  receive(3 * HEADER);
  hang_up();
}

/* What one connection has shown is known of the next, and not of another listener's. */
static void kin(void) {
  listen_anew();
  for (int i = 0; i < PAIRING_FIRST; i++) {
    connect_anew();
    pairs(1);
    hang_up();
  }
  connect_anew();
  CHECK(send_some(HEADER, true));
  CHECK(!send_some(BODY, true));
  receive(HEADER + BODY);
  struct host_sock last = h;
  listen_anew(); /* the connection lives on */
  together_end();
  CHECK(last.kin->refs == 1 && pairing_expected(&last.kin->sends));
  hang_up();
  connect_anew();
  CHECK(!send_some(HEADER, true));
  together_end();
  hang_up();
}

static void *run(void *arg) {
  (void)arg;
  uf_vcpu_self = &vcpus[0];
  other_io();
  switched(true);
  switched(false);
  idle();
  asked();
  elsewhere();
  crossed();
  second(false);
  second(true);
  first_in_part();
  closed();
  corked();
  not_pairs();
  kin();
  printf("together_test: ok\n");
  return NULL;
}

int main(void) {
  vcpus[1].id = 1;
  run_as_thread(run);
  return 0;
}

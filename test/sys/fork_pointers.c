/* SPDX-License-Identifier: MIT */
/* Pointers in every disguise mean the same in the child: hashed by address, tagged, XORed, as code.
 */
#include "check.h"

enum { SLOTS = 1024, NODES = 300 };

struct node {
  uintptr_t link; /* XOR of the neighbours' addresses */
  int value;
};

static struct node *table[SLOTS]; /* open addressing, keyed by the address itself */

static unsigned slot_of(void *p) { return (uint32_t)((uintptr_t)p * 2654435761u) % SLOTS; }

static void insert(struct node *n) {
  unsigned i = slot_of(n);
  while (table[i])
    i = (i + 1) % SLOTS;
  table[i] = n;
}

static int contains(struct node *n) {
  for (unsigned i = slot_of(n); table[i]; i = (i + 1) % SLOTS)
    if (table[i] == n)
      return 1;
  return 0;
}

static int add(int a, int b) { return a + b; }
static int sub(int a, int b) { return a - b; }
static int mul(int a, int b) { return a * b; }
static int (*volatile operations[])(int, int) = {add, sub, mul};

static int walk(struct node *first) {
  int sum = 0;
  uintptr_t before = 0;
  for (struct node *n = first; n;) {
    CHECK(contains(n));
    sum += n->value;
    uintptr_t next = n->link ^ before;
    before = (uintptr_t)n;
    n = (struct node *)next;
  }
  return sum;
}

static void verify(struct node *first, uintptr_t tagged) {
  EXPECT(walk(first), NODES * (NODES - 1) / 2);
  CHECK((tagged & 7) == 5 && ((struct node *)(tagged & ~(uintptr_t)7))->value == 17);
  CHECK(operations[0](6, 3) == 9 && operations[1](6, 3) == 3 && operations[2](6, 3) == 18);
}

int main(void) {
  struct node *nodes[NODES];
  for (int i = 0; i < NODES; i++) {
    nodes[i] = malloc(sizeof **nodes + i % 40);
    nodes[i]->value = i;
    insert(nodes[i]);
  }
  for (int i = 0; i < NODES; i++)
    nodes[i]->link =
        (i ? (uintptr_t)nodes[i - 1] : 0) ^ (i + 1 < NODES ? (uintptr_t)nodes[i + 1] : 0);
  uintptr_t tagged = (uintptr_t)nodes[17] | 5;
  verify(nodes[0], tagged);
  IN_CHILD {
    verify(nodes[0], tagged);
    IN_CHILD { verify(nodes[0], tagged); }
    END_CHILD(0);
  }
  END_CHILD(0);
  verify(nodes[0], tagged);
  return done();
}

/* SPDX-License-Identifier: MIT */
/*
 * loops NAME: one of a dozen small CPU-bound loops, each about a third of a second, each stressing
 * one thing that the sandbox may slow down. Prints a checksum. `loops` lists the names.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 12345;
static uint32_t rnd(void) { return seed = seed * 1664525 + 1013904223; }

/* Byte stores with a stride. */
static uint64_t sieve(void) {
  enum { N = 4000000 };
  static char composite[N];
  uint64_t primes = 0;
  for (int round = 0; round < 8; round++) {
    memset(composite, 0, sizeof composite);
    for (unsigned i = 2; i < N; i++)
      if (!composite[i]) {
        primes++;
        for (unsigned j = 2 * i; j < N; j += i)
          composite[j] = 1;
      }
  }
  return primes;
}

/* Floating point on two-dimensional arrays. */
static uint64_t matrix(void) {
  enum { N = 300 };
  static double a[N][N], b[N][N], c[N][N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++)
      a[i][j] = i + j, b[i][j] = i - j;
  for (int round = 0; round < 10; round++)
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        double s = 0;
        for (int k = 0; k < N; k++)
          s += a[i][k] * b[k][j];
        c[i][j] = s + round;
      }
  return (uint64_t)(int64_t)c[17][230];
}

/* Floating point on structures. */
static uint64_t nbody(void) {
  static struct { double x[3], v[3], m; } p[5];
  for (int i = 0; i < 5; i++) {
    for (int k = 0; k < 3; k++)
      p[i].x[k] = i * 1.5 + k, p[i].v[k] = (i - k) * 0.01;
    p[i].m = 1 + i * 0.1;
  }
  for (int step = 0; step < 4000000; step++) {
    for (int i = 0; i < 5; i++)
      for (int j = i + 1; j < 5; j++) {
        double d[3], r = 0.1;
        for (int k = 0; k < 3; k++)
          d[k] = p[i].x[k] - p[j].x[k], r += d[k] * d[k];
        double mag = 0.0001 / (r * r);
        for (int k = 0; k < 3; k++)
          p[i].v[k] -= d[k] * p[j].m * mag, p[j].v[k] += d[k] * p[i].m * mag;
      }
    for (int i = 0; i < 5; i++)
      for (int k = 0; k < 3; k++)
        p[i].x[k] += 0.0001 * p[i].v[k];
  }
  return (uint64_t)(p[0].x[0] * 1e9 + 1e12);
}

/* Comparisons and swaps through pointers, recursion. */
static void quick(int *v, long n) {
  while (n > 8) {
    int pivot = v[n / 2];
    long i = 0, j = n - 1;
    while (i <= j) {
      while (v[i] < pivot)
        i++;
      while (v[j] > pivot)
        j--;
      if (i <= j) {
        int t = v[i];
        v[i++] = v[j];
        v[j--] = t;
      }
    }
    quick(v, j + 1);
    v += i;
    n -= i;
  }
  for (long i = 1; i < n; i++) {
    int x = v[i];
    long j = i;
    for (; j > 0 && v[j - 1] > x; j--)
      v[j] = v[j - 1];
    v[j] = x;
  }
}

static uint64_t quicksort(void) {
  enum { N = 1000000 };
  static int v[N];
  uint64_t sum = 0;
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < N; i++)
      v[i] = (int)(rnd() >> 1);
    quick(v, N);
    sum += (uint64_t)v[N / 3];
  }
  return sum;
}

/* Calls through a function pointer from the C library. */
static int compare(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  return (x > y) - (x < y);
}

static uint64_t libsort(void) {
  enum { N = 500000 };
  static int v[N];
  for (int i = 0; i < N; i++)
    v[i] = (int)(rnd() >> 1);
  qsort(v, N, sizeof *v, compare);
  return (uint64_t)v[N / 3];
}

/* Loads at random places. */
static uint64_t hash(void) {
  enum { SIZE = 1 << 16 };
  static uint32_t keys[SIZE], values[SIZE];
  uint64_t sum = 0;
  for (int i = 0; i < 60000000; i++) {
    uint32_t k = (rnd() >> 8 & 0x7fff) | 1, h = k * 2654435761u >> 16;
    while (keys[h] && keys[h] != k)
      h = (h + 1) & (SIZE - 1);
    keys[h] = k;
    sum += values[h]++;
  }
  return sum;
}

/* Allocation, recursion and pointers. */
struct node {
  struct node *left, *right;
};

static struct node *tree(int depth) {
  struct node *n = malloc(sizeof *n);
  if (!n)
    abort();
  n->left = depth ? tree(depth - 1) : NULL;
  n->right = depth ? tree(depth - 1) : NULL;
  return n;
}

static uint64_t count(struct node *n) {
  uint64_t c = n->left ? 1 + count(n->left) + count(n->right) : 1;
  free(n);
  return c;
}

static uint64_t trees(void) {
  uint64_t sum = 0;
  for (int i = 0; i < 40; i++)
    sum += count(tree(15));
  return sum;
}

/* The C library's string functions. */
static uint64_t strings(void) {
  static char a[4096], b[8192];
  uint64_t sum = 0;
  for (int i = 0; i < 4095; i++)
    a[i] = (char)('a' + i % 23);
  for (int round = 0; round < 60000; round++) {
    strcpy(b, a + round % 64);
    sum += strlen(b);
    sum += (uint64_t)(strchr(b, 'z' - 3 - round % 3) - b);
    b[round % 1000 + 500] = '#';
    sum += (uint64_t)(memcmp(a + round % 64, b, 2000) < 0);
    sum += (uint64_t)(strstr(b, "efg#") != NULL);
    memcpy(b + 4096, b, (size_t)(round % 2000));
  }
  return sum;
}

/* Table look-ups byte by byte. */
static uint64_t crc(void) {
  static uint32_t table[256];
  static unsigned char data[1 << 16];
  for (uint32_t i = 0; i < 256; i++) {
    table[i] = i;
    for (int k = 0; k < 8; k++)
      table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320 : table[i] >> 1;
  }
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (unsigned char)rnd();
  uint32_t c = 0;
  for (int round = 0; round < 1200; round++)
    for (size_t i = 0; i < sizeof data; i++)
      c = table[(c ^ data[i]) & 255] ^ c >> 8;
  return c;
}

/* Calls and returns. */
static uint64_t __attribute__((noinline)) fib_of(int n) {
  return n < 2 ? (uint64_t)n : fib_of(n - 1) + fib_of(n - 2);
}
static uint64_t fib(void) { return fib_of(39); }

/* Indirect calls of changing targets. */
static uint64_t op_add(uint64_t a, uint64_t b) { return a + b; }
static uint64_t op_xor(uint64_t a, uint64_t b) { return a ^ b; }
static uint64_t op_mul(uint64_t a, uint64_t b) { return a * (b | 1); }
static uint64_t op_rot(uint64_t a, uint64_t b) { return a << 7 ^ a >> 57 ^ b; }

static uint64_t calls(void) {
  static uint64_t (*volatile const ops[])(uint64_t, uint64_t) = {op_add, op_xor, op_mul, op_rot};
  uint64_t acc = 1;
  for (uint64_t i = 0; i < 120000000; i++)
    acc = ops[i & 3](acc, i);
  return acc;
}

/* A switch in a loop: a jump table. */
static uint64_t interpret(void) {
  static unsigned char code[64];
  for (size_t i = 0; i < sizeof code; i++)
    code[i] = (unsigned char)(rnd() >> 16) % 8;
  uint64_t a = 1, b = 2, c = 3;
  for (int round = 0; round < 1200000; round++)
    for (size_t pc = 0; pc < sizeof code; pc++)
      switch (code[pc]) {
      case 0:
        a += b;
        break;
      case 1:
        b ^= c;
        break;
      case 2:
        c = c * 3 + 1;
        break;
      case 3:
        a -= c;
        break;
      case 4:
        b += a >> 3;
        break;
      case 5:
        c ^= a;
        break;
      case 6:
        a = b << 1 | b >> 63;
        break;
      case 7:
        b -= 7;
        break;
      }
  return a ^ b ^ c;
}

/* Nothing but the latency of loads. */
static uint64_t chase(void) {
  enum { N = 4096 };
  static struct cell {
    struct cell *next;
    long pad[3];
  } cells[N];
  static int order[N];
  for (int i = 0; i < N; i++)
    order[i] = i;
  for (int i = N - 1; i > 0; i--) {
    int j = (int)(rnd() >> 8) % (i + 1), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (int i = 0; i < N; i++)
    cells[order[i]].next = &cells[order[(i + 1) % N]];
  struct cell *p = cells;
  for (long i = 0; i < 120000000; i++)
    p = p->next;
  return (uint64_t)(p - cells);
}

static const struct {
  const char *name;
  uint64_t (*run)(void);
} loops[] = {
    {"sieve", sieve},     {"matrix", matrix}, {"nbody", nbody}, {"quicksort", quicksort},
    {"libsort", libsort}, {"hash", hash},     {"trees", trees}, {"strings", strings},
    {"crc", crc},         {"fib", fib},       {"calls", calls}, {"interpret", interpret},
    {"chase", chase},
};

int main(int argc, char **argv) {
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
    if (argc < 2)
      puts(loops[i].name);
    else if (strcmp(argv[1], loops[i].name) == 0)
      printf("%llu\n", (unsigned long long)loops[i].run());
  return 0;
}

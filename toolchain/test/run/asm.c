/* SPDX-License-Identifier: MIT */
/* Constructs of hand-written assembly, with results that show what they did. */
#include <stdio.h>
#include <string.h>

static char from[64] = "the quick brown fox jumps over the lazy dog", to[64];

static void strings(void) {
  void *d = to, *s = from;
  long n = 20;
  __asm__ volatile("rep; movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
  printf("%s %ld %ld %ld\n", to, (long)((char *)d - to), (long)((char *)s - from), n);
  d = to;
  n = 3;
  __asm__ volatile("rep\n\tstosw" : "+D"(d), "+c"(n) : "a"(0x4142) : "memory");
  printf("%s\n", to);
  d = from;
  n = 64;
  __asm__ volatile("repne scasb" : "+D"(d), "+c"(n) : "a"('q') : "cc");
  printf("%ld\n", (long)((char *)d - from));
  void *a = "same same", *b = "same sane";
  unsigned char differ;
  n = 9;
  __asm__ volatile("repe cmpsb; setne %3" : "+S"(a), "+D"(b), "+c"(n), "=q"(differ) : : "cc");
  printf("%ld %d\n", n, differ);
  int word;
  s = from;
  __asm__ volatile("lodsl" : "+S"(s), "=a"(word));
  printf("%.4s\n", (char *)&word);
  __asm__ volatile("movsq" : "+D"(d), "+S"(s) : : "memory");
}

/* Flags must survive a string instruction and a touch of the stack. */
static void flags(void) {
  unsigned char carry, zero;
  void *d = to;
  long n = 4;
  __asm__ volatile("cmp %4, %5\n\t"
                   "rep stosb\n\t"
                   "sub $0, %%ecx\n\t"
                   "sete %1\n\t"
                   "setc %0"
                   : "=q"(carry), "=q"(zero), "+D"(d), "+c"(n)
                   : "r"(5), "r"(5), "a"('x')
                   : "memory", "cc");
  printf("%d %d\n", carry, zero);
  __asm__ volatile("stc\n\trep stosb\n\tsetc %0"
                   : "=q"(carry), "+D"(d), "+c"(n)
                   : "a"(0)
                   : "memory");
  printf("%d\n", carry);
}

long counted(long n);
long stacked(long a, long b);
long through_memory(long x);
long leaves(long x);
long relative(void);
long moves(long x);
long calls_back(long (*f)(long), long x);
__asm__(".text\n"
        ".macro begin name\n"
        "  .globl \\name\n  .type \\name,@function\n\\name:\n"
        ".endm\n"
        "begin counted\n"
        "  mov %rdi,%rcx; xor %eax,%eax; jrcxz 2f\n"
        "1: add %rcx,%rax; loop 1b\n"
        "2: ret\n"
        "begin stacked\n"
        "  push %rbx; push %rbp; mov %rsp,%rbp\n"
        "  sub $40,%rsp; mov %rdi,-8(%rbp); mov %rsi,8(%rsp)\n"
        "  lea 8(%rsp),%rbx; mov (%rbx),%rax; add -8(%rbp),%rax\n"
        "  pushq -8(%rbp); popq 16(%rsp); add 16(%rsp),%rax\n"
        "  mov %rbp,%rsp; pop %rbp; pop %rbx; ret\n"
        "begin through_memory\n"
        "  jmp *3f(,%rdi,8)\n"
        "4: mov $40,%eax; ret\n"
        "5: mov $50,%eax; ret\n"
        "  .pushsection .rodata; .balign 8; 3: .quad 4b, 5b; .popsection\n"
        "begin leaves\n"
        "  push %rbp; mov %rsp,%rbp; sub $16,%rsp; mov %rdi,(%rsp); pushq $5\n"
        "  pop %rax; add (%rsp),%rax; leave; ret\n"
        "begin relative\n"
        "  lea 6f(%rip),%rax; movslq (%rax),%rcx; add %rcx,%rax; jmp *%rax\n"
        "7: mov $77,%eax; ret\n"
        "  .pushsection .rodata; .balign 4; 6: .long 7b-6b; .popsection\n"
        "begin moves\n"
        "  push %rbp; mov %rsp,%rbp; sub $32,%rsp; mov %rdi,-8(%rbp); mov %rdi,-16(%rbp)\n"
        "  mov $5,%eax; sub -8(%rbp),%rsp; add -16(%rbp),%rsp; mov %rsp,%rcx; sub %rbp,%rcx\n"
        "  add %rcx,%rax; movq $-16,8(%rsp); and 8(%rsp),%rsp; movq $16,(%rsp); sub (%rsp),%rsp\n"
        "  mov %rbp,%rcx; sub %rsp,%rcx; and $-16,%rcx; imul $1000,%rcx,%rcx; add %rcx,%rax\n"
        "  leave; ret\n"
        "begin calls_back\n"
        "  sub $24,%rsp; mov %rdi,8(%rsp); mov %rsi,%rdi; call *8(%rsp); add $24,%rsp; ret\n");

static long triple(long x) { return 3 * x; }

/* Exchanges, compare-and-swap, bit operations with memory operands. */
static void atomics(void) {
  static long v = 5;
  static int bits = 0xf0;
  long old = __atomic_exchange_n(&v, 9, __ATOMIC_SEQ_CST), want = 9;
  int ok = __atomic_compare_exchange_n(&v, &want, 12, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  long sum = __atomic_fetch_add(&v, 30, __ATOMIC_SEQ_CST);
  int b = __atomic_fetch_or(&bits, 3, __ATOMIC_SEQ_CST);
  unsigned char bit;
  __asm__ volatile("lock; btsl $2,%0; setc %1" : "+m"(bits), "=q"(bit) : : "cc");
  printf("%ld %d %ld %d %d %d %ld\n", old, ok, sum, b, bit, bits, v);
  printf("%d %d %d\n", __builtin_ctzl(96), __builtin_clzl(1), __builtin_popcountl(255));
}

static void stack_pointer(void) {
  char *sp, here;
  __asm__ volatile("mov %%rsp,%0" : "=r"(sp));
  printf("%d %d\n", &here - sp < 4096 && &here - sp > -4096,
         (unsigned long)sp >> 32 == (unsigned long)&here >> 32);
}

int main(void) {
  strings();
  flags();
  printf("%ld %ld\n", counted(10), counted(0));
  printf("%ld\n", stacked(3, 4));
  printf("%ld %ld\n", through_memory(0), through_memory(1));
  printf("%ld %ld %ld\n", leaves(8), relative(), calls_back(triple, 14));
  printf("%ld\n", moves(64));
  atomics();
  stack_pointer();
  return 0;
}

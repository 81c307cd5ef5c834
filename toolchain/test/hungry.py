# SPDX-License-Identifier: MIT
"""Random C programs whose functions keep more values alive than there are registers.

program(rng) is a complete program that prints a checksum per function. All arithmetic is unsigned,
all shifts are bounded, no division is by zero: the output is the same for every compiler.
"""
FUNCTIONS, VARIABLES, ITERATIONS = 40, 17, 9

HEAD = """\
#include <stdarg.h>
#include <stdio.h>
typedef unsigned long u;
typedef u (*fn)(u, u, u, u, u, u);
typedef u (*variadic)(u, u, u, u, u, u, ...);
static u memory[64];
static _Thread_local u local = 3;
static __attribute__((noinline)) u leaf(u a, u b, u c, u d, u e, u f) { return a + 3 * b ^ c - d * e + f; }
static __attribute__((noinline)) u many(u a, u b, u c, u d, u e, u f, u g, u h, u i, u j) {
  return leaf(a, b, c, d, e, f) ^ leaf(g, h, i, j, a, b);
}
static __attribute__((noinline)) u sum(u a, u b, u c, u d, u e, u f, ...) {
  va_list ap;
  va_start(ap, f);
  u s = va_arg(ap, u) + (u)va_arg(ap, double);
  va_end(ap);
  return s + leaf(a, b, c, d, e, f);
}
static __attribute__((noinline)) u six(u a, u b, u c, u d, u e, u f, ...) { return leaf(f, e, d, c, b, a); }
static variadic volatile va = sum, vb = six;
static __attribute__((noinline)) u tail(u a, u b) { return vb(a, b, a + b, a - b, 5, 6); }
static double real(u x) { return (double)(x & 0xffff); }
static fn volatile pointer = leaf;
"""


def operand(rng):
    return f"v{rng.randrange(VARIABLES)}"


def statement(rng, depth=0):
    a, b, c, d = (operand(rng) for _ in range(4))
    kinds = [
        lambda: f"{a} = {b} {rng.choice(['+', '-', '*', '^', '|', '&'])} {c};",
        lambda: f"{a} += {b} * {rng.choice([2, 3, 5, 8, 9, 1000])} + {c};",
        lambda: f"{a} = {b} << ({c} & 63) | {d} >> 7;",
        lambda: f"{a} = (unsigned)({b} + {c}) {rng.choice(['/', '%'])} ((unsigned){d} | 1);",
        lambda: f"{a} = {b} / ({c} | 1);",
        lambda: f"{a} = (u)((unsigned __int128){b} * {c} >> 64) + {d};",
        lambda: f"{a} = (unsigned char){b} + (unsigned short){c};",
        lambda: f"memory[{a} & 63] {rng.choice(['=', '+=', '^=', '-='])} {b};",
        lambda: f"{a} ^= memory[({b} + {rng.randrange(64)}) & 63];",
        lambda: f"((unsigned char *)memory)[{a} & 511] = (unsigned char){b};",
        lambda: f"{a} += ((unsigned char *)memory)[{b} & 511] < ((unsigned char)({c}));",
        lambda: f"local += {a}, {b} ^= local;",
        lambda: f"{a} = {b} < {c} ? {d} : {a};",
        lambda: f"{a} = leaf({b}, {c}, {d}, {a}, 1, {b} ^ {c});",
        lambda: f"{a} += pointer({b}, {c}, {d}, {a}, {operand(rng)}, {operand(rng)});",
        lambda: f"{a} += many({b}, {c}, {d}, {a}, {b}, {c}, {d}, {a}, {operand(rng)}, {operand(rng)});",
        lambda: f"{a} += va({b}, {c}, {d}, {a}, 5, {b}, {c}, real({d}));",
        lambda: f"{a} += tail({b}, {c});",
        lambda: f"{a} += (u)(real({b}) * 1.5 + real({c}));",
        lambda: f"{a} += block({b}, {c});",
        lambda: f"__builtin_memcpy(memory + ({a} & 31), memory + 32, ({b} & 15) * 8);",
        lambda: f"switch ({a} % 24) {{ "
                + " ".join(f"case {i}: {statement(rng, 2)} break;" for i in range(24)) + " }",
        lambda: f"if ({a} & 4) {{ {statement(rng, 1)} {statement(rng, 1)} }} else {{ {statement(rng, 1)} }}",
        lambda: f"for (u j = 0; j < ({a} & 3); j++) {{ {statement(rng, 1)} {statement(rng, 1)} }}",
    ]
    return rng.choice(kinds if depth == 0 else kinds[:-3])()


# A frame of variable size, and one that is aligned beyond the stack.
BLOCK = """\
static __attribute__((noinline)) u block(u a, u b) {
  u n = (a & 31) + 1, fixed[8] __attribute__((aligned(64)));
  u array[n];
  for (u i = 0; i < n; i++)
    array[i] = a * i + b;
  for (u i = 0; i < 8; i++)
    fixed[i] = leaf(array[i % n], a, b, i, n, (u)fixed & 63);
  return fixed[b & 7] + array[b % n];
}
"""


def function(rng, index):
    names = [f"v{i}" for i in range(VARIABLES)]
    start = ", ".join(f"{n} = a{i % 6} + {i}" for i, n in enumerate(names))
    body = "\n    ".join(statement(rng) for _ in range(rng.randint(8, 30)))
    return (f"static __attribute__((noinline)) u f{index}(u a0, u a1, u a2, u a3, u a4, u a5) {{\n"
            f"  u {start};\n  for (u i = 0; i < {ITERATIONS}; i++) {{\n    {body}\n    v0 += i;\n  }}\n"
            f"  return {' ^ 3 * '.join(names)};\n}}\n")


def program(rng):
    text = HEAD + BLOCK
    text += "".join(function(rng, i) for i in range(FUNCTIONS))
    calls = "".join(f"  printf(\"%d %lx\\n\", {i}, f{i}({', '.join(str(rng.getrandbits(60)) + 'u' for _ in range(6))}));\n"
                    for i in range(FUNCTIONS))
    return text + f"int main(void) {{\n{calls}  return 0;\n}}\n"

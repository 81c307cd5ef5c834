#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of ufork-cc and its stages.  toolchain_test.py BUILD_DIR

golden.txt   construct -> rewritten text, which the verifier must accept as well
refuse.txt   construct -> message with file and line
fuzz         damaged assembly must be accepted or refused, not crash (built with sanitizers)
run/*.c      whole programs: same output sandboxed (through test/load) and built natively
hungry.py    random functions that need every register: same output by clang sandboxed and natively
driver       the compiler driver's command line
Programs and driver are tested with both compilers.
"""
import os
import random
import re
import subprocess
import sys
import tempfile

import hungry

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1])
CC = BUILD + "/bin/ufork-cc"
CLANG = BUILD + "/bin/ufork-clang"
NATIVE = BUILD + "/bin/native-cc"
AS = BUILD + "/libexec/ufork/as"
AS_SANITIZED = BUILD + "/test/as-sanitized"
VERIFY = BUILD + "/bin/ufork-verify"
LOAD = BUILD + "/test/load"

passed = failed = 0


def report(name, why=""):
    """Counts and prints one test; `why` is empty if it passed."""
    global passed, failed
    if why:
        failed += 1
        print(f"FAIL {name}\n     " + why.strip().replace("\n", "\n     "))
    else:
        passed += 1
        print("ok", name)


def run(*cmd, **kw):
    kw.setdefault("timeout", 120)
    return subprocess.run(cmd, capture_output=True, text=True, **kw)


def cases(file):
    """(name, input, expected) of each `== name` block."""
    text = re.sub(r"(?m)^# .*\n", "", open(os.path.join(HERE, file)).read().split("\n\n", 1)[1])
    for block in re.split(r"(?m)^== ", text)[1:]:
        name, rest = block.split("\n", 1)
        source, expected = re.split(r"(?m)^--\n", rest)
        yield name, source, expected


def statements(text):
    out = []
    for line in text.splitlines():
        if not line.startswith(("# 1 ", ".bundle_align_mode")):
            out += [s.strip() for s in re.split(r";(?!')", line) if s.strip()]
    return out


# A snippet becomes a program: what it refers to is defined, and what it falls out of traps.
PROLOGUE = ".text\n.globl _start\n_start:\n"
EPILOGUE = """
.text
hlt
func: ret
.ifndef out
out: hlt
.endif
.data
.ifndef sym
sym: .zero 64
.endif
.section .tdata,"awT",@progbits
tls: .long 0
"""


def test_golden(tmp):
    for name, source, expected in cases("golden.txt"):
        path = f"{tmp}/t.s"
        with open(path, "w") as f:
            f.write(source)
        r = run(AS, "--rewrite-only", path, "-o", "-")
        want = [s.strip() for s in expected.splitlines() if s.strip()]
        got = statements(r.stdout)
        why = r.stderr
        if got != want:
            why += "expected:\n" + "\n".join(want) + "\ngot:\n" + "\n".join(got)
        report("golden: " + name, why)

        with open(path, "w") as f:
            f.write(PROLOGUE + source + EPILOGUE)
        r = run(CC, "-nostdlib", path, "-o", f"{tmp}/t")
        if r.returncode == 0:
            r = run(VERIFY, f"{tmp}/t")
        report("accepted: " + name, (r.stdout + r.stderr) if r.returncode else "")


def test_refuse(tmp):
    for name, source, expected in cases("refuse.txt"):
        with open(f"{tmp}/t.s", "w") as f:
            f.write(source)
        line, message = re.fullmatch(r"(?:@(\d+)\n)?(.*)\n*", expected, re.S).groups()
        r = run(CC, "-c", "t.s", "-o", "t.o", cwd=tmp)
        why = ""
        if r.returncode == 0:
            why = "was not refused"
        elif f"t.s:{line or 1}:" not in r.stderr or message.strip() not in r.stderr:
            why = f"expected t.s:{line or 1} and `{message.strip()}`, got:\n{r.stderr}"
        report("refused: " + name, why)


def damaged(source, rng):
    text = list(source)
    for _ in range(rng.randint(1, 8)):
        i, what = rng.randrange(len(text)), rng.random()
        junk = rng.choice("%$(),;:\"'#*\\@{}1=-+. \nabr")
        if what < 0.4:
            del text[i]
        elif what < 0.8:
            text.insert(i, junk)
        else:
            text[i] = junk
    return "".join(text)


def test_fuzz(tmp):
    rng = random.Random(1)
    sources = [source for _, source, _ in cases("golden.txt")]
    why = ""
    for _ in range(300):
        text = damaged("\n".join(rng.sample(sources, 3)), rng)
        with open(f"{tmp}/t.s", "w") as f:
            f.write(text)
        r = run(AS_SANITIZED, "--rewrite-only", f"{tmp}/t.s", "-o", f"{tmp}/t.out",
                env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        if r.returncode not in (0, 1) or (r.returncode == 1 and "error: " not in r.stderr) or \
                "Sanitizer" in r.stderr or "runtime error" in r.stderr:
            why = f"status {r.returncode} {r.stderr[:2000]}\nof\n{text}"
            break
    report("fuzz: 300 damaged sources", why)


def sandboxed(name, want, cc, *args, slides=("0", "4321")):
    """Compiles, verifies and runs; `want` is the result of the native program."""
    program = args[args.index("-o") + 1]
    r = run(cc, *args)
    if r.returncode == 0:
        r = run(VERIFY, program)
    if r.returncode:
        report(name, r.stdout + r.stderr)
        return
    for slide in slides:
        got = run(LOAD, "-s", slide, program)
        why = ""
        if (got.returncode, got.stdout) != (want.returncode, want.stdout):
            why = (f"slide {slide}: expected status {want.returncode}:\n{want.stdout}"
                   f"got {got.returncode}:\n{got.stdout}{got.stderr}")
        report(f"{name} slid {slide}", why)


def test_programs(tmp):
    for file in sorted(os.listdir(HERE + "/run")):
        source = f"{HERE}/run/{file}"
        r = run(NATIVE, "-O1", source, "-o", f"{tmp}/n", "-lm")
        if r.returncode:
            report(f"run: {file} natively", r.stderr)
            continue
        want = run(f"{tmp}/n")
        for flags in ("-O0", "-O1", "-O2 -g", "-O3 -march=haswell", "-Os -fPIC"):
            for cc in (CC, CLANG):
                sandboxed(f"run: {file} {os.path.basename(cc)} {flags}", want, cc, *flags.split(), source,
                          "-o", f"{tmp}/u", "-lm")


def test_hungry(tmp):
    for seed, flags in enumerate(("-O0", "-O1", "-O2", "-O2 -g -fno-omit-frame-pointer",
                                  "-O3 -march=skylake", "-Os -gdwarf-5", "-Oz -mtune=btver2")):
        source, name = f"{tmp}/h.c", f"hungry: {seed} {flags}"
        with open(source, "w") as f:
            f.write(hungry.program(random.Random(seed)))
        r = run("clang-14", *flags.split(), source, "-o", f"{tmp}/n")
        if r.returncode:
            report(name, r.stderr)
            continue
        sandboxed(name, run(f"{tmp}/n"), CLANG, *flags.split(), source, "-o", f"{tmp}/u", slides=("7",))


def check(name, result, status=0, out=None, err=None):
    """One test of the driver: status, and patterns for both outputs."""
    why = ""
    if result.returncode != status:
        why = f"status {result.returncode}\n{result.stdout}{result.stderr}"
    if out is not None and not re.search(out, result.stdout):
        why += f"\nstdout does not match `{out}`:\n{result.stdout}"
    if err is not None and not re.search(err, result.stderr):
        why += f"\nstderr does not match `{err}`:\n{result.stderr}"
    report("driver: " + name, why)


def test_driver(tmp):
    for compiler in ("gcc", "clang"):
        folder = f"{tmp}/{compiler}"
        os.mkdir(folder)
        driver(folder, compiler)


def driver(tmp, compiler):
    env = {**os.environ, "UFORK_CC": compiler}

    def expect(name, *args, **kw):
        check(f"{compiler}: {name}", *args, **kw)

    def write(name, text):
        with open(f"{tmp}/{name}", "w") as f:
            f.write(text)

    def cc(*args, **kw):
        return run(CC, *args, cwd=tmp, env=env, **kw)

    write("a.c", '#include <stdio.h>\n#include "b.h"\nint main(void) { printf("%d\\n", b(X)); return 0; }\n')
    write("b.h", "int b(int);\n")
    write("b.c", '#include "b.h"\nint b(int x) { return 2 * x; }\n')
    write("c.S", "#define R %eax\n.globl c\nc: mov %edi, R\nret\n")
    expect("several sources", cc("-DX=21", "-O2", "a.c", "b.c", "-o", "ab"))
    expect("several sources run", run(LOAD, f"{tmp}/ab"), out="^42$")
    write("args", "-DX=4 'a.c' b.c\n-o \"a b\"")
    expect("response file", cc("@args"))
    expect("response file runs", run(LOAD, f"{tmp}/a b"), out="^8$")
    expect("objects and archive", cc("-c", "b.c", "c.S"))
    report(f"driver: {compiler}: ar", run("ar", "rcs", "libb.a", "b.o", "c.o", cwd=tmp).stderr)
    expect("library", cc("-DX=5", "a.c", "-L.", "-lb", "-o", "l"))
    expect("library runs", run(LOAD, f"{tmp}/l"), out="^10$")
    expect("partial link", cc("-r", "b.o", "c.o", "-o", "bc.o"))
    expect("partial link links", cc("-DX=5", "a.c", "bc.o", "-o", "p"))
    expect("-E", cc("-E", "-DX=77", "a.c"), out=r"b\(77\)")
    expect("-S to stdout", cc("-S", "-o", "-", "b.c"), out="b:")
    expect("standard input", cc("-x", "c", "-c", "-", "-o", "i.o", input="int i;"))
    expect("-pipe", cc("-pipe", "-c", "b.c"))
    expect("-MMD", cc("-MMD", "-MF", "d", "-DX=1", "-c", "a.c"))
    report(f"driver: {compiler}: depfile", "" if "b.h" in open(f"{tmp}/d").read() else "b.h is missing")
    expect("--version", cc("--version"), out="Free Software Foundation" if compiler == "gcc" else "clang version 14")
    expect("--help", cc("--help"), out="UFORK_CC=clang")
    expect("-dumpmachine", cc("-dumpmachine"), out="^x86_64-linux-musl$")
    expect("-print-file-name", cc("-print-file-name=libc.a"), out=f"^{BUILD}/sysroot/lib/libc.a$")
    expect("-fPIC is dropped", cc("-fPIC", "-fpie", "-pie", "-DX=3", "a.c", "b.c", "-o", "q"))
    report(f"driver: {compiler}: -fPIC is verified", run(VERIFY, f"{tmp}/q").stderr)
    expect("-flto is ignored", cc("-flto", "-O2", "-DX=3", "a.c", "b.c", "-o", "lto"))
    expect("-flto runs", run(LOAD, f"{tmp}/lto"), out="^6$")
    expect("-s", cc("-s", "-DX=3", "a.c", "b.c", "-o", "s"))
    expect("-s runs", run(LOAD, f"{tmp}/s"), out="^6$")
    report(f"driver: {compiler}: strip", run("strip", f"{tmp}/ab").stderr)
    expect("strip keeps relocations", run(LOAD, "-s", "99", f"{tmp}/ab"), out="^42$")
    expect("-o /dev/null", cc("-DX=3", "a.c", "b.c", "-o", "/dev/null"))
    expect("-o /dev/null fails", cc("-DX=3", "a.c", "-o", "/dev/null"), 1, err="undefined reference to `b'")
    expect("gc-sections", cc("-DX=3", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
                             "a.c", "b.c", "-o", "g"))
    expect("gc-sections runs", run(LOAD, "-s", "3", f"{tmp}/g"), out="^6$")
    expect("-shared", cc("-shared", "b.c"), 1, err="shared libraries are not supported")
    expect("-m32", cc("-m32", "-c", "b.c"), 1, err="only 64-bit code")
    env["UFORK_CC"] = "clang-19"
    expect("other clang", cc("-c", "b.c"), 1, err="clang that can be used is clang-14")
    env["UFORK_CC"] = compiler
    write("e.c", "int f(void) {\n  int x = 0;\n\n  __asm__(\"mov %%r15, %0\" : \"=r\"(x));\n  return x;\n}\n")
    expect("inline assembly has a line", cc("-c", "e.c"), 1, err=r"e\.c:4: error: %r15 is reserved")
    write("w.c", "int f(int x) {}\n")
    expect("warnings", cc("-Wall", "-Werror", "-c", "w.c"), 1, err="w.c:1")
    expect("undefined symbol", cc("-DX=1", "a.c", "-o", "u"), 1, err="undefined reference to `b'")
    write("n.c", "long g(long); int main(void) { return (int)g(1); }\n")
    subprocess.run(["gcc", "-fPIC", "-c", "-x", "c", "-", "-o", "n.o"], cwd=tmp, text=True, check=True,
                   input="long *p; long v; long g(long x) { p = &v; return x; }")
    expect("foreign object", cc("n.c", "n.o", "-o", "f"), 1, err="ufork-cc")
    write("where.c", "#include <stdio.h>\n#include <sys/utsname.h>\nint main(int argc, char **argv) {\n"
          "  struct utsname u;\n  uname(&u);\n  puts(u.version);\n"
          "  return !fopen(\"made\", \"w\") || (argc > 1 && !fopen(argv[1], \"r\")) ? 1 : 5;\n}\n")
    write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.13)\nproject(t C ASM)\nenable_testing()\n"
          "add_library(b b.c c.S)\nadd_executable(t a.c)\n"
          "target_compile_definitions(t PRIVATE X=6)\ntarget_link_libraries(t b)\n"
          "add_executable(w where.c)\n"
          "add_test(NAME where COMMAND w ${CMAKE_SOURCE_DIR}/where.c)\n"
          "set_tests_properties(where PROPERTIES PASS_REGULAR_EXPRESSION uFork)\n"
          "try_run(status compiled ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR}/where.c RUN_OUTPUT_VARIABLE said)\n"
          "file(WRITE ${CMAKE_BINARY_DIR}/tried \"${compiled} ${status} ${said}\")\n")
    r = run("cmake", f"-DCMAKE_TOOLCHAIN_FILE={BUILD}/share/ufork/toolchain.cmake", "-S", ".", "-B",
            "cm", cwd=tmp, env=env)
    if r.returncode == 0:
        r = run("cmake", "--build", "cm", cwd=tmp, env=env)
    expect("cmake", r)
    expect("cmake: try_run", run("cat", f"{tmp}/cm/tried"), out="^TRUE 5 uFork ")
    expect("cmake: ctest", run("ctest", "-V", cwd=f"{tmp}/cm"), out="100% tests passed")
    report(f"driver: {compiler}: cmake: where a test runs",
           "" if os.path.exists(f"{tmp}/cm/made") else "not in the build directory")
    expect("cmake program runs", run(LOAD, f"{tmp}/cm/t"), out="^12$")


def main():
    with tempfile.TemporaryDirectory() as tmp:
        for test in (test_golden, test_refuse, test_fuzz, test_programs, test_hungry, test_driver):
            test(tmp)
    print(f"toolchain: {passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())

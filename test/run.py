#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the system tests: every C program of test/sys, on Linux, under `ufork run`, and on platform
pc in an emulated machine.

    run.py --build DIR --system native|ufork|pc [--compiler gcc|clang] [--cpus N] [--debug] [--jobs N]
           [NAME...]

A test is compiled by the system's compiler and run in a directory of its own. It passes when it
ends in time, with the expected exit status (0), and prints exactly the expected text: that of
NAME.out if the file exists, else "ok". All systems are held to the same expectation.

A comment `/* test: KEY=VALUE... */` in the program may set:
    timeout=SECONDS   what the run may take on a host that is not busy (60); its limit is some times that
    exit=STATUS       expected exit status; a shell's 128+N for death by signal N
    only=SYSTEM       the test asks something that one system alone has (ufork: on every platform)
    options=OPT,...   options of `ufork run`
    args=ARG,...      arguments of the program
    cflags=FLAG,...   further flags of the compiler, libraries too
"""
import argparse
import concurrent.futures
import difflib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pc_system
from background import hear_signals

HERE = Path(__file__).resolve().parent
CFLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]
# clang alone warns of check.h's OK() among the operands of a comma.
CLANG_FLAGS = ["-Wno-unused-value"]
# How much longer than a time-out says, so that on a busy host only what hangs meets it.
PATIENCE = 5
DEFAULTS = {"timeout": "60", "exit": "0", "only": "", "options": "", "args": "", "cflags": ""}


def settings(source):
    """The test's settings, from the comment in its source."""
    found = dict(DEFAULTS)
    for line in re.findall(r"/\* test: (.*?) \*/", source.read_text()):
        for item in line.split():
            key, _, value = item.partition("=")
            if key not in DEFAULTS:
                raise SystemExit(f"{source}: unknown setting {key}")
            found[key] = value
    return found


def compiler(system, build, name):
    """The compiler's command line; natively the one with our musl if it is built."""
    ufork = "ufork-clang" if name == "clang" else "ufork-cc"
    cc = build / "bin" / ("native-cc" if system == "native" else ufork)
    if system == "native" and not cc.exists():
        return ["gcc", "-static"]
    return [str(cc)]


def run(command, timeout, cwd=None, env=None):
    """Runs a command in its own session; returns (status as a shell says it, stdout, stderr)."""
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    try:
        out, err = process.communicate(timeout=timeout)
        status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        status = f"time-out after {timeout} s"
    finally:
        try:  # what the test left behind
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return status, out.decode(errors="replace"), err.decode(errors="replace")


class Test:
    def __init__(self, name, system, build, cc, cpus="", debug=False):
        self.name, self.system, self.build, self.cc = name, system, build, cc
        self.ufork = [f"{build}/bin/ufork{'-debug' if debug else ''}", "run"]
        self.ufork += [f"--cpus={cpus}"] if cpus else []
        self.source = HERE / "sys" / f"{name}.c"
        self.set = settings(self.source)
        self.variant = system if cc == "gcc" else f"{system}-{cc}"
        self.variant += (f", {cpus} CPUs" if cpus else "") + (", debug" if debug else "")
        built = "native" if system == "native" else "ufork" if cc == "gcc" else f"ufork-{cc}"
        self.program = build / "test" / built / name

    def title(self):
        return f"sys/{self.name} ({self.variant})"

    def compile(self):
        """Compiles if anything it depends on is newer; returns the compiler's complaints."""
        cc = compiler(self.system, self.build, self.cc)
        inputs = [self.source, HERE / "sys" / "check.h", HERE / "run.py"]
        inputs += [Path(cc[0])] if os.path.isabs(cc[0]) else []
        inputs += [p for p in [self.build / "sysroot/lib/libc.a"] if self.system != "native"]
        newest = max(p.stat().st_mtime for p in inputs if p.exists())
        if self.program.exists() and self.program.stat().st_mtime > newest:
            return ""
        self.program.parent.mkdir(parents=True, exist_ok=True)
        flags = CFLAGS + (CLANG_FLAGS if self.cc == "clang" else [])
        flags += [f for f in self.set["cflags"].split(",") if f]
        try:
            status, out, err = run(cc + [str(self.source), "-o", str(self.program)] + flags, 900)
        except OSError as problem:
            return str(problem)
        return "" if status == 0 else f"compiler: {status}\n{out}{err}"

    def command(self):
        arguments = [a for a in self.set["args"].split(",") if a]
        if self.system == "native":
            return [str(self.program)] + arguments
        options = [o for o in self.set["options"].split(",") if o]
        given = os.environ.get("UFORK_RUN")
        return (shlex.split(given) if given else self.ufork) + options + [str(self.program)] + arguments

    def check(self):
        """Runs the test; returns what is wrong, or nothing."""
        complaint = self.compile()
        if complaint:
            return complaint
        directory = tempfile.mkdtemp(prefix="ufork-test-")
        env = {"PATH": "/usr/bin:/bin", "HOME": "/", "LC_ALL": "C", "TMPDIR": directory}
        if self.system == "ufork":
            del env["TMPDIR"]
        try:
            status, out, err = run(self.command(), PATIENCE * float(self.set["timeout"]), directory, env)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return self.judge(status, out, err)

    def judge(self, status, out, err):
        """What is wrong with how the test ended and what it printed."""
        wrong = []
        if str(status) != self.set["exit"]:
            wrong.append(f"exit status {status}, expected {self.set['exit']}")
        expected_file = self.source.with_suffix(".out")
        expected = expected_file.read_text() if expected_file.exists() else "ok\n"
        if out != expected:
            wrong += difflib.unified_diff(expected.splitlines(), out.splitlines()[:200], "expected",
                                          "printed", lineterm="", n=2)
        if wrong and err:
            wrong += ["standard error:"] + err.splitlines()[-20:]
        return "\n".join(wrong)


def check_here(tests, jobs):
    """Yields each test with what is wrong."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from zip(tests, pool.map(Test.check, tests))


def check_on_pc(tests, cpus):
    """The same in a virtual machine; a test that does not compile is not taken there."""
    compiled = []
    for test in tests:
        complaint = test.compile()
        if complaint:
            yield test, complaint
        else:
            compiled.append(test)
    if compiled:
        for test, status, out, err in pc_system.run_all(compiled[0].build, compiled, cpus):
            yield test, test.judge(status, out, err)


def main():
    hear_signals()
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=HERE.parent / "build")
    parser.add_argument("--system", choices=["native", "ufork", "pc"], required=True)
    parser.add_argument("--compiler", choices=["gcc", "clang"], default="gcc",
                        help="of the programs under ufork and on pc")
    parser.add_argument("--cpus", default="", help="virtual ones under ufork (default: the host's), on pc the machine's (default: 2)")
    parser.add_argument("--debug", action="store_true", help="under ufork: the debug kernel")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*", metavar="NAME", help="tests to run (default: all)")
    args = parser.parse_args()
    os.umask(0o022)

    names = args.names or sorted(p.stem for p in (HERE / "sys").glob("*.c"))
    if args.system == "native" and args.compiler != "gcc":
        parser.error("the native tests are compiled by gcc")
    if args.system == "pc" and not args.cpus:
        args.cpus = "2"
    if args.system == "native" and args.cpus or args.system != "ufork" and args.debug:
        parser.error("--cpus is not for native, and --debug only for ufork")
    tests = [Test(name, args.system, args.build.resolve(), args.compiler, args.cpus, args.debug)
             for name in names]
    tests = [t for t in tests if t.set["only"] in ("", args.system) or
             (t.set["only"] == "ufork" and args.system == "pc")]
    failed = 0
    on_pc = args.system == "pc"
    if on_pc:
        for test in tests:
            test.variant = f"pc, CPUs: {args.cpus}"
    for test, wrong in check_on_pc(tests, int(args.cpus)) if on_pc else check_here(tests, args.jobs):
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok'} {test.title()}", flush=True)
        if wrong:
            print("    " + wrong.replace("\n", "\n    "), flush=True)
    variant = "" if args.compiler == "gcc" else f", {args.compiler}"
    variant += f", CPUs: {args.cpus}" if args.cpus else ""
    variant += ", debug" if args.debug else ""
    print(f"system tests ({args.system}{variant}): {len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

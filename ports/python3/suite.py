#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's own tests on uFork and, from the same source with the same C library, on Linux.

    suite.py [--only ufork|native] [--seconds N] [MODULE[:PATTERN]...]

$O is the build directory, with the port installed for both. Results go to $O/ports/python3-suite:
MODULE.SYSTEM.jsonl, a line for each case, MODULE.SYSTEM.log, and report.txt: the counts and every
case that does not end alike. Status 1 if a case fails on uFork alone and doc/python.md does not
say why.
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path(os.environ["O"])
WORK = OUT / "ports/python3-suite"
MODULES = """test_fork1 test_os test_posix test_subprocess test_signal test_threading test_socket
test_select test_mmap test_multiprocessing_fork test_asyncio test_tempfile test_pty
test_hashlib test_ssl""".split()
BAD = ("fail", "error", "crash", "hang")


def unpack():
    """Lib/test of the port's source into WORK/lib, compiled where it matters."""
    lock = [line for line in (HERE.parent / "sources.lock").open() if line.startswith("python3")]
    stamp = WORK / "lib/source"
    if stamp.exists() and stamp.read_text() == lock[0]:
        return
    shutil.rmtree(WORK / "lib", ignore_errors=True)
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as source:
        subprocess.run([HERE.parent / "fetch.sh", "python3.11", source], check=True)
        shutil.move(f"{source}/Lib/test", WORK / "lib/test")
    python = "/usr/bin/python3.11"  # as in the recipe
    compile_all = [python, "-m", "compileall", "-q", "-s", WORK / "lib"]
    compile_all += ["--invalidation-mode", "unchecked-hash", "-x", "bad_coding|badsyntax"]
    subprocess.run([*compile_all, "-r1", WORK / "lib/test"], check=True)
    subprocess.run([*compile_all, WORK / "lib/test/support", WORK / "lib/test/test_asyncio"], check=True)
    stamp.write_text(lock[0])


def native_tree():
    """A tree with the native interpreter, its library and the tests in it."""
    tree = WORK / "native"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "bin").mkdir(parents=True)
    (tree / "lib/python3.11").mkdir(parents=True)
    shutil.copy(OUT / "native/bin/python3", tree / "bin/python3")
    for entry in (OUT / "native/lib/python3.11").iterdir():
        target = WORK / "lib" if entry.name == "lib-dynload" else entry
        (tree / "lib/python3.11" / entry.name).symlink_to(target)


def command(system, scratch):
    """The command line before the runner's arguments, and its environment. The package `test` must be
    in the library, here as lib-dynload, since many cases start `python3 -I` or `-S`."""
    env = {"PATH": "/usr/bin:/bin", "HOME": scratch, "LANG": "C.UTF-8", "TMPDIR": scratch}
    if system == "native":
        return [str(WORK / "native/bin/python3")], env
    line = [str(WORK / "ufork"), "run", f"--root={OUT}/rootfs", "--workdir=/tmp"]
    line += [f"--dir={WORK}:{WORK}", f"--dir={HERE}:{HERE}:ro"]
    line += [f"--dir=/usr/lib/python3.11/lib-dynload:{WORK}/lib:ro"]
    line += [f"--env={key}={'/tmp' if value == scratch else value}" for key, value in env.items()]
    return [*line, "python3"], None


def attempt(system, module, patterns, seconds, log):
    """Runs what has not begun yet; returns the status, None after much too long a time."""
    results = WORK / f"{module}.{system}.jsonl"
    with tempfile.TemporaryDirectory() as scratch:
        line, env = command(system, scratch)
        line += [str(HERE / "suite_cases.py"), f"test.{module}", str(results), str(seconds), *patterns]
        process = subprocess.Popen(
            line, env=env, cwd=scratch, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            return process.wait(1800)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def read(system, module):
    """{case: [state, text, seconds]}; of a case that has begun and not ended: {case: None}."""
    cases = {}
    path = WORK / f"{module}.{system}.jsonl"
    for line in path.open() if path.exists() else ():
        entry = json.loads(line)
        ended = entry["state"] != "begun"
        cases[entry["case"]] = [entry["state"], entry["text"], entry["seconds"]] if ended else None
    return cases


def run(system, module, patterns, seconds):
    results = WORK / f"{module}.{system}.jsonl"
    results.unlink(missing_ok=True)
    with open(WORK / f"{module}.{system}.log", "w") as log:
        while True:
            before = len(read(system, module))
            status = attempt(system, module, patterns, seconds, log)
            unfinished = [case for case, end in read(system, module).items() if end is None]
            if status == 0 and not unfinished:
                return
            with results.open("a") as file:
                state = "hang" if status in (1, None) else "crash"
                for case in unfinished or [f"test.{module}"]:
                    text = f"status {status}"
                    file.write(json.dumps(dict(case=case, state=state, text=text, seconds=0)) + "\n")
            if len(read(system, module)) == before:
                return


def documented():
    """Cases that doc/python.md lists: | `test.module.Class.case` | cause |; `*` at the end of a name counts."""
    text = (HERE.parent.parent / "doc/python.md").read_text()
    return set(re.findall(r"^\| `([\w.*]+)` \|", text, re.M))


def known(case, names):
    short = re.sub(r"^test\.", "", case)
    return any(short == n or n.endswith("*") and short.startswith(n[:-1]) for n in names)


def report(modules, out):
    names = documented()
    unknown = 0
    for module in modules:
        ends = {s: {c: e for c, e in read(s, module).items() if e} for s in ("ufork", "native")}
        for system, cases in ends.items():
            states = [end[0] for end in cases.values()]
            counts = {s: states.count(s) for s in ("ok", "skip", *BAD) if states.count(s)}
            print(f"{module:28} {system:7}", " ".join(f"{n} {s}" for s, n in counts.items()), file=out)
        for case, (state, text, _) in sorted(ends["ufork"].items()):
            native = ends["native"].get(case, ["absent", "", 0])
            if state in BAD:
                note = "both" if native[0] in BAD else "known" if known(case, names) else "NEW"
                unknown += note == "NEW"
                last = text.strip().splitlines()[-1:] or [""]
                print(f"  {note:5} {state:5} (native {native[0]}) {case}: {last[0][:160]}", file=out)
            elif state == "skip" and native[0] != "skip":
                print(f"  skip  (native {native[0]}) {case}: {text}", file=out)
        for case, (state, text, _) in sorted(ends["native"].items()):
            if state in BAD and ends["ufork"].get(case, ["absent"])[0] not in BAD:
                print(f"  native alone: {state} {case}: {text.strip().splitlines()[-1][:160]}", file=out)
    return unknown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["ufork", "native"])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("modules", nargs="*", default=MODULES)
    args = parser.parse_args()
    # Started in the background of a shell it ignores this signal, and so would the programs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unpack()
    if args.only != "ufork":
        native_tree()
    if args.only != "native":
        shutil.copy(OUT / "bin/ufork", WORK / "ufork")
    modules = []
    for name in args.modules:
        module, _, pattern = name.partition(":")
        modules.append(module)
        for system in [args.only] if args.only else ["ufork", "native"]:
            run(system, module, [pattern] if pattern else [], args.seconds)
    with open(WORK / "report.txt", "w") as out:
        unknown = report(modules, out)
    sys.stdout.write((WORK / "report.txt").read_text())
    print(f"python: {unknown} failures on uFork alone without a known cause")
    sys.exit(unknown != 0)


if __name__ == "__main__":
    main()

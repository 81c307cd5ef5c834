#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the command line: what `ufork run`, its options and its errors do, seen from a shell.

    cli.py --build DIR [NAME...]
"""
import argparse
import errno
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Cli:
    """The tools under test and a scratch directory of the host."""

    def __init__(self, build, work):
        self.build, self.work = build, work
        self.ufork = str(build / "bin/ufork")
        self.probe = str(build / "test/cli/probe")
        self.native = str(build / "test/cli/native-probe")

    def raw(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("timeout", 120)
        return subprocess.run([self.ufork, *arguments], capture_output=True, text=True,
                              errors="replace", **options)

    def run(self, *words, options=(), **rest):
        return self.raw("run", *options, self.probe, *words, **rest)


def expect(done, status=0, out=None, err=None):
    """Checks the end of a run; out is exact, err a pattern that occurs in standard error."""
    what = f"\n{done.args}\nstatus {done.returncode}\nstdout: {done.stdout[:500]!r}\nstderr: {done.stderr[:800]!r}"
    if callable(status):
        assert status(done.returncode), "unexpected status" + what
    else:
        assert done.returncode == status, f"expected status {status}" + what
    assert out is None or done.stdout == out, f"expected output {out!r}" + what
    assert err is None or re.search(err, done.stderr), f"expected on stderr {err!r}" + what


@test
def exit_status(cli):
    for status in (0, 1, 42, 255):
        expect(cli.run("exit", str(status)), status, "", "^$")


@test
def death_by_signal(cli):
    """As a shell: 128 + n."""
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGINT, signal.SIGPIPE):
        expect(cli.run("kill", str(int(number))), lambda s, n=number: s in (128 + n, -n))
    expect(cli.run("segv", "16"), lambda s: s in (139, -11))


@test
def arguments(cli):
    expect(cli.run("args", "one", "", "a b", "--help", "-x"),
           out="[one]\n[]\n[a b]\n[--help]\n[-x]\n")


@test
def standard_streams(cli):
    expect(cli.run("get", stdin=None, input="through\nstdin"), out="through\nstdin")
    expect(cli.run("err"), out="", err="^to standard error\n$")


@test
def closed_streams(cli):
    """What the caller closed is closed for the program, and nothing of the instance takes its number."""
    for options in ((), ("--vm",)):
        run = " ".join([cli.ufork, "run", *options, cli.probe])

        def shell(command):
            return subprocess.run(["sh", "-c", f"{run} {command}"], capture_output=True, text=True, timeout=120)

        if options:  # the machine's console is there in any case
            expect(shell("get <&-"), 0, "")
        else:
            expect(shell("get <&-"), 1, f"errno {errno.EBADF}\n")
        expect(shell("put /tmp/x text >&-"), 0, "", "^$")
        expect(shell("err 2>&-"), 0, "", "^$")
        expect(shell("exit 3 <&- >&- 2>&-"), 3, "", "^$")
    done = subprocess.run(["sh", "-c", f"{cli.ufork} run {cli.probe} fstat <&- 2>&-"], capture_output=True,
                          text=True, timeout=120)
    expect(done, 0, f"0 {errno.EBADF}\n1 0\n2 {errno.EBADF}\n3 {errno.EBADF}\n")


@test
def large_input(cli):
    text = "0123456789abcdef" * 65536
    expect(cli.run("get", stdin=None, input=text), out=text)


@test
def closed_output(cli):
    """A reader that goes away ends the program by SIGPIPE, or its write fails; it never hangs."""
    script = f"yes | {cli.ufork} run {cli.probe} get | head -n 1"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout == "y\n", done


@test
def help_text(cli):
    done = cli.raw("run", "--help")
    expect(done)
    for option in ("--isolation", "--cpus", "--memory", "--root", "--dir", "--env", "--workdir",
                   "--here", "--fork", "--quiet", "--stats", "--trace"):
        assert option in done.stdout, f"{option} is not in the help"
    expect(cli.raw("--help"))


@test
def version(cli):
    done = cli.raw("--version")
    expect(done)
    assert re.search(r"\d", done.stdout), done.stdout


@test
def bad_usage(cli):
    for words in ([], ["run"], ["nonsense"], ["run", "--nonsense", cli.probe],
                  ["run", "--cpus=0", cli.probe], ["run", "--cpus=x", cli.probe],
                  ["run", "--memory=-1", cli.probe], ["run", "--isolation=some", cli.probe],
                  ["run", "--fork=never", cli.probe], ["run", "--root=/no/such", cli.probe],
                  ["run", "--dir=/data:/no/such", cli.probe], ["run", "--env=NAME", cli.probe],
                  ["run", "--env==value", cli.probe], ["run", "--memory=64K", cli.probe],
                  ["image", cli.probe, "-o"], ["image", "-o"]):
        done = cli.raw(*words)
        expect(done, lambda s: s not in (0, 134, 139) and s > 0, "", r"\S")


@test
def program_not_found(cli):
    expect(cli.raw("run", "/no/such/program"), 127, "", "no/such/program")
    expect(cli.raw("run", "no-such-program"), 127, "", "no-such-program")


@test
def program_not_executable(cli):
    text = cli.work / "text"
    text.write_text("just text\n")
    expect(cli.raw("run", str(text)), 126, "", "text is not executable")
    expect(cli.raw("run", str(cli.work)), 126, "", "is a directory")
    text.chmod(0o755)
    expect(cli.raw("run", str(text)), 126, "", "text: not a program: neither an image made by ufork-cc nor")
    text.write_text("")
    expect(cli.raw("run", str(text)), 126, "", "text: not a program")
    text.write_text("#!/no/such/shell\n")
    expect(cli.raw("run", str(text)), 126, "", "text: its interpreter is not in the root file system")


@test
def host_script(cli):
    """A script of the host is found by its interpreter, which is the root file system's."""
    root, script = cli.work / "root", cli.work / "script"
    (root / "bin").mkdir(parents=True)
    shutil.copy(cli.probe, root / "bin/probe")
    script.write_text("#!/bin/probe get\nline\n")
    script.chmod(0o755)
    for options in ((), ("--vm",)):
        expect(cli.raw("run", *options, f"--root={root}", str(script)), 0, "#!/bin/probe get\nline\n")


@test
def few_descriptors(cli):
    """What the host does not give is named."""
    done = subprocess.run(["sh", "-c", f"ulimit -n 8; exec {cli.ufork} run {cli.probe} exit 0"],
                          capture_output=True, text=True, timeout=120)
    expect(done, lambda s: s not in (0, 134, 139) and s > 0, "", "EMFILE|Too many open files")


@test
def linux_program(cli):
    """An ordinary Linux ELF is refused with a message that says what to do."""
    expect(cli.raw("run", cli.native), 126, "", "ufork-cc")
    done = cli.run("exec", "/host/native-probe",
                   options=[f"--dir=/host:{Path(cli.native).parent}"])
    expect(done, 1, f"errno {errno.ENOEXEC}\n")


@test
def environment(cli):
    done = cli.run("env", options=["--env=GREETING=hello world", "--env=EMPTY="])
    expect(done)
    lines = done.stdout.splitlines()
    assert "GREETING=hello world" in lines and "EMPTY=" in lines, lines


@test
def working_directory(cli):
    expect(cli.run("cwd"), out="/\n")
    expect(cli.run("cwd", options=["--workdir=/tmp"]), out="/tmp\n")
    expect(cli.run("cwd", options=[f"--dir=/here:{cli.work}", "--workdir=/here"]), out="/here\n")
    here = os.path.realpath(cli.work)
    expect(cli.raw("run", "--here", cli.probe, "cwd", cwd=cli.work), out=here + "\n")
    expect(cli.run("cwd", options=["--workdir=/no/such"]), lambda s: s > 0, "", r"\S")


@test
def process_one(cli):
    expect(cli.run("pid"), out="1\n")


@test
def cpus(cli):
    expect(cli.run("cpus", options=["--cpus=1"]), out="1\n")
    expect(cli.run("cpus", options=["--cpus=3"]), out="3\n")
    expect(cli.run("cpus"), out=f"{len(os.sched_getaffinity(0))}\n")


@test
def isolation_levels(cli):
    for level in ("full", "fault", "none"):
        expect(cli.run("exit", "9", options=[f"--isolation={level}"]), 9)


@test
def fork_tiers(cli):
    for tier in ("auto", "copy", "eager", "lazy"):
        expect(cli.run("forks", "3", options=[f"--fork={tier}"]), out="left 3 children\n")


@test
def trace(cli):
    done = cli.run("put", "/tmp/traced", "text", options=["--trace"])
    expect(done, err=r'open(at)?\(.*"/tmp/traced"')
    assert re.search(r"exit_group\(0\)", done.stderr), done.stderr
    done = cli.run("pid", options=["--trace"])
    expect(done, err=r"getpid\(\) = 1\n")


@test
def stats(cli):
    done = cli.run("forks", "2", options=["--stats"])
    expect(done, out="left 2 children\n",
           err=r"fork calls 2, median \d+\.\d\d us, worst \d+\.\d\d us")
    median, worst = map(float, re.search(r"median (\S+) us, worst (\S+) us", done.stderr).groups())
    assert 0 < median <= worst * 1.07, done.stderr
    assert re.search(r"page faults \d+", done.stderr), done.stderr
    expect(cli.run("forks", "20", options=["--stats"]),
           err=r"regions 0 live, 2[01] at most, \d+ kept warm; user memory \d+ KiB, page tables \d+ KiB")
    expect(done, err=r"kernel memory \d+ KiB, of it stacks \d+ KiB")
    expect(done, err=r"kernel heap \d+ KiB, by kind: Other: \d+ Process: \d+ .*Socket: 0 ")


@test
def quiet(cli):
    expect(cli.run("segv", "16", options=["--quiet"]), lambda s: s in (139, -11), "", "^$")


@test
def memory_limit(cli):
    """Running out of --memory is an error of the program, not of the instance."""
    for kind in ("private", "shared"):
        done = cli.run("eat", kind, options=["--memory=128M"], timeout=300)
        expect(done, 0)
        mib = int(re.match(r"no memory after (\d+) MiB\n", done.stdout)[1])
        free = int(re.search(r"MemFree: *(\d+) kB", done.stdout)[1]) >> 10
        assert 100 <= mib < 128 and mib + free < 128, done.stdout
    for tier in ("copy", "lazy"):
        expect(cli.run("eat", options=["--memory=64M", f"--fork={tier}"], timeout=300), 0)
    done = cli.run("exit", "5", options=["--memory=128M"])
    expect(done, 5)


@test
def children_end_with_process_one(cli):
    """When process 1 ends, so does the instance, with all that it left behind."""
    start = time.monotonic()
    expect(cli.run("forks", "20"), out="left 20 children\n")
    assert time.monotonic() - start < 10


@test
def terminated(cli):
    """SIGTERM and SIGINT of the host reach process 1."""
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen([cli.ufork, "run", cli.probe, "sleep", "60"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        process.send_signal(number)
        try:
            status = process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"not ended by {number.name}") from None
        assert status in (128 + number, -number), status


# A shell with job control and one job, which it starts in the foreground or (argument 1: bg) in the
# background and takes to the foreground whenever it has stopped.
SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
foreground = sys.argv[1] == "fg"
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    if foreground:
        os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[2], sys.argv[2:])
while True:
    status = os.waitpid(job, os.WUNTRACED)[1]
    os.tcsetpgrp(0, os.getpid())
    if not os.WIFSTOPPED(status):
        break
    print("stopped", os.WSTOPSIG(status), flush=True)
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
print("status", os.waitstatus_to_exitcode(status), flush=True)
"""


def as_job(cli, where, options, words, steps):
    """What the terminal shows: each step is what must have been shown, and then what to type or call."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", SHELL, where, cli.ufork, "run", *options, cli.probe, *words])
    shown = b""
    try:
        for awaited, action in [*steps, (b"status ", None)]:
            end = time.monotonic() + 60
            while not re.search(awaited, shown):
                assert time.monotonic() < end, f"{awaited!r} is not in {shown!r}"
                if select.select([master], [], [], 0.1)[0]:
                    shown += os.read(master, 4096)
            if callable(action):
                action(master)
            elif action:
                os.write(master, action)
        while not re.search(rb"status -?\d+\r\n", shown):
            shown += os.read(master, 4096)
        return shown.decode().replace("\r", "")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


@test
def job_control(cli):
    """The shell outside stops and continues the instance as it does any program."""
    for options in ((), ("--vm",)):
        shown = as_job(cli, "fg", options, ["type"], [
            (b"ready", b"one\n"), (rb"got one", b"\x1a"), (rb"stopped 20\r\n", b"two\n"), (b"got two", b"\x04")])
        assert re.search(r"stopped 20\n(?s:.*)got two\n(?s:.*)status 0\n", shown), shown
        shown = as_job(cli, "bg", options, ["get"], [(rb"stopped 2[12]\r\n", b"three\n"), (rb"three\s+three", b"\x04")])
        assert shown.endswith("status 0\n"), shown


@test
def window_size(cli):
    """A change of the terminal's window reaches the foreground processes."""
    def resize(master):
        termios.tcsetwinsize(master, (33, 77))

    for options in ((), ("--vm",)):
        shown = as_job(cli, "fg", options, ["window"], [(b"ready", resize)])
        assert "33 77\n" in shown and shown.endswith("status 0\n"), shown


@test
def terminal_name(cli):
    """The terminal is /dev/console, for who may not open that as well."""
    for options in ((), ("--vm",)):
        shown = as_job(cli, "fg", options, ["tty"], [])
        assert "tty /dev/console link /dev/console same 1 1 char 1 open 1\n" in shown, shown
        assert shown.endswith("status 0\n"), shown
    expect(cli.run("tty"), 1, "not a terminal\n")


@test
def fork_bomb(cli):
    """Memory that fork uses up is refused to fork: no process is killed for it."""
    for options in (["--memory=64M"], ["--vm", "--memory=256M", "--cpus=2"]):
        done = cli.run("bomb", options=options)
        expect(done)
        assert re.match(r"all: \d+ forks", done.stdout) and "out of memory" not in done.stderr, done


@test
def ignored_signals(cli):
    """What the one who starts us ignores is ignored until the program wants it otherwise."""
    def start(*words):
        return subprocess.Popen(
            ["sh", "-c", 'trap "" QUIT; exec "$@"', "sh", cli.ufork, "run", cli.probe, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    process = start("handle", str(int(signal.SIGQUIT)))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGQUIT)
    status = process.wait(20)
    assert status in (128 + signal.SIGQUIT, -signal.SIGQUIT), status
    process = start("handle", str(int(signal.SIGHUP)))
    assert process.stdout.readline() == "ready\n"
    for number in (signal.SIGQUIT, signal.SIGHUP):
        process.send_signal(number)
    status = process.wait(20)
    assert status in (128 + signal.SIGHUP, -signal.SIGHUP), status


@test
def host_directory(cli):
    (cli.work / "file").write_text("from the host\n")
    directory = f"--dir=/host:{cli.work}"
    expect(cli.run("get", "/host/file", options=[directory]), out="from the host\n")
    expect(cli.run("put", "/host/new", "from the guest", options=[directory]))
    assert (cli.work / "new").read_text() == "from the guest"
    expect(cli.run("rename", "/host/new", "/host/newer", options=[directory]))
    assert (cli.work / "newer").exists() and not (cli.work / "new").exists()
    expect(cli.run("unlink", "/host/newer", options=[directory]))
    assert not (cli.work / "newer").exists()


@test
def written_in_pieces(cli):
    """The host has what a program wrote when it can know of that; soon, if it cannot."""
    def start(*words):
        return subprocess.Popen([cli.ufork, "run", f"--dir=/host:{cli.work}", cli.probe, "pieces",
                                 "/host/file", *words], text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)

    file = cli.work / "file"
    for count in (1, 15, 16, 17, 100, 5000, 65535, 65537, 200000):
        file.unlink(missing_ok=True)
        process = start(str(count))
        assert process.stdout.readline() == "written\n"
        assert file.stat().st_size == count, (count, file.stat().st_size)
        process.kill()
        process.wait(20)
        assert file.read_text() == "a" * count
        process = start(str(count))
        assert process.communicate("\n", 20)[0] == "written\n" and file.stat().st_size == count
    process = start("70000", "spin")
    deadline = time.monotonic() + 20
    while not file.exists() or file.stat().st_size < 70000:
        assert time.monotonic() < deadline, file.stat().st_size
        time.sleep(0.01)
    process.kill()
    process.wait(20)


@test
def watched_host_directory(cli):
    expect(cli.raw("run", f"--dir=/host:{cli.work}", str(cli.build / "test/cli/inotify"), "/host"),
           out="ok\n")


@test
def read_only_directory(cli):
    (cli.work / "file").write_text("kept")
    directory = f"--dir=/host:{cli.work}:ro"
    expect(cli.run("get", "/host/file", options=[directory]), out="kept")
    refused = f"errno {errno.EROFS}\n"
    expect(cli.run("put", "/host/file", "changed", options=[directory]), 1, refused)
    expect(cli.run("put", "/host/new", "x", options=[directory]), 1, refused)
    expect(cli.run("mkdir", "/host/d", options=[directory]), 1, refused)
    expect(cli.run("unlink", "/host/file", options=[directory]), 1, refused)
    expect(cli.run("rename", "/host/file", "/host/x", options=[directory]), 1, refused)
    expect(cli.run("symlink", "x", "/host/s", options=[directory]), 1, refused)
    assert (cli.work / "file").read_text() == "kept" and len(list(cli.work.iterdir())) == 1


@test
def directory_escapes(cli):
    """Nothing outside a host directory is reached: by dot-dot, links of the host or the guest, renames."""
    inside, secret = cli.work / "inside", cli.work / "secret"
    inside.mkdir()
    secret.write_text("secret")
    (inside / "absolute").symlink_to(secret)
    (inside / "relative").symlink_to("../secret")
    (inside / "up").symlink_to("..")
    (inside / "root").symlink_to("/")
    directory = [f"--dir=/host:{inside}"]
    for path in ("/host/../secret", "/host/absolute", "/host/relative", "/host/up/secret",
                 f"/host/root{secret}", "/host/../../../../../.." + str(secret), str(secret)):
        done = cli.run("get", path, options=directory)
        assert "secret" not in done.stdout and done.returncode != 0, (path, done)
        cli.run("put", path, "overwritten", options=directory)
        assert secret.read_text() == "secret", path
    expect(cli.run("symlink", "../secret", "/host/mine", options=directory))
    done = cli.run("get", "/host/mine", options=directory)
    assert done.returncode != 0 and "secret" not in done.stdout, done
    cli.run("rename", "/host/relative", "/host/../moved", options=directory)
    cli.run("link", "/host/../secret", "/host/hard", options=directory)
    assert not (inside / "hard").exists() and secret.read_text() == "secret"
    assert sorted(p.name for p in cli.work.iterdir()) == ["inside", "secret"]


class Served:
    """A program that lives on while the host changes what it sees."""

    def __init__(self, cli, *options):
        self.process = subprocess.Popen([cli.ufork, "run", *options, cli.probe, "serve"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    def open_files(self):
        directory = Path(f"/proc/{self.process.pid}/fd")
        return [os.readlink(entry) for entry in directory.iterdir()]


@test
def host_directory_changes(cli):
    """A name that was used a moment ago leads to what the host has there now."""
    tree = cli.work / "tree"
    (tree / "d").mkdir(parents=True)
    file = tree / "d/file"
    file.write_text("one")
    missing = f"errno {errno.ENOENT}"
    with Served(cli, f"--dir=/host:{tree}") as guest:
        def is_now(text, path="/host/d/file"):
            for _ in range(2):
                answer = guest.ask("get", path)
                assert answer == text, f"{path}: {answer!r} instead of {text!r}"

        is_now("one")
        file.write_text("two")
        is_now("two")
        (tree / "other").write_text("three")
        (tree / "other").rename(file)
        is_now("three")
        file.unlink()
        is_now(missing)
        file.write_text("four")
        is_now("four")
        (tree / "d").rename(tree / "e")
        is_now(missing)
        is_now("four", "/host/e/file")
        (tree / "d").mkdir()
        file.write_text("five")
        is_now("five")
        is_now("four", "/host/e/file")
        (tree / "e/file").unlink()
        (tree / "e/file").symlink_to("../d/file")
        is_now("five", "/host/e/file")
        file.unlink()
        file.mkdir()
        is_now("", "/host/e/file")  # a directory opens, and has nothing to read
        file.rmdir()
        os.mkfifo(file)
        os.rename(tree / "e", tree / "d2")
        is_now(missing, "/host/e/file")
        file.unlink()
        file.write_text("six")
        is_now("six")
        assert guest.ask("put", "/host/d/file", "seven") == "put"
        is_now("seven")
        assert file.read_text() == "seven"
        if os.geteuid() != 0:
            file.chmod(0)
            is_now(f"errno {errno.EACCES}")
            file.chmod(0o600)
            is_now("seven")
        # What the host has removed is let go, though nobody asks for the name any more.
        file.unlink()
        for _ in range(100):
            if not any(name.endswith("(deleted)") and str(tree) in name
                       for name in guest.open_files()):
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"kept open: {guest.open_files()}")


@test
def directory_escapes_of_known_names(cli):
    """A known directory that becomes a link, or is moved out of the tree, is not followed there."""
    inside, outside = cli.work / "inside", cli.work / "outside"
    (inside / "d/sub").mkdir(parents=True)
    (outside / "sub").mkdir(parents=True)
    (inside / "d/sub/file").write_text("mine")
    (outside / "sub/file").write_text("secret")
    with Served(cli, f"--dir=/host:{inside}") as guest:
        for turn in range(20):
            for what in ("d", "d/sub", "d/sub/file"):
                assert guest.ask("get", "/host/d/sub/file") == "mine", turn
                (inside / what).rename(cli.work / "aside")
                (inside / what).symlink_to(cli.work / "outside" / Path(what).relative_to("d"))
                answer = guest.ask("get", "/host/d/sub/file")
                assert answer == f"errno {errno.ENOENT}", (turn, what, answer)
                assert guest.ask("put", "/host/d/sub/file", "overwritten").startswith("errno"), what
                (inside / what).unlink()
                answer = guest.ask("get", "/host/d/sub/file")
                assert answer == f"errno {errno.ENOENT}", (turn, what, answer)
                (cli.work / "aside").rename(inside / what)
        # The same while the two change places under a guest that reads all the time.
        real, link = inside / "real", inside / "link"
        (inside / "d").rename(real)
        link.symlink_to(outside)
        (inside / "d").symlink_to("real")
        stop = time.monotonic() + 2
        answers = set()
        while time.monotonic() < stop:
            for target in (outside, "real", "../outside"):
                fresh = inside / "fresh"
                fresh.symlink_to(target)
                fresh.rename(inside / "d")
                answers.add(guest.ask("get", "/host/d/sub/file"))
        assert answers <= {"mine", f"errno {errno.ENOENT}"}, answers
    assert (outside / "sub/file").read_text() == "secret"


@test
def system_tests_in_host_directory(cli):
    """What holds for files in memory holds for those of the host."""
    for name in ("fs_files", "fs_dirs", "fs_rename", "fs_locks", "sendfile"):
        program = str(cli.work / name)
        compiler = str(cli.build / "bin/ufork-cc")
        subprocess.run([compiler, "-std=gnu11", "-O2", str(HERE / f"sys/{name}.c"), "-o", program],
                       check=True, timeout=120)
        directory = cli.work / f"{name}.d"
        directory.mkdir()
        done = cli.raw("run", f"--dir=/host:{directory}", "--workdir=/host", program)
        expect(done, out="ok\n")


@test
def root_directory(cli):
    root = cli.work / "root"
    (root / "bin").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc/motd").write_text("welcome\n")
    shutil.copy(cli.probe, root / "bin/probe")
    expect(cli.raw("run", f"--root={root}", "probe", "get", "/etc/motd"), out="welcome\n")
    expect(cli.raw("run", f"--root={root}", "probe", "put", "/etc/motd", "changed"))
    assert (root / "etc/motd").read_text() == "welcome\n", "the tree of the host is not written to"


@test
def deep_root_directory(cli):
    """The tree that is copied at the start may be as deep as it likes."""
    root = cli.work / "root"
    path = "/etc" + "/directory" * 200
    (root / path[1:]).mkdir(parents=True)
    (root / path[1:] / "file").write_text("deep\n")
    for name in ("b", "a", "c"):
        (root / "etc/wide" / name / "more").mkdir(parents=True)
        (root / "etc/wide" / name / "more/file").write_text(f"{name}\n")
    expect(cli.raw("run", f"--root={root}", cli.probe, "get", path + "/file"), out="deep\n")
    for name in "abc":
        expect(cli.raw("run", f"--root={root}", cli.probe, "get", f"/etc/wide/{name}/more/file"), out=f"{name}\n")


@test
def unreadable_root_directory(cli):
    """What the caller may not read of the root tree is left out, and said."""
    if os.getuid() != 0:
        return  # needs another user
    root = cli.work / "root"
    (root / "etc/secret").mkdir(parents=True)
    (root / "etc/open").write_text("open\n")
    (root / "etc/closed").write_text("closed\n")
    (root / "etc/secret").chmod(0o700)
    (root / "etc/closed").chmod(0o600)
    for name in (cli.probe, cli.ufork, cli.ufork + "-pc.elf"):
        shutil.copy(name, cli.work)  # the build directory may not be for everybody
    cli.work.chmod(0o755)
    other = Cli(cli.build, cli.work)
    other.ufork = str(cli.work / "ufork")
    for options in ((), ("--vm",)):
        done = other.raw("run", *options, f"--root={root}", str(cli.work / "probe"), "get", "/etc/open", user=65534)
        expect(done, 0, "open\n", "etc/secret: cannot be read, left out")
        assert re.search("etc/closed: cannot be read, left out", done.stderr), done


@test
def verifier_program(cli):
    """ufork-verify: 0 accepted, 1 refused with address and rule, 2 not an image."""
    verify = str(cli.build / "bin/ufork-verify")

    def check(path):
        return subprocess.run([verify, str(path)], capture_output=True, text=True, timeout=120)

    assert check(cli.probe).returncode == 0, check(cli.probe)
    assert check(cli.native).returncode == 2, check(cli.native)
    (cli.work / "text").write_text("text")
    assert check(cli.work / "text").returncode == 2
    image = bytearray(Path(cli.probe).read_bytes())
    at = text_offset(image)
    image[at:at + 2] = b"\x0f\x05"
    broken = cli.work / "broken"
    broken.write_bytes(image)
    broken.chmod(0o755)
    done = check(broken)
    assert done.returncode == 1 and re.search(r"0x[0-9a-f]+|[0-9a-f]{6,}", done.stdout + done.stderr), done
    expect(cli.raw("run", str(broken)), 126, "", r"0x[0-9a-f]+|[0-9a-f]{6,}")


def text_offset(image):
    """File offset of an image's executable segment."""
    phoff = int.from_bytes(image[32:40], "little")
    for at in range(phoff, phoff + 56 * int.from_bytes(image[56:58], "little"), 56):
        kind, flags = (int.from_bytes(image[at + i:at + i + 4], "little") for i in (0, 4))
        if kind == 1 and flags & 1:
            return int.from_bytes(image[at + 8:at + 16], "little")
    raise AssertionError("no text")


def compile_probes(build):
    """Builds the probe for both systems, and a system test that runs on a host directory as well."""
    directory = build / "test/cli"
    directory.mkdir(parents=True, exist_ok=True)
    for compiler, output in (([str(build / "bin/ufork-cc")], "probe"), (["gcc"], "native-probe")):
        subprocess.run([*compiler, "-O2", "-Wall", "-Wextra", "-o", str(directory / output),
                        str(HERE / "cli/probe.c")], check=True)
    subprocess.run([str(build / "bin/ufork-cc"), "-O2", "-o", str(directory / "inotify"),
                    str(HERE / "sys/inotify.c")], check=True)


@test
def vm_status(cli):
    for status in (0, 1, 42, 255):
        expect(cli.run("exit", str(status), options=["--vm"]), status=status)


@test
def vm_killed(cli):
    """No machine is left behind by a command that is killed."""
    command = subprocess.Popen([cli.ufork, "run", "--vm", cli.probe, "type"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert command.stdout.readline() == b"ready\n"
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    assert len(children) == 1, children
    command.kill()
    command.wait()
    end = time.monotonic() + 10
    while os.path.exists(f"/proc/{children[0]}"):
        assert time.monotonic() < end, "the machine goes on"
        time.sleep(0.05)


@test
def vm_streams(cli):
    data = bytes(range(256)) * 200
    done = subprocess.run([cli.ufork, "run", "--vm", cli.probe, "get"], input=data, timeout=300,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == data, f"{len(done.stdout)} bytes came back of {len(data)}"


def vm_typing(cli, words, typed, ending):
    """What a terminal shows when `typed` is typed to a program in a machine; its exit status."""
    master, slave = pty.openpty()
    machine = subprocess.Popen([cli.ufork, "run", "--vm", cli.probe, *words], stdin=slave,
                               stdout=slave, stderr=subprocess.DEVNULL, start_new_session=True)
    shown, end = b"", time.monotonic() + 60
    try:
        while termios.tcgetattr(slave)[3] & termios.ICANON and time.monotonic() < end:
            time.sleep(0.05)
        os.write(master, typed)
        while not shown.endswith(ending) and time.monotonic() < end:
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 4096)
        return shown, machine.wait(timeout=120)
    finally:
        machine.kill()
        machine.wait()
        os.close(slave)
        os.close(master)


@test
def vm_terminal(cli):
    shown, status = vm_typing(cli, ["get"], b"ab\177c\r\004", b"\nac\r\n")
    assert (shown, status) == (b"ab\b \bc\r\nac\r\n", 0), (shown, status)
    shown, status = vm_typing(cli, ["sleep", "60"], b"x\003", b"^C")
    assert (shown, status) == (b"x^C", 130), (shown, status)


@test
def vm_arguments(cli):
    words = ["plain", "with space", "100%", "", "µ"]
    here, there = cli.run("args", *words), cli.run("args", *words, options=["--vm"])
    expect(there, status=here.returncode, out=here.stdout)


@test
def vm_cpus(cli):
    expect(cli.run("cpus", options=["--vm", "--cpus=1"]), out="1\n")
    expect(cli.run("cpus", options=["--vm", "--cpus=5"]), out="5\n")
    expect(cli.run("cpus", options=["--vm"]), out=f"{os.cpu_count()}\n")


@test
def vm_memory(cli):
    """What finds no memory at its first touch is killed, and the log says so; the rest goes on. The
    memory of the initramfs comes back once it is unpacked."""
    root = cli.work / "root"  # the usual one may be too large for so little memory
    root.mkdir()
    for cpus in (1, 4):
        done = cli.run("touch", options=["--vm", "--memory=96M", f"--cpus={cpus}", f"--root={root}"], timeout=300)
        expect(done, out="signal 9\n", err=r"out of memory: process 2 \(probe\) killed; \d+ of \d+ KiB")
    (root / "large").write_bytes(os.urandom(64 << 20))
    done = cli.run("get", "/proc/meminfo", options=["--vm", "--memory=256M", f"--root={root}"])
    expect(done)
    total = int(re.search(r"MemTotal: *(\d+) kB", done.stdout)[1])
    assert total > (256 - 24) << 10, total


def boot(image, machine, *options):
    return subprocess.run(
        ["qemu-system-x86_64", "-M", machine, "-cpu", "max", "-m", "256", "-nodefaults",
         "-no-reboot", "-display", "none", "-serial", "stdio", "-device",
         "isa-debug-exit,iobase=0x501,iosize=4", *options, "-kernel", image],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)


@test
def vm_image_cpus(cli):
    """All CPUs of the machine, by all tables that tell of them; --cpus of the image is a limit."""
    image = str(cli.work / "image")
    expect(cli.raw("image", cli.probe, "cpus", "-o", image))
    for machine, options, count in (("microvm", ["-smp", "4"], 4), ("q35", ["-smp", "3"], 3),
                                    ("microvm,acpi=off", ["-smp", "2"], 2),
                                    ("q35", ["-smp", "1"], 1), ("q35", ["-smp", "2,maxcpus=4"], 2),
                                    ("microvm", ["-icount", "shift=0,sleep=off"], 1)):
        expect(boot(image, machine, *options), status=1, out=f"{count}\n")
    expect(cli.raw("image", "--cpus=2", cli.probe, "cpus", "-o", image))
    expect(boot(image, "microvm", "-smp", "4"), status=1, out="2\n")


@test
def vm_backtrace(cli):
    """A kernel that gives up names its callers, surely and in order."""
    image = str(cli.build / "bin/ufork-pc.elf")
    done = boot(image, "microvm", "-append", "isolation=nonsense -- /init")
    names = re.findall(r"^ufork:   0x[0-9a-f]+ (\w+)\+0x[0-9a-f]+$", done.stdout, re.M)
    assert done.returncode == 255 and names[:3] == ["plat_panic", "cmdline_parse", "pc_start"], done


@test
def vm_options_refused(cli):
    expect(cli.run("exit", "0", options=["-p", "80:80"]), status=2, err="needs --vm")
    expect(cli.run("exit", "0", options=["--vm", "-p", "nonsense"]), status=2, err="HOSTPORT")
    expect(cli.raw("image", cli.probe), status=2, err="-o FILE is missing")
    image = str(cli.work / "image")
    expect(cli.raw("image", cli.native, "-o", image), status=1, err="rebuild it with ufork-cc")
    expect(cli.raw("image", "no-such-program", "-o", image), status=127, err="no-such-program: not found")
    assert not os.path.exists(image)
    expect(cli.run("exit", "0", options=["--vm", "--memory=8M"]), status=1, err=r"needs at least \d+M")


@test
def vm_image(cli):
    image = str(cli.work / "image")
    expect(cli.raw("image", cli.probe, "exit", "7", "-o", image))
    for machine in ("microvm", "q35"):
        expect(boot(image, machine), status=2 * 7 + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    build = args.build.resolve()
    chosen = [t for t in TESTS if not args.names or t.__name__ in args.names]
    try:
        compile_probes(build)
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"command line: {problem}\ncommand line: 0 passed, {len(chosen)} failed")
        return 1
    failed = 0
    for function in chosen:
        work = Path(tempfile.mkdtemp(prefix="ufork-cli-"))
        try:
            function(Cli(build, work))
            print(f"ok cli/{function.__name__}", flush=True)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as problem:
            failed += 1
            print(f"FAIL cli/{function.__name__}\n    " + str(problem).replace("\n", "\n    "),
                  flush=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    print(f"command line: {len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""What the tests of the command line share: the tools, a run and how it ended, waiting, how a test is run."""
import re
import shutil
import subprocess
import tempfile
import time
import traceback
from pathlib import Path

from checks import limited

HERE = Path(__file__).resolve().parent


def test(function):
    """Marks a test: a function of one Cli, which fails by an exception."""
    function.is_test = True
    return function


def tests_of(modules):
    """The tests of these modules by name, in the order in which they stand there."""
    found = {}
    for module in modules:
        for name, function in vars(module).items():
            if getattr(function, "is_test", False):
                assert name not in found, f"two tests are called {name}"
                found[name] = function
    return found


class Cli:
    """The tools under test, programs that compile_programs made, and a scratch directory of the host."""

    def __init__(self, build, programs, work):
        self.build, self.work = build, work
        self.ufork = str(build / "bin/ufork")
        self.probe = str(programs / "probe")
        self.native = str(programs / "native-probe")
        self.inotify = str(programs / "inotify")
        self.started = []

    def raw(self, *arguments, **options):
        """The finished `ufork ARGUMENTS`."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([self.ufork, *arguments], capture_output=True, text=True,
                              errors="replace", **options)

    def run(self, *words, options=(), **rest):
        """The finished `ufork run OPTIONS PROBE WORDS`."""
        return self.raw("run", *options, self.probe, *words, **rest)

    def start(self, *words, options=(), before=(), **rest):
        """The same, running, as an argument of the command `before`; killed when the test ends."""
        rest.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([*before, self.ufork, "run", *options, self.probe, *words], **rest)
        self.started.append(process)
        return process

    def end(self):
        for process in self.started:
            process.kill()
            process.wait()
            for file in (process.stdin, process.stdout, process.stderr):
                if file:
                    file.close()


def shell(script):
    """The finished shell script."""
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def expect(done, status=0, out=None, err=None):
    """Checks the end of a run; out is exact, err a pattern that occurs in standard error."""
    what = f"\n{done.args}\nstatus {done.returncode}\nstdout: {done.stdout[:500]!r}\nstderr: {done.stderr[:800]!r}"
    if callable(status):
        assert status(done.returncode), "unexpected status" + what
    else:
        assert done.returncode == status, f"expected status {status}" + what
    assert out is None or done.stdout == out, f"expected output {out!r}" + what
    assert err is None or re.search(err, done.stderr), f"expected on stderr {err!r}" + what


def eventually(what, condition):
    """Waits until the condition holds, at most as long as the test may take."""
    try:
        while not condition():
            time.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what}: still not so") from None


def compile_programs(build, directory):
    """Builds the probe for both systems, and a system test that runs on a host directory as well."""
    for compiler, output in (([str(build / "bin/ufork-cc")], "probe"), (["gcc"], "native-probe")):
        subprocess.run([*compiler, "-O2", "-Wall", "-Wextra", "-o", str(directory / output),
                        str(HERE / "cli/probe.c")], check=True)
    subprocess.run([str(build / "bin/ufork-cc"), "-O2", "-o", str(directory / "inotify"),
                    str(HERE / "sys/inotify.c")], check=True)


def run_test(function, build, programs):
    """What is wrong, or nothing."""
    cli = Cli(build, programs, Path(tempfile.mkdtemp(prefix="ufork-cli-")))
    try:
        with limited():
            function(cli)
        return ""
    except Exception as problem:
        return "".join(traceback.format_exception(problem)[-2:])
    finally:
        cli.end()
        shutil.rmtree(cli.work, ignore_errors=True)

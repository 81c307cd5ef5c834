# SPDX-License-Identifier: MIT
"""Command line: what the options of `ufork run` say and do."""
import os
import re

from cli_rig import expect, test


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
def arguments(cli):
    expect(cli.run("args", "one", "", "a b", "--help", "-x"),
           out="[one]\n[]\n[a b]\n[--help]\n[-x]\n")


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
    usable = os.sched_getaffinity(0)
    expect(cli.run("cpus"), out=f"{len(usable)}\n")
    expect(cli.run("cpus", preexec_fn=lambda: os.sched_setaffinity(0, {min(usable)})), out="1\n")


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

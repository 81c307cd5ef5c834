# SPDX-License-Identifier: MIT
"""Command line: directories of the host in the instance (--dir), and the root file system (--root)."""
import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

from cli_rig import HERE, Cli, eventually, expect, test


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
        return cli.start("pieces", "/host/file", *words, options=[f"--dir=/host:{cli.work}"], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    file = cli.work / "file"
    for count in (1, 15, 16, 17, 100, 5000, 65535, 65537, 200000):
        file.unlink(missing_ok=True)
        process = start(str(count))
        assert process.stdout.readline() == "written\n"
        assert file.stat().st_size == count, (count, file.stat().st_size)
        process.kill()
        process.wait()
        assert file.read_text() == "a" * count
        process = start(str(count))
        assert process.communicate("\n")[0] == "written\n" and file.stat().st_size == count
    file.unlink()
    start("70000", "spin")
    eventually("the file has it all", lambda: file.exists() and file.stat().st_size == 70000)


@test
def watched_host_directory(cli):
    expect(cli.raw("run", f"--dir=/host:{cli.work}", cli.inotify, "/host"),
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
        self.process = cli.start("serve", options=options, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def say(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, *words):
        self.say(*words)
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

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
        eventually("it is closed", lambda: not any(name.endswith("(deleted)") and str(tree) in name
                                                   for name in guest.open_files()))


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
        (inside / "d").rename(inside / "real")
        (inside / "d").symlink_to("real")
        answers = set()
        for _ in range(1000):
            for target in (outside, "real", "../outside"):
                fresh = inside / "fresh"
                fresh.symlink_to(target)
                guest.say("get", "/host/d/sub/file")
                fresh.rename(inside / "d")
                answers.add(guest.answer())
        assert answers <= {"mine", f"errno {errno.ENOENT}"}, answers
    assert (outside / "sub/file").read_text() == "secret"


@test
def system_tests_in_host_directory(cli):
    """What holds for files in memory holds for those of the host."""
    for name in ("fs_files", "fs_dirs", "fs_rename", "fs_locks", "sendfile"):
        program = str(cli.work / name)
        compiler = str(cli.build / "bin/ufork-cc")
        subprocess.run([compiler, "-std=gnu11", "-O2", str(HERE / f"sys/{name}.c"), "-o", program],
                       check=True)
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
    other = Cli(cli.build, Path(cli.probe).parent, cli.work)
    other.ufork = str(cli.work / "ufork")
    for options in ((), ("--vm",)):
        done = other.raw("run", *options, f"--root={root}", str(cli.work / "probe"), "get", "/etc/open", user=65534)
        expect(done, 0, "open\n", "etc/secret: cannot be read, left out")
        assert re.search("etc/closed: cannot be read, left out", done.stderr), done

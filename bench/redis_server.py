# SPDX-License-Identifier: MIT
"""A Redis server under our control, on Linux or on µFork, and the few requests we make of it."""
import os
import shlex
import socket
import subprocess
import time
from pathlib import Path

from servers import end_server, free_port

VALUE = 1000  # bytes of a value; a key with one is "1 KB of data"


class Client:
    """One connection that speaks RESP."""

    def __init__(self, port, timeout=120):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")

    @staticmethod
    def encode(*words):
        out = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        return b"".join(out)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.file.read(size + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        raise RuntimeError(f"not a reply: {line!r}")

    def ask(self, *words):
        self.sock.sendall(self.encode(*words))
        return self.reply()

    def pipeline(self, *requests):
        """Sends all requests in one packet: the server runs them back to back."""
        self.sock.sendall(b"".join(self.encode(*r) for r in requests))
        return [self.reply() for _ in requests]

    def info(self, section):
        lines = self.ask("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self):
        self.file.close()
        self.sock.close()


class Server:
    """redis-server of one system, in a directory of its own that holds its dump.rdb."""

    def __init__(self, system, build, directory, ufork_options=(), load=True):
        self.system, self.directory, self.port = system, Path(directory), free_port()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.dump = self.directory / "dump.rdb"
        if not load:
            self.dump.unlink(missing_ok=True)
        guest_dir = "/data" if system == "ufork" else str(self.directory)
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", guest_dir,
                     "--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
                     "--hz", "100", "--daemonize", "no", "--databases", "1"]
        if system == "ufork":
            command = [str(build / "bin/ufork"), "run", f"--root={build / 'rootfs'}",
                       f"--dir=/data:{self.directory}", *ufork_options, "redis-server"]
        else:
            command = [os.environ.get("NATIVE_REDIS", str(build / "native/bin/redis-server"))]
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(command + arguments, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        try:
            self.client = self.connect()
        except BaseException:
            self.stop()
            raise

    def connect(self):
        """Waits until the server listens and has loaded its data."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"redis-server ({self.system}) ended with status "
                                   f"{self.process.returncode}:\n{self.tail()}")
            try:
                client = Client(self.port)
                client.ask("PING")
                return client
            except (OSError, RuntimeError):  # refused, or "LOADING"
                time.sleep(0.02)
        raise RuntimeError(f"redis-server ({self.system}) does not answer:\n{self.tail()}")

    def tail(self):
        self.log.flush()
        return "\n".join((self.directory / "log").read_text(errors="replace").splitlines()[-15:])

    def populate(self, keys):
        """Sets `keys` values of VALUE bytes that do not compress, the same on every server."""
        pool = pseudo_random(1 << 20)
        prefix = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n"
        for start in range(0, keys, 1000):
            batch = []
            for key in range(start, min(start + 1000, keys)):
                at = key * 7919 % (len(pool) - VALUE)
                batch += [prefix % (key, VALUE), pool[at:at + VALUE], b"\r\n"]
            self.client.sock.sendall(b"".join(batch))
            for _ in range(len(batch) // 3):
                self.client.reply()

    def digest(self):
        return self.client.ask("DEBUG", "DIGEST")

    def stop(self):
        end_server(self.process)
        self.log.close()


def pseudo_random(size):
    """Bytes that do not compress, the same in every run."""
    import random
    return random.Random(1).randbytes(size)


def benchmark_command(build):
    return shlex.split(os.environ.get("REDIS_BENCHMARK", str(build / "native/bin/redis-benchmark")))

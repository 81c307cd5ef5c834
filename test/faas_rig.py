# SPDX-License-Identifier: MIT
"""A ufaas under test: its configuration, its requests, what it leaves behind.

Tests run on hosts that may be busy, or stand still for seconds. So they wait for what they need to see, the limits that
are not to be met are LIMIT, and what has to take a while takes it until the test has seen it (the probe's `wait`)."""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
INVOKE = "/2015-03-31/functions/%s/invocations"

LIMIT = 120  # seconds for anything

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
tmp = "{tmp}"
first_uid = {first_uid}
header_ms = {header_ms}
drain_ms = {drain_ms}
log = "{log}"
[function.probe]
command = ["{probe}"]
timeout_ms = 60000
memory_mb = 64
environment = {{ GREETING = "hello" }}
path = "{work}"
[function.short]
command = ["{probe}"]
timeout_ms = 300
[function.lingers]
command = ["{probe}"]
timeout_ms = 1000
[function.narrow]
command = ["{probe}"]
timeout_ms = 60000
concurrency = 2
queue = 2
[function.small]
command = ["{probe}"]
timeout_ms = 60000
max_body = 1000
max_response = 2000
[function.shell]
command = ["filter", "/bin/sh", "greet.sh"]
timeout_ms = 60000
path = "{work}"
[function.root]
command = ["{probe}"]
timeout_ms = 60000
uid = 0
"""
FUNCTIONS = re.findall(r"^\[function\.(\w+)\]", CONFIG, re.M)
ports = set()  # that were given out


def free_port():
    """One that no connection gets as its own, as these are numbers above."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.add(port)
            return port


def eventually(what, condition, seconds=LIMIT):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: still not so after {seconds} s"
        time.sleep(0.02)


def descendants(pid):
    """How many processes there are from this one on."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return 1 + sum(descendants(child) for child in children)


def process_state(pid):
    """Its letter in /proc."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def stop(pid):
    """Until SIGCONT."""
    os.kill(pid, signal.SIGSTOP)
    eventually("it has stopped", lambda: process_state(pid) == "T")


class Reply:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        self.text = self.body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.text[:300]}"


class Server:
    """One run of ufaas with a configuration of its own."""

    def __init__(self, rig, more="", log=None, descriptors=None, header_ms=60000, drain_ms=60000):
        self.system, self.sanitized = rig.system, "sanitized" in str(rig.server)
        self.work = Path(tempfile.mkdtemp(prefix="ufaas-test-"))
        self.work.chmod(0o755)
        self.port, self.admin = free_port(), free_port()
        self.log = log or self.work / "log"
        (self.work / "tmp").mkdir()
        (self.work / "tmp").chmod(0o755)
        self.probe = self.work / "probe"
        shutil.copy(rig.probe, self.probe)
        shutil.copy(HERE.parent / "user/ufaas/examples/greet.sh", self.work)
        shutil.copy(rig.bootstrap, self.work / "bootstrap")
        self.config = self.work / "functions.toml"
        self.settings = {"header_ms": header_ms, "drain_ms": drain_ms}
        # On uFork temporary files are made in the instance's own memory.
        self.tmp = "/tmp" if rig.system == "ufork" else str(self.work / "tmp")
        self.configure(more)
        words = ["--config", str(self.config)]
        # A log at stderr is a pipe that nobody reads until the test does.
        stderr = subprocess.PIPE if log == "stderr" else open(self.work / "stderr", "w")
        self.process = subprocess.Popen(rig.command(self.work, words, descriptors),
                                        stdin=subprocess.DEVNULL, stderr=stderr)
        try:
            eventually("the server answers", self.answers)
            eventually("all are warm", lambda: all(f["state"] == "ready" for f in self.request(
                "GET", "/admin/functions", admin=True).json()))
        except AssertionError:
            self.end()
            raise

    def configure(self, more=""):
        # Users of its own, as Linux has one set of them.
        text = CONFIG.format(port=self.port, admin=self.admin, probe=self.probe, work=self.work, tmp=self.tmp, log=self.log,
                             first_uid=1000000 + self.port % 25000 * 40000, **self.settings)
        self.config.write_text(text + more.replace("{work}", str(self.work)))

    def answers(self):
        assert self.process.poll() is None, "ended: " + (self.work / "stderr").read_text()
        try:
            return self.request("GET", "/healthz").status == 200
        except OSError:
            return False

    def request(self, method, path, body=None, headers=None, admin=False):
        c = http.client.HTTPConnection("127.0.0.1", self.admin if admin else self.port, timeout=LIMIT)
        try:
            c.request(method, path, body, headers or {})
            return Reply(c.getresponse())
        finally:
            c.close()

    def invoke(self, body, function="probe", **headers):
        return self.request("POST", INVOKE % function, body,
                            {k.replace("_", "-"): v for k, v in headers.items()})

    def plain(self, body, function="probe"):
        return self.request("POST", f"/function/{function}", body)

    def raw(self, data, shut=False, port=None):
        """What the server says to these bytes until it closes, or until it has been silent."""
        with socket.create_connection(("127.0.0.1", port or self.port), timeout=LIMIT) as s:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except (TimeoutError, ConnectionResetError):
                pass
            return answer

    def metric(self, name, function=None, **labels):
        labels = "".join(f',{k}="{v}"' for k, v in labels.items())
        key = name + (f'{{function="{function}"{labels}}}' if function else "")
        for line in self.request("GET", "/metrics").text.splitlines():
            if line.startswith(key + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {key}")

    def lines(self):
        """The log; every line must be JSON."""
        text = self.log.read_text()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def logged(self, pattern):
        return [l for l in self.lines() if re.search(pattern, l.get("message", ""))]

    def count(self, held=0):
        """Processes of the server, it and on uFork the asking worker included; its descriptors and resident pages. When
        nothing runs and no connection is left but this one and those that the test holds."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)

        def ask(method, path, body=None):
            c.request(method, path, body)
            return Reply(c.getresponse()).text

        def nothing_runs():
            text = ask("GET", "/metrics")
            return f"\nufaas_connections {1 + held}\n" in text and not re.search(r"^ufaas_workers\{.*\} [1-9]", text, re.M)
        try:
            eventually("nothing runs", nothing_runs)
            if self.system == "ufork":
                return [int(n) for n in ask("POST", "/function/root", "count 1").split()]
            proc = Path(f"/proc/{self.process.pid}")
            # statm would be off by what each CPU has not added up yet.
            rollup = (proc / "smaps_rollup").read_text()
            resident = int(re.search(r"^Rss:\s+(\d+) kB", rollup, re.M)[1]) // 4
            return [descendants(self.process.pid), len(list((proc / "fd").iterdir())), resident]
        finally:
            c.close()

    def quiet(self, function):
        """Until nothing of it runs; what its workers have left behind is gone then, too."""
        eventually("nothing runs", lambda: self.metric("ufaas_workers", function) == 0)

    def settled(self, held=0):
        """`count` when it has stopped to change: old zygotes end in their own time."""
        last = None
        for _ in range(10 * LIMIT):
            now = self.count(held)
            if now[:2] == last:
                return now
            last = now[:2]
            time.sleep(0.1)
        raise AssertionError(f"never the same: {now}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(LIMIT)
        assert status == 0, f"status {status}"

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.work, ignore_errors=True)


class Rig:
    def __init__(self, build, system, cpus, server=None):
        self.build, self.system, self.cpus = build, system, cpus
        self.server = server or build / "native/bin/ufaas"
        # On uFork they are where [server] programs says.
        self.programs = [] if system == "ufork" else ["--programs", str(build / "native/lib/ufaas")]
        self.sanitized_rapi = server.resolve().parent / "sanitized-rapi" if server else None
        cc = build / ("bin/native-cc" if system == "native" else "bin/ufork-cc")
        self.probe, self.bootstrap = (build / f"test/faas/{system}-{name}" for name in ("probe", "bootstrap"))
        self.probe.parent.mkdir(parents=True, exist_ok=True)
        for program, *sources in ((self.probe, HERE / "faas/probe.c", HERE.parent / "user/ufaas/worker.c"),
                                  (self.bootstrap, HERE / "faas/bootstrap.c")):
            subprocess.run([cc, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                            f"-I{HERE.parent}/include", "-Wno-unused-result", *sources, "-o", program], check=True)

    def command(self, work, words, descriptors=None):
        """ufaas with these words, and with at most so many descriptors."""
        program = "ufaas" if self.system == "ufork" else str(self.server)
        words = [program, *self.programs, *words]
        if descriptors:
            words = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *words]
        if self.system == "native":
            return words
        cpus = [f"--cpus={self.cpus}"] if self.cpus else []
        if descriptors:
            words[0] = "sh"
        return [self.build / "bin/ufork", "run", *cpus, f"--root={self.build}/rootfs",
                f"--dir={work}:{work}", *words]

    def serve(self, more="", **options):
        return Server(self, more, **options)

    def run(self, *words):
        work = Path(tempfile.mkdtemp(prefix="ufaas-test-"))
        try:
            return subprocess.run(self.command(work, words), capture_output=True, text=True,
                                  timeout=LIMIT)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def parallel(functions):
    """Runs them at once; their results in order."""
    results = [None] * len(functions)

    def one(i):
        try:
            results[i] = functions[i]()
        except Exception as problem:  # the caller looks
            results[i] = problem

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(functions))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results

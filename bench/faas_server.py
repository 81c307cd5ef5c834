# SPDX-License-Identifier: MIT
"""A ufaas under our control, on Linux or on µFork, and wrk that calls its functions."""
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from nginx_server import parse
from servers import end_server, free_port

SOURCE = Path(__file__).resolve().parent.parent
EXAMPLES = SOURCE / "user/ufaas/examples/python"
RUNTIME = SOURCE / "user/ufaas/python/runtime.py"
CONNECTIONS = 16


class Function:
    """One of the configuration. `keys`: what functions.toml may say of it beside these."""

    def __init__(self, name, handler=None, path=EXAMPLES, **keys):
        self.name = name
        self.keys = {"runtime": "python3", "path": str(path), "handler": handler or f"{name}.handler", **keys}

    def table(self):
        # JSON's strings and numbers are TOML's.
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.keys.items()]
        return "\n".join([f"[function.{self.name}]", *lines, ""])


class Server:
    """ufaas with some functions; the same configuration on both systems but for Python and the directory of
    temporary files, which is in memory on both. `cpus`: how many it may use, and which on Linux."""

    def __init__(self, system, build, functions, cpus=None, options=()):
        self.system, self.build, self.functions = system, build, list(functions)
        self.port, self.admin = free_port(), free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="faas-", dir=build))
        self.directory.chmod(0o755)
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp"
        self.tmp = Path(tempfile.mkdtemp(prefix="faas-", dir=memory)) if system == "linux" else None
        if self.tmp:
            self.tmp.chmod(0o755)
        command = self.command(cpus, options)
        if cpus:
            command = ["taskset", "-c", f"0-{cpus - 1}", *command]
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        try:
            self.wait_for_answers()
        except BaseException:
            self.stop()
            raise

    def command(self, cpus, options):
        configuration = self.directory / "functions.toml"
        configuration.write_text("\n".join([self.settings(), *(f.table() for f in self.functions)]))
        if self.system == "linux":
            return [str(self.build / "native/bin/ufaas"), "--config", str(configuration)]
        shown = {str(self.directory), *(f.keys["path"] for f in self.functions), str(RUNTIME.parent)}
        return [str(self.build / "bin/ufork"), "run", f"--root={self.build / 'rootfs'}",
                *(f"--dir={path}:{path}" for path in sorted(shown)), *options,
                *([f"--cpus={cpus}"] if cpus else []), "ufaas", "--config", str(configuration)]

    def settings(self):
        """[server]; each server's users are its own, as Linux has one set of them."""
        python = "/usr/bin/python3" if self.system == "ufork" else str(self.build / "native/bin/python3")
        server = {"listen": f"127.0.0.1:{self.port}", "admin": f"127.0.0.1:{self.admin}", "log": "stderr",
                  "log_level": "warn", "python": python, "runtime": str(RUNTIME),
                  "first_uid": 1000000 + self.port % 25000 * 40000}
        if self.tmp:
            server["tmp"] = str(self.tmp)
        return "\n".join(["[server]", *(f"{key} = {json.dumps(value)}" for key, value in server.items()), ""])

    def url(self, function):
        return f"http://127.0.0.1:{self.port}/function/{function}"

    def call(self, function, event, timeout=300):
        """(status, answer) of one request."""
        request = urllib.request.Request(self.url(function), data=json.dumps(event).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as answer:
            return answer.code, json.loads(answer.read() or b"null")

    def wait_for_answers(self):
        """Until the port is open; a request waits until its zygote is warm."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=300) as answer:
                    answer.read()
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.02)
        raise RuntimeError(f"ufaas ({self.system}) does not answer:\n" + self.said()[-2000:])

    def said(self):
        """The log so far."""
        return (self.directory / "log").read_text(errors="replace")

    def stop(self):
        end_server(self.process)
        self.log.close()
        for directory in filter(None, (self.directory, self.tmp)):
            shutil.rmtree(directory, ignore_errors=True)


class ExampleServer(Server):
    """ufaas with the configuration of the examples as it is, on platform pc as well; only the places of files and the
    port are said on the command line."""

    def __init__(self, system, build):
        super().__init__(system, build, [])

    def command(self, cpus, options):
        if self.system == "linux":
            return [str(self.build / "native/bin/ufaas"), f"--listen=127.0.0.1:{self.port}", f"--tmp={self.tmp}",
                    f"--python={self.build / 'native/bin/python3'}", f"--runtime={RUNTIME}",
                    f"--programs={self.build / 'native/lib/ufaas'}", "--config", str(EXAMPLES.parent / "functions.toml")]
        shown = [f"--root={self.build / 'rootfs'}", f"--dir=/functions:{EXAMPLES.parent}:ro"]
        if self.system == "pc":
            shown += ["--vm", "--cpus=2", "--memory=1G", "-p", f"{self.port}:8080"]
        return [str(self.build / "bin/ufork"), "run", *shown, "ufaas",
                *([f"--listen=127.0.0.1:{self.port}"] if self.system == "ufork" else []),
                "--config", "/functions/functions.toml"]


SCRIPT = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{body}]]
"""


def wrk(server, function, event, seconds, cpu=None):
    """Calls a function as often as the server answers, on CONNECTIONS connections."""
    script = server.directory / "wrk.lua"
    script.write_text(SCRIPT.format(body=json.dumps(event)))
    pinned = ["taskset", "-c", str(cpu)] if cpu is not None else []
    command = pinned + shlex.split(os.environ.get("WRK", "wrk")) + [
        "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), server.url(function)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 60,
                          check=True)
    if "50%" not in done.stdout:
        raise RuntimeError(f"no request of {function} was answered ({server.system}):\n{done.stdout}{server.said()[-1000:]}")
    return parse(done.stdout)

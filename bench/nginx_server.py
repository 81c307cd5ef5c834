# SPDX-License-Identifier: MIT
"""An nginx under our control, on Linux or on µFork, and wrk that asks it for files."""
import os
import re
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from redis_server import pseudo_random
from servers import end_server, free_port

SIZES = {"small": 612, "64KB": 65536}
CONNECTIONS = 16
CONFIG = """worker_processes {workers};
user root;
error_log {directory}/error.log notice;
pid {directory}/pid;
events {{ worker_connections 512; }}
http {{
  access_log {directory}/access.log;
  sendfile on;
  keepalive_requests 1000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {directory}/html; }}
}}
"""
UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


class Server:
    """A master with some workers that serves files of a host directory."""

    def __init__(self, system, build, directory, workers, options=()):
        self.system, self.directory = system, Path(directory)
        self.port = free_port()
        html = self.directory / "html"
        html.mkdir(parents=True, exist_ok=True)
        for name, size in SIZES.items():
            (html / name).write_bytes(pseudo_random(size))
        config = self.directory / "nginx.conf"
        config.write_text(CONFIG.format(workers=workers, directory=self.directory, port=self.port))
        words = ["-c", str(config), "-e", str(self.directory / "error.log"), "-g", "daemon off;"]
        if system == "ufork":
            command = [str(build / "bin/ufork"), "run", f"--root={build / 'rootfs'}",
                       f"--dir={self.directory}:{self.directory}", *options, "nginx"]
        else:
            command = [os.environ.get("NATIVE_NGINX", str(build / "native/bin/nginx"))]
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(command + words, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self.wait_for_answer()
        except BaseException:
            self.stop()
            raise

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"

    def wait_for_answer(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url("small"), timeout=10) as answer:
                    if len(answer.read()) == SIZES["small"]:
                        return
            except (OSError, urllib.error.URLError):
                time.sleep(0.02)
        raise RuntimeError(f"nginx ({self.system}) does not answer:\n"
                           + (self.directory / "log").read_text(errors="replace")[-2000:])

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def reloads(self):
        return (self.directory / "error.log").read_text(errors="replace").count(": reconfiguring")

    def stop(self):
        end_server(self.process)
        self.log.close()


def parse(output):
    """What wrk says: requests per second, latencies in microseconds, requests that failed."""
    def latency(percent):
        value, unit = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)$", output, re.M).groups()
        return float(value) * UNITS[unit]

    errors = sum(int(n) for line in re.findall(r"Socket errors: (.*)", output)
                 for n in re.findall(r"\d+", line))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return {"requests": float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1)),
            "p50": latency(50), "p99": latency(99),
            "failed": errors + (int(bad.group(1)) if bad else 0)}


def wrk(server, name, seconds, keepalive, connections=CONNECTIONS):
    """Asks for one file as fast as the server answers."""
    command = shlex.split(os.environ.get("WRK", "wrk")) + [
        "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if not keepalive:
        command += ["-H", "Connection: close"]
    done = subprocess.run(command + [server.url(name)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=seconds + 60, check=True)
    return parse(done.stdout)

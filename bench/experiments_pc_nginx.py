# SPDX-License-Identifier: MIT
"""nginx on bare x86-64: a master and workers on as many CPUs, µFork and Debian's cloud kernel in the same
QEMU, asked by wrk on the host through a forwarded port."""
from nginx_server import SIZES, wrk
from pc_machine import Machine
from redis_server import pseudo_random
from servers import free_port

PORT, CONNECTIONS = 8080, 8
CONF = """daemon off;
worker_processes {workers};
user root root;
pid /tmp/pid;
error_log /tmp/error.log;
events {{ worker_connections 256; }}
http {{
  access_log /tmp/access.log;
  sendfile on;
  keepalive_requests 1000000;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  server {{ listen {port} backlog=256; root /srv; }}
}}
"""


class Forwarded:
    """What wrk asks: the host's end of a forwarded port."""

    def __init__(self, port):
        self.port = port

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"


def files_of(guest, workers):
    pages = {f"/srv/{name}": pseudo_random(size) for name, size in SIZES.items()}
    return {"/usr/sbin/nginx": guest.port("nginx", "sbin"), **pages,
            "/etc/passwd": b"root:x:0:0:root:/:/bin/sh\n", "/etc/group": b"root:x:0:\n",
            "/bench/nginx.conf": CONF.format(workers=workers, port=PORT).encode()}


def ask(guest, workers, name, keepalive, seconds, seed):
    """Requests per second, latencies, QEMU's processor time for a request."""
    script = ["start /usr/sbin/nginx -c /bench/nginx.conf -e /tmp/error.log", f"wait {PORT}"]
    port = free_port()
    with Machine(guest, script, files_of(guest, workers), ports={port: PORT}, seed=seed,
                 cpus=workers) as machine:
        machine.until("@@ done")
        server = Forwarded(port)
        wrk(server, name, 1, keepalive, CONNECTIONS)  # QEMU translates
        before = machine.cpu_seconds()
        figures = wrk(server, name, seconds, keepalive, CONNECTIONS)
        cpu = (machine.cpu_seconds() - before) / (figures["requests"] * seconds)
    if figures["failed"]:
        raise RuntimeError(f"{figures['failed']:.0f} requests failed")
    return [("requests", "1/s", figures["requests"]), ("p50", "µs", figures["p50"]),
            ("p99", "µs", figures["p99"]), ("emulator_cpu", "µs", cpu * 1e6)]


def jobs(quick):
    """(parameter, measure(guest, seed)) each."""
    ways = [(w, name, keepalive) for w in ((1, 2) if quick else (1, 2, 4)) for name in SIZES
            for keepalive in ((True,) if quick else (True, False))]
    return [(f"{w}w-{name}" + ("" if keepalive else "-close"),
             lambda guest, seed, w=w, n=name, k=keepalive: ask(guest, w, n, k, 2 if quick else 5, seed))
            for w, name, keepalive in ways]

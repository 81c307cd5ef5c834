# SPDX-License-Identifier: MIT
"""
One snapshot of a running Redis, measured and proven.

How a dump is proven to be the state at the moment of the fork: writers are paused (CLIENT PAUSE
WRITE), the digest of the data is taken (DEBUG DIGEST), redis-benchmark connects and its first
writes wait; then BGSAVE and CLIENT UNPAUSE go in one packet. The fork therefore happens in exactly
the state of the digest, and from then on the writers change it as fast as they can while the child
saves. The dump, loaded by a native Redis, must have the same digest.
"""
import random
import subprocess
import threading
import time
from pathlib import Path

import redis_server
from redis_server import VALUE, Client

WRITERS = 20


class Writers:
    """redis-benchmark setting random keys of the data set until it is told to stop."""

    def __init__(self, server, build, keys):
        command = redis_server.benchmark_command(build) + [
            "-h", "127.0.0.1", "-p", str(server.port), "-t", "set", "-r", str(keys),
            "-d", str(VALUE), "-c", str(WRITERS), "-n", "1000000000", "-q"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Probe(threading.Thread):
    """Reads random keys on its own connection, one at a time; remembers the longest wait."""

    def __init__(self, server, keys):
        super().__init__(daemon=True)
        self.client, self.keys = Client(server.port), keys
        self.client.ask("PING")
        self.worst, self.running = 0.0, True

    def run(self):
        number = random.Random(2)
        while self.running:
            start = time.perf_counter()
            self.client.ask("EXISTS", "key:%012d" % number.randrange(self.keys))
            self.worst = max(self.worst, time.perf_counter() - start)
            time.sleep(0.0002)

    def finish(self):
        self.running = False
        self.join()
        self.client.close()
        return self.worst


def memory_of(pid):
    """Physical memory in KiB of a process and its descendants: shared pages counted once."""
    total, pids = 0, [pid]
    while pids:
        pid = pids.pop()
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += [int(p) for p in children.read_text().split()]
        except OSError:
            pass  # ended meanwhile
    return total


def wait_for(condition, seconds, what, pause=0.001):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(pause)


def saving(client):
    return client.info("persistence")["rdb_bgsave_in_progress"] != "0"


def snapshot(server, build, keys, watch_memory=False):
    """
    Takes one snapshot under write load. Returns (digest at the fork, figures); the dump is in
    server.dump. With watch_memory the peak of the memory added is measured, which disturbs the
    server: then it is the only figure.
    """
    client = server.client
    server.dump.unlink(missing_ok=True)
    client.ask("CLIENT", "PAUSE", "600000", "WRITE")
    digest = server.digest()
    before = memory_of(server.process.pid) if watch_memory else 0
    writers = Writers(server, build, keys)
    try:
        wait_for(lambda: int(client.info("clients")["blocked_clients"]) >= WRITERS, 20,
                 "redis-benchmark connects", 0.01)
        probe = Probe(server, keys)
        done = int(client.info("stats")["total_commands_processed"])
        probe.start()
        start = time.perf_counter()
        client.pipeline(("BGSAVE",), ("CLIENT", "UNPAUSE"))
        call = time.perf_counter() - start
        peak = before
        while not server.dump.exists():  # renamed to this name when it is complete
            if watch_memory:
                peak = max(peak, memory_of(server.process.pid))
            time.sleep(0.05 if watch_memory and keys > 50000 else 0.001)
            if time.perf_counter() - start > 300 or not writers.process.poll() is None:
                raise RuntimeError("the snapshot does not end\n" + server.tail())
        elapsed = time.perf_counter() - start
        done = int(client.info("stats")["total_commands_processed"]) - done
        window = time.perf_counter() - start
        worst = probe.finish()
    finally:
        writers.stop()
    wait_for(lambda: not saving(client), 60, "the child is reaped")
    state = client.info("persistence")["rdb_last_bgsave_status"]
    if state != "ok":
        raise RuntimeError(f"BGSAVE ended with {state}\n{server.tail()}")
    if watch_memory:
        return digest, {"memory added": (peak - before) * 1024}
    return digest, {
        "latest_fork_usec": int(client.info("stats")["latest_fork_usec"]),
        "BGSAVE call": call * 1e6,
        "BGSAVE time": elapsed,
        "requests": done / window,
        "worst latency": worst * 1e3,
    }


def prove(dump, digest, build, directory):
    """Loads the dump with a native Redis; returns whether it has the digest."""
    target = Path(directory) / "dump.rdb"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.hardlink_to(dump)
    verifier = redis_server.Server("native", build, directory)
    try:
        return verifier.digest() == digest
    finally:
        verifier.stop()
        target.unlink()

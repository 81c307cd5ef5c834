# SPDX-License-Identifier: MIT
"""The experiments on bare x86-64: µFork and Debian's cloud kernel, each in the same QEMU.

`pc-instructions`, `pc-forksize` and `pc-redis-instructions` count instructions (-icount): they hardly
vary and do not depend on the host. `pc-wall`, `pc-boot`, `pc-redis` and `pc-nginx` take time, in QEMU's
emulation.
"""
import subprocess
import time

import experiments_pc_nginx
import report
from pc_machine import Guest, Machine, Unavailable
from servers import free_port

PORT, CLIENTS = 6379, 10
REDIS_CONF = f'port {PORT}\nsave ""\nappendonly no\nprotected-mode no\n'
# What the programs print, in nanoseconds of the machine: (metric, unit) -> (name, factor).
METRICS = {("null_call", "ns"): ("null_call", 1), ("fork_call", "us"): ("fork_call", 1e3),
           ("fork_exit_wait", "us"): ("fork_exit_wait", 1e3),
           ("fork_write_exit_wait", "us"): ("fork_write_exit_wait", 1e3),
           ("round_trip", "us"): ("context1", 1e3), ("spawn_1000", "ms"): ("spawn", 1e3)}


def programs(quick):
    """Name: (program, arguments)."""
    few = 4 if quick else 1
    return {"nullcall": ("nullcall", [100000]), "hello": ("hello", [400 // few]),
            "spawn": ("spawn", [400 // few]), "context1": ("context1", [8000 // few])}


def sizes(quick):
    """KiB touched: forks."""
    if quick:
        return {1024: 20, 524288: 3}
    return {1024: 20, 10240: 10, 102400: 6, 524288: 4, 1048576: 3, 3072000: 3}


def values_of(lines, unit):
    """(metric, unit, value) of what a program printed."""
    found = []
    for metric, printed, value in (line.split() for line in lines if len(line.split()) == 3):
        if (metric, printed) in METRICS:
            name, factor = METRICS[metric, printed]
            found.append((name, unit, float(value) * factor / (1 if unit == "instr" else 1e3)))
    return found


def run_programs(guest, jobs, icount, memory, seed):
    """Runs {name: (program, arguments)} in one boot; what all of them printed."""
    script = [f"run {name} /bench/{program} {' '.join(map(str, arguments))}"
              for name, (program, arguments) in jobs.items()]
    files = {f"/bench/{program}": guest.program(program) for program, _ in jobs.values()}
    with Machine(guest, script, files, memory=memory, icount=icount, seed=seed) as machine:
        return [value for _, lines in machine.outputs()
                for value in values_of(lines, "instr" if icount else "µs")]


def boot(guest, icount, seed):
    """From the start of QEMU to the first line of the first process."""
    with Machine(guest, icount=icount, first="/first", seed=seed) as machine:
        machine.until("@@ first")
        seconds = time.monotonic() - machine.started
        if icount:
            return [("boot", "Minstr", machine.instructions() / 1e6)]
        return [("boot", "ms", seconds * 1e3)]


# ---- Redis

def benchmark_words(requests, pipeline):
    return ["-h", "127.0.0.1", "-p", str(PORT), "-t", "set,get", "-n", str(requests), "-c", str(CLIENTS),
            "-r", "10000", "-P", str(pipeline), "--csv"]


def rates(lines):
    """redis-benchmark's table: (test, unit, requests per second)."""
    rows = [line.replace('"', "").split(",") for line in lines]
    found = [(row[0].lower(), "1/s", float(row[1])) for row in rows if row[0] in ("SET", "GET")]
    if len(found) != 2:
        raise RuntimeError(f"redis-benchmark: {lines[-5:]}")
    return found


def redis_files(guest, *more):
    files = {f"/usr/bin/{p}": guest.port(p) for p in ("redis-server", *more)}
    return {**files, "/bench/redis.conf": REDIS_CONF.encode()}


REDIS_SCRIPT = ["start /usr/bin/redis-server /bench/redis.conf", f"wait {PORT}"]


def redis_from_host(guest, requests, pipeline, seed):
    """The clients are on the host, behind QEMU's user-mode network."""
    port = free_port()
    with Machine(guest, REDIS_SCRIPT, redis_files(guest), ports={port: PORT}, seed=seed) as machine:
        machine.until("@@ done")
        before = machine.cpu_seconds()
        command = [guest.build / "bench/pc/redis_load", port, CLIENTS, pipeline, requests]
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=200)
        if done.returncode:
            raise RuntimeError(f"redis_load: {done.stderr}")
        cpu = (machine.cpu_seconds() - before) / (2 * requests)
        values = [(m, unit, float(value)) for m, unit, value in map(str.split, done.stdout.splitlines())]
        return [*values, ("emulator_cpu", "µs", cpu * 1e6)]


def redis_inside(guest, requests, pipeline, icount, seed):
    """Server and clients are in the machine; with icount, instructions of both per request."""
    words = " ".join(benchmark_words(requests, pipeline))
    script = [*REDIS_SCRIPT, f"run redis /usr/bin/redis-benchmark {words}"]
    with Machine(guest, script, redis_files(guest, "redis-benchmark"), icount=icount, seed=seed) as machine:
        (_, lines), = machine.outputs()
    found = rates(lines)
    # A second is 10^9 instructions.
    return [(test, "instr", 1e9 / rate) for test, _, rate in found] if icount else found


# ---- all of them

class Section:
    """Measures into the table; a failure, or a part that cannot be had, stops no other."""

    def __init__(self, build, quick, only, table):
        self.quick, self.only, self.table, self.figures, self.guests = quick, only, table, {}, []
        for guest in (Guest("ufork", build, "ufork", "ufork"), Guest("linux", build, "linux", "linux"),
                      Guest("linux-glibc", build, "linux", "glibc")):
            try:
                guest.check()
                self.guests.append(guest)
            except Unavailable as why:
                table.missing.append(f"{guest.name} on bare x86-64: {why}")

    def run(self, name, figure, runs, jobs, libcs=False):
        """
        jobs: (parameter, measure(guest, seed)) each; the systems take turns. With libcs, Linux is measured
        with programs of both C libraries.
        """
        if self.only and name not in self.only and "pc" not in self.only:
            return
        self.figures[name] = figure
        guests = [g for g in self.guests if libcs or g.name in ("ufork", "linux")]
        print(f"{name}: {len(jobs)} x {len(guests)} systems x {runs} runs", flush=True)
        for run in range(runs):
            for parameter, measure in jobs:
                for guest in guests:
                    self.table.attempt(name, guest.name, parameter, run, measure, guest, run + 1)


def small_job(quick, icount):
    return [("", lambda guest, seed: run_programs(guest, programs(quick), icount, 512, seed))]


def size_jobs(quick, icount):
    def job(size, count):
        return str(size), lambda guest, seed: run_programs(
            guest, {"size": ("forksize", [size, count])}, icount, 1024 if size < 1 << 20 else 4096, seed)
    return [job(size, count) for size, count in sizes(quick).items()]


def redis_jobs(requests):
    jobs = []
    for pipeline in (1, 16):
        count = requests * min(pipeline, 4)
        jobs += [(f"host P{pipeline}", lambda guest, seed, n=count, p=pipeline:
                  redis_from_host(guest, n, p, seed)),
                 (f"loopback P{pipeline}", lambda guest, seed, n=count, p=pipeline:
                  redis_inside(guest, n, p, False, seed))]
    return jobs


def redis_count_jobs(requests):
    return [(f"loopback P{p}", lambda guest, seed, n=requests * min(p, 4), p=p:
             redis_inside(guest, n, p, True, seed)) for p in (1, 16)]


def measure(build, quick, only, table):
    """The whole section into the table; returns the figures by name."""
    def bars(title, unit, **more):
        return report.Figure(f"pc: {title}", "", unit, **more)

    s = Section(build, quick, only, table)
    s.run("pc-instructions", bars("instructions of small operations", "instructions"), 1 if quick else 3,
          small_job(quick, True), libcs=True)
    s.run("pc-forksize", report.Figure("pc: fork call against populated memory", "KiB", "instructions",
                                       lines=True, metrics=["fork_call"]), 1, size_jobs(quick, True))
    s.run("pc-wall", bars("time of small operations, in emulation", "µs"), 2 if quick else 7,
          small_job(quick, False), libcs=not quick)
    s.run("pc-boot", bars("boot to the first process", "ms"), 3 if quick else 9,
          [("", lambda guest, seed: boot(guest, False, seed))])
    s.run("pc-boot-instructions", bars("boot to the first process", "million instructions"), 1,
          [("", lambda guest, seed: boot(guest, True, seed))])
    s.run("pc-redis", bars("Redis requests per second, in emulation", "1/s", metrics=["set", "get"]),
          1 if quick else 5, redis_jobs(2000 if quick else 10000))
    s.run("pc-redis-instructions", bars("instructions of client and server for a Redis request",
                                        "instructions"), 1, redis_count_jobs(3000 if quick else 10000))
    s.run("pc-nginx", bars("nginx requests per second, in emulation", "1/s", metrics=["requests"]),
          1 if quick else 3, experiments_pc_nginx.jobs(quick))
    return s.figures

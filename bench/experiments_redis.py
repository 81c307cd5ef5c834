# SPDX-License-Identifier: MIT
"""The experiments with Redis: live snapshots (those of `make run`) and plain throughput."""
import shutil
import subprocess
import tempfile
from pathlib import Path

import redis_server
import report
import scenario

NAMES = {"native": "linux"}  # the report calls systems by one name


def throughput(server, build, requests, pipeline):
    """Requests per second of SET and GET by redis-benchmark: (test, value) pairs."""
    command = redis_server.benchmark_command(build) + [
        "-h", "127.0.0.1", "-p", str(server.port), "-t", "set,get", "-n", str(requests), "-c", "50",
        "-r", "10000", "-P", str(pipeline), "--csv"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=True)
    rows = [line.replace('"', "").split(",") for line in done.stdout.splitlines()[1:]]
    return [(row[0].lower(), "1/s", float(row[1])) for row in rows if len(row) > 1]


def throughput_of_all(build, systems, runs, requests, add, options=()):
    """Interleaves the systems; calls add(system, pipeline, run, values) for each result."""
    work = Path(tempfile.mkdtemp(prefix="redis-", dir=build))
    servers = []
    try:
        for system in systems:
            servers.append(redis_server.Server(system, build, work / system, options, load=False))
        for pipeline in (1, 16):
            for run in range(runs):
                for server in servers:
                    values = throughput(server, build, requests * min(pipeline, 4), pipeline)
                    add(server.system, pipeline, run, values)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(work, ignore_errors=True)


def measure(build, quick, table):
    """Both experiments into the table; returns their figures."""
    print("redis: throughput", flush=True)

    def add(system, pipeline, run, values):
        table.add("redis-throughput", NAMES.get(system, system), str(pipeline), run, values)

    try:
        throughput_of_all(build, ["ufork", "native"], 3 if quick else 5, 50000, add)
        sizes = list(scenario.SIZES)[:3] if quick else list(scenario.SIZES)
        results = scenario.scenario(build, sizes, ["ufork", "native"], 2 if quick else None)
        for size, system, name, unit, run, value in results.rows():
            megabytes = str(scenario.SIZES[size])
            table.add("redis-snapshot", NAMES.get(system, system), megabytes, run,
                      [(name.replace(" ", "_"), unit, value)])
        if results.wrong:
            table.failures.append(f"redis: {results.wrong} dumps are not the snapshot at their fork")
    except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
        table.failures.append(f"redis: {problem}")
        print(f"  FAILED {table.failures[-1]}", flush=True)
    return {
        "redis-throughput": report.Figure("Redis requests per second, by pipeline depth",
                                          "requests in flight per client", "1/s"),
        "redis-snapshot": report.Figure("Redis fork latency against data", "MB", "µs", lines=True,
                                        metrics=["latest_fork_usec"]),
    }

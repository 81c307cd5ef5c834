# SPDX-License-Identifier: MIT
"""Requests per second of Redis without a snapshot, by redis-benchmark, the systems in turn."""
import shutil
import subprocess
import tempfile
from pathlib import Path

import redis_server


def one_run(server, build, requests, pipeline):
    """SET and GET: (test, unit, value)."""
    command = redis_server.benchmark_command(build) + [
        "-h", "127.0.0.1", "-p", str(server.port), "-t", "set,get", "-n", str(requests), "-c", "50",
        "-r", "10000", "-P", str(pipeline), "--csv"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=True)
    rows = [line.replace('"', "").split(",") for line in done.stdout.splitlines()[1:]]
    return [(row[0].lower(), "1/s", float(row[1])) for row in rows if len(row) > 1]


def all_runs(build, systems, runs, requests, add, options=(), pipelines=(1, 16)):
    """Calls add(system, pipeline, run, values) for each run."""
    work = Path(tempfile.mkdtemp(prefix="redis-", dir=build))
    servers = []
    try:
        for system in systems:
            servers.append(redis_server.Server(system, build, work / system, options, load=False))
        for pipeline in pipelines:
            for run in range(runs):
                for server in servers:
                    values = one_run(server, build, requests * min(pipeline, 4), pipeline)
                    add(server.system, pipeline, run, values)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(work, ignore_errors=True)

# SPDX-License-Identifier: MIT
"""The experiments with Redis: plain throughput, and the live snapshots of `make run`."""
import subprocess

import report
import scenario
import throughput

SYSTEMS = ["ufork", "native"]
NAMES = {"native": "linux"}  # the report calls systems by one name


def measure_throughput(build, quick, table):
    def add(system, pipeline, run, values):
        table.add("redis-throughput", NAMES.get(system, system), str(pipeline), run, values)

    throughput.all_runs(build, SYSTEMS, 3 if quick else 5, 50000, add)


def measure_snapshots(build, quick, table):
    sizes = list(scenario.SIZES)[:3] if quick else list(scenario.SIZES)
    results = scenario.scenario(build, sizes, SYSTEMS, 2 if quick else None)
    for size, system, name, unit, run, value in results.rows():
        table.add("redis-snapshot", NAMES.get(system, system), str(scenario.SIZES[size]), run,
                  [(name.replace(" ", "_"), unit, value)])
    if results.wrong:
        raise RuntimeError(f"{results.wrong} dumps are not the snapshot at their fork")


def measure(build, quick, table):
    """Both experiments into the table; returns their figures."""
    for name, experiment in (("throughput", measure_throughput), ("snapshots", measure_snapshots)):
        print(f"redis: {name}", flush=True)
        try:
            experiment(build, quick, table)
        except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
            table.failures.append(f"redis {name}: {problem}")
            print(f"  FAILED {table.failures[-1]}", flush=True)
    return {
        "redis-throughput": report.Figure("Redis requests per second, by pipeline depth", "", "1/s"),
        "redis-snapshot": report.Figure("Redis fork latency against data", "MB", "µs", lines=True,
                                        metrics=["latest_fork_usec"]),
    }

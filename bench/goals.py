# SPDX-License-Identifier: MIT
"""What the project wants of the figures, and whether they are so: a table that report.py shows."""
import statistics
from dataclasses import dataclass


@dataclass
class Goal:
    """A median, or the ratio of two, against a bound. A key is (experiment, system, parameter, metric)."""
    what: str
    key: tuple
    against: tuple = None
    at_least: float = None
    at_most: float = None

    def measured(self, medians):
        """The figure, or None where it was not measured."""
        value = medians.get(self.key)
        if value is None or self.against is None:
            return value
        other = medians.get(self.against)
        return value / other if other else None

    def bound(self):
        return f"at least {self.at_least:g}" if self.at_most is None else f"at most {self.at_most:g}"

    def met(self, value):
        return value >= self.at_least if self.at_most is None else value <= self.at_most


def times_less(what, experiment, metric, times, parameter="", peer="linux"):
    """µFork takes at most 1/times of what the peer takes."""
    return Goal(what, (experiment, peer, parameter, metric), (experiment, "ufork", parameter, metric),
                at_least=times)


def throughput(what, experiment, parameter, metric, times):
    return Goal(what, (experiment, "ufork", parameter, metric), (experiment, "linux", parameter, metric),
                at_least=times)


def flat(what, experiment, large, small, times):
    return Goal(what, (experiment, "ufork", large, "fork_call"), (experiment, "ufork", small, "fork_call"),
                at_most=times)


GOALS = [
    Goal("fork call of a hello-world process, µs", ("hello", "ufork", "", "fork_call"), at_most=5),
    times_less("fork+exit+wait, Linux's time / µFork's", "hello", "fork_exit_wait", 20),
    flat("fork call with 1 GB / with 1 MB", "forksize", "1048576", "1024", 4),
    Goal("fork call with 1 GB, µs", ("forksize", "ufork", "1048576", "fork_call"), at_most=50),
    Goal("null call, ns", ("nullcall", "ufork", "", "null_call"), at_most=20),
    times_less("null call, Linux's time / µFork's", "nullcall", "null_call", 10),
    Goal("context1 on one CPU, µs a round trip", ("context1-1cpu", "ufork", "", "round_trip"), at_most=0.3),
    *(throughput(f"Redis {metric.upper()}, {depth} in flight, µFork's rate / Linux's", "redis-throughput", depth,
                 metric, 1) for depth in ("1", "16") for metric in ("set", "get")),
    *(throughput(f"nginx, {workers} worker(s), {size}, µFork's rate / Linux's", "nginx", f"{workers}w-{size}", "requests", 1)
      for workers in (1, 2, 4) for size in ("small", "64KB")),
    throughput("functions: an empty handler on one CPU, µFork's rate / Linux's", "faas", "1cpu-empty", "requests", 10),
    throughput("functions: float_operation on one CPU, µFork's rate / Linux's", "faas", "1cpu-float", "requests", 1.24),
    Goal("functions: fork call of a warmed Python, µs", ("faas-start", "ufork", "empty", "fork_call"), at_most=50),
    Goal("functions: memory of a live worker, MB", ("faas-memory", "ufork", "", "private"), at_most=1),
    times_less("pc: fork+exit+wait, Linux's instructions / µFork's", "pc-instructions", "fork_exit_wait", 20),
    times_less("pc: the same, Linux's programs with its usual libc", "pc-instructions", "fork_exit_wait", 20,
               peer="linux-glibc"),
    flat("pc: instructions of a fork call with 512 MB / with 1 MB", "pc-forksize", "524288", "1024", 2),
    times_less("pc: null call, Linux's instructions / µFork's", "pc-instructions", "null_call", 10),
    times_less("pc: context1, Linux's instructions / µFork's", "pc-instructions", "context1", 20),
    times_less("pc: boot, Linux's time / µFork's", "pc-boot", "boot", 10),
    *(throughput(f"pc: Redis {metric.upper()}, {place}, {depth} in flight, µFork's rate / Linux's", "pc-redis",
                 f"{where} P{depth}", metric, 1.5)
      for where, place in (("loopback", "clients in the machine"), ("host", "clients on the host"))
      for depth in ("1", "16") for metric in ("set", "get")),
    *(times_less(f"pc: Redis, clients on the host, {depth} in flight, QEMU's processor time for a request, "
                 "Linux's / µFork's", "pc-redis", "emulator_cpu", 1.5, f"host P{depth}") for depth in ("1", "16")),
]


def medians_of(rows):
    values = {}
    for experiment, system, parameter, metric, value, _, _ in rows:
        values.setdefault((experiment, system, parameter, metric), []).append(value)
    return {key: statistics.median(found) for key, found in values.items()}


def judge(rows):
    """(what, bound, figure, "met" or "missed") of every goal that was measured."""
    medians, found = medians_of(rows), []
    for goal in GOALS:
        value = goal.measured(medians)
        if value is not None:
            found.append((goal.what, goal.bound(), f"{value:.3g}", "met" if goal.met(value) else "missed"))
    return found

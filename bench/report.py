# SPDX-License-Identifier: MIT
"""Medians, figures (gnuplot, SVG) and the HTML page of a table of results."""
import html
import platform
import re
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import goals


@dataclass
class Figure:
    """What to draw: lines over a numeric parameter (log-log), or bars per metric and parameter."""
    title: str
    x: str
    y: str
    lines: bool = False
    metrics: list = field(default_factory=list)  # which ones; all if empty


def group(rows):
    """{(experiment, parameter, metric, unit): {system: [values]}} in the order of measuring."""
    groups = {}
    for experiment, system, parameter, metric, value, unit, _ in rows:
        key = (experiment, parameter, metric, unit)
        groups.setdefault(key, {}).setdefault(system, []).append(value)
    return groups


def spread(values):
    """(median, lowest quartile, highest quartile)."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def ratio(systems):
    """Linux's median divided by µFork's, as text."""
    if "ufork" not in systems or "linux" not in systems:
        return ""
    ufork = statistics.median(systems["ufork"])
    return f"{statistics.median(systems['linux']) / ufork:.2f}" if ufork else ""


def summary(rows):
    """The medians as plain text."""
    lines = []
    for (experiment, parameter, metric, unit), systems in group(rows).items():
        figures = "  ".join(f"{s} {number(spread(v)[0])}" for s, v in systems.items())
        lines.append(f"{experiment:<22}{parameter:>13} {metric:<22}{unit:<6}{figures}  "
                     + (f"linux/ufork {ratio(systems)}" if ratio(systems) else ""))
    for what, bound, value, verdict in goals.judge(rows):
        lines.append(f"goal {verdict:<7}{what}: {value}, {bound}")
    return "\n".join(lines)


def names(groups):
    """Systems in order of appearance."""
    return list(dict.fromkeys(s for systems in groups.values() for s in systems))


def plot(path, figure, groups):
    """Draws one experiment's groups into an SVG."""
    if figure.metrics:
        groups = {k: v for k, v in groups.items() if k[2] in figure.metrics}
    if not groups:
        return False
    systems = names(groups)
    blocks, curves = [], []
    for index, system in enumerate(systems):
        block = []
        for position, ((_, parameter, metric, _), values) in enumerate(groups.items()):
            if system not in values:
                continue
            middle, low, high = spread(values[system])
            at = parameter if figure.lines else position + (index + 0.5) / (len(systems) + 1)
            block.append(f"{at} {middle} {low} {high}")
        blocks.append(f"$data{index} << EOD\n" + "\n".join(block) + "\nEOD\n")
        source = f"$data{index} using 1:2:3:4"
        if figure.lines:
            curves.append(f"{source} with yerrorlines lw 2 title '{system}'")
        else:
            width = 0.8 / (len(systems) + 1)
            curves.append(f"{source}:({width}) with boxerrorbars title '{system}'")
    script = ["set terminal svg size 760,420 font 'sans,12' background 'white'",
              f"set output '{path}'", f"set title '{figure.title}'", f"set ylabel '{figure.y}'",
              "set grid ytics", "set key left top"]
    if figure.lines:
        script += ["set logscale xy", f"set xlabel '{figure.x}'"]
    else:
        ticks = ", ".join(f"'{' '.join(filter(None, (k[2], k[1]))).replace('_', ' ')}' {i + 0.4}"
                          for i, k in enumerate(groups))
        script += ["set style fill solid 0.7",
                   f"set xtics ({ticks})", f"set xrange [-0.2:{len(groups)}]",
                   "set logscale y", f"set xlabel '{figure.x}'"]
    script += [*blocks, "plot " + ", ".join(curves)]
    done = subprocess.run(["gnuplot"], input="\n".join(script), text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"gnuplot: {done.stderr}")
    return True


def machine():
    """What a reader needs to know of the machine, as (name, value) pairs."""
    def first(path, pattern):
        match = re.search(pattern, Path(path).read_text(), re.M)
        return match[1].strip() if match else "unknown"

    def output(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]
        except (OSError, IndexError):
            return "unknown"

    cpus = len(re.findall(r"^processor", Path("/proc/cpuinfo").read_text(), re.M))
    return [("processor", f"{cpus} x {first('/proc/cpuinfo', r'^model name.*: (.*)$')}"),
            ("memory", f"{int(first('/proc/meminfo', r'^MemTotal: *([0-9]+)')) >> 20} GiB"),
            ("kernel", f"{platform.system()} {platform.release()}"),
            ("hypervisor", "yes" if "hypervisor" in Path("/proc/cpuinfo").read_text() else "no"),
            ("huge pages", first("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]")
             if Path("/sys/kernel/mm/transparent_hugepage/enabled").exists() else "unknown"),
            ("compiler", output("gcc", "--version")),
            ("commit", output("git", "describe", "--always", "--dirty")),
            ("load at the end", Path("/proc/loadavg").read_text().split()[0]),
            ("date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))]


STYLE = """body{font:15px sans-serif;max-width:60em;margin:2em auto;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;border-bottom:1px solid #ccc;
text-align:right}td:first-child,th:first-child,td:nth-child(2){text-align:left}img{max-width:100%}"""


def results_table(groups):
    """An HTML table: median and quartiles of each system, and the ratio of the medians."""
    systems = names(groups)
    head = "".join(f"<th>{html.escape(s)}</th>" for s in systems)
    lines = [f"<table><tr><th>metric</th><th>parameter</th><th>unit</th>{head}"
             "<th>linux / ufork</th></tr>"]
    for (_, parameter, metric, unit), values in groups.items():
        cells = ""
        for system in systems:
            if system in values:
                middle, low, high = (number(v) for v in spread(values[system]))
                cells += f"<td>{middle} <small>({low} to {high}, n={len(values[system])})</small></td>"
            else:
                cells += "<td></td>"
        lines.append(f"<tr><td>{html.escape(metric)}</td><td>{html.escape(parameter)}</td>"
                     f"<td>{html.escape(unit)}</td>{cells}<td>{ratio(values)}</td></tr>")
    return "\n".join(lines + ["</table>"])


def goals_table(rows):
    """An HTML table: what was wanted and what was measured; nothing if no goal was."""
    judged = goals.judge(rows)
    if not judged:
        return ""
    lines = ["<h2>Goals</h2><table><tr><th>what</th><th>goal</th><th>measured</th><th></th></tr>"]
    lines += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in judged]
    return "\n".join(lines + ["</table>"])


def write(directory, rows, figures, failures, missing):
    """One SVG per experiment and index.html. `missing`: what could not be measured here, and why."""
    page = ["<!doctype html><meta charset='utf-8'><title>µFork: measurements</title>",
            f"<style>{STYLE}</style><h1>µFork beside Linux</h1>",
            "<p>The same sources, compiled by <code>ufork-cc -O2</code> and by gcc -O2 against the "
            "same libc, run in turn on this machine. Medians, quartiles in parentheses. "
            "Every single value is in <a href='results.csv'>results.csv</a>.</p><table>"]
    page += [f"<tr><td>{name}</td><td>{html.escape(value)}</td></tr>" for name, value in machine()]
    page.append("</table>")
    page.append(goals_table(rows))
    if missing:
        page.append("<h2>Not measured</h2><ul>")
        page += [f"<li>{html.escape(m)}</li>" for m in missing] + ["</ul>"]
    if failures:
        page.append("<h2>Failures</h2><ul>")
        page += [f"<li><pre>{html.escape(f)}</pre></li>" for f in failures] + ["</ul>"]
    everything = group(rows)
    for experiment, figure in figures.items():
        groups = {k: v for k, v in everything.items() if k[0] == experiment}
        if not groups:
            continue
        page.append(f"<h2>{html.escape(figure.title)}</h2>")
        if plot(directory / f"{experiment}.svg", figure, groups):
            page.append(f"<p><img src='{experiment}.svg' alt='{html.escape(figure.title)}'></p>")
        page.append(results_table(groups))
    (directory / "index.html").write_text("\n".join(page))

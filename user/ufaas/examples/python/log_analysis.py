# SPDX-License-Identifier: MIT
"""Regular expressions: takes lines of a web server's log apart. Event {"lines": n}."""
import re

LINE = re.compile(
    r'(?P<host>[\d.]+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" '
    r'(?P<status>\d{3}) (?P<size>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"'
)
ROBOT = re.compile(r"(?i)\b(?:bot|crawler|spider|slurp)\b")
NUMBER = re.compile(r"/(\d+)(?=/|$)")

EXAMPLE = (
    '10.0.{a}.{b} - {user} [26/Nov/2026:10:{a:02}:{b:02} +0000] "GET /shop/item/{n}/picture HTTP/1.1" {status} {size} '
    '"https://example.org/list?page={b}" "Mozilla/5.0 ({agent}; rv:{a}.0)"'
)


def lines(count):
    for n in range(count):
        yield EXAMPLE.format(a=n % 60, b=n * 7 % 60, n=n, user="-" if n % 3 else f"user{n % 5}", size=n * 131 % 5000,
                             status=404 if n % 10 == 0 else 200, agent="spider" if n % 8 == 0 else "X11")


def handler(event, context):
    statuses, paths, robots, size = {}, {}, 0, 0
    for line in lines(event.get("lines", 100)):
        found = LINE.fullmatch(line)
        if ROBOT.search(found["agent"]):
            robots += 1
            continue
        path = NUMBER.sub("/N", found["path"])
        statuses[found["status"]] = statuses.get(found["status"], 0) + 1
        paths[path] = paths.get(path, 0) + 1
        size += int(found["size"])
    return {"statuses": statuses, "paths": paths, "robots": robots, "bytes": size}

# SPDX-License-Identifier: MIT
"""A function whose workers stay alive, and one of which tells what the others have to themselves."""
import os
import time


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def private_kib(pid):
    """Its own memory; on µFork with what the kernel holds for it."""
    wanted = ("Private_", "Kernel", "PageTables")
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(wanted))


def handler(event, context):
    if "seconds" in event:
        time.sleep(event["seconds"])
        return {}
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and parent(name) == os.getppid() and int(name) != os.getpid():
                found.append(private_kib(name))
        except OSError:
            pass  # it has ended, or is another user's
    return {"private_kib": found}

# SPDX-License-Identifier: MIT
"""Functions for the tests: what they leave behind, what they can see, and how they misbehave."""
import gc
import logging
import os
import random
import secrets
import signal
import sys
import tempfile
import threading
import time
import uuid

SECRET_PARTS = ["a secret ", "of one request"]
LIST = []


def secret():
    """Not a constant, which every worker would have."""
    return "".join(SECRET_PARTS)


def echo(event, context):
    return event


def about(event, context):
    """All that a context offers."""
    before = context.get_remaining_time_in_millis()
    return {
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "request": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "left": before,
        "identity": context.identity.cognito_identity_id,
        "client": context.client_context,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "directory": os.getcwd(),
        "path": sys.path[0],
        "group": os.getpgid(0) == os.getpid(),
        "uid": os.getuid(),
    }


def draw(event, context):
    """Random numbers of several kinds."""
    return [random.random(), random.choice("abc" * 1000), str(uuid.uuid4()), secrets.token_hex(8), os.urandom(8).hex(),
            tempfile.mktemp()]


def talk(event, context):
    print("printed")
    logging.getLogger().warning("logged %d", 7)
    print("without an end", end="")
    sys.stderr.write("error")
    return "said"


def fail(event, context):
    def deeper():
        raise ValueError("a reason")

    deeper()


def unserialisable(event, context):
    return {1, 2}


def leave(event, context):
    """Leaves the secret wherever a request can."""
    LIST.append(secret())
    os.secret = secret()
    sys.modules["secret"] = secret()
    os.environ["SECRET"] = secret()
    signal.signal(signal.SIGUSR1, lambda number, frame: secret())
    os.umask(0)
    os.chdir("/")
    directory = tempfile.mkdtemp()
    for place in (directory, os.environ["TMPDIR"]):
        with open(place + "/secret", "w") as file:
            file.write(secret())
    for _ in range(8):
        os.dup(os.open(directory + "/secret", os.O_RDONLY))
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    if os.fork() == 0:
        time.sleep(1000)
    if os.fork() == 0:
        if event.get("session"):
            os.setsid()
        time.sleep(1000)
    return {"directory": directory, "pid": os.getpid()}


def running(parent):
    """Living processes other than this and its parent whose user is this one's."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat("/proc/" + name).st_uid == os.getuid():
                with open(f"/proc/{name}/stat") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] != "Z":
                        found.append(int(name))
        except OSError:
            pass
    return sorted(set(found) - {os.getpid(), parent})


def look(event, context):
    """What this request can see of another's."""
    descriptors = []
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors.append(os.readlink("/proc/self/fd/" + name).split(":")[0])
        except OSError:
            pass  # the directory itself
    needle = secret()
    return {
        "globals": LIST,
        "attribute": hasattr(os, "secret"),
        "module": "secret" in sys.modules,
        "environment": os.environ.get("SECRET"),
        "objects": sum(isinstance(o, dict) and needle in map(str, o.values()) for o in gc.get_objects()
                       if isinstance(o, dict) and o is not locals()),
        "signal": signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
        "umask": os.umask(0o77),
        "directory": os.getcwd() == os.environ["LAMBDA_TASK_ROOT"],
        "descriptors": sorted(descriptors),
        "threads": threading.active_count(),
        "temporary": os.listdir(os.environ["TMPDIR"]),
        "others": sorted(set(os.listdir(os.path.dirname(os.environ["TMPDIR"]))) - {os.path.basename(os.environ["TMPDIR"])}),
        "processes": running(os.getppid()),
    }


def sleep(event, context):
    time.sleep(event["seconds"])
    return {"pid": os.getpid()}


def wait(event, context):
    """Until the file is there; so a test says when a request goes on."""
    while not os.path.exists(event["file"]):
        time.sleep(0.01)
    return {"pid": os.getpid()}


def hang(event, context):
    """For good, with a child, and deaf to all signals but one."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(1000)
    print("hanging")
    while True:
        pass


def crash(event, context):
    print("crashing")
    os.abort()


def leave_early(event, context):
    sys.exit(event["status"])


def eat_memory(event, context):
    eaten = []
    while True:
        eaten.append(bytearray(1 << 20))


def bomb(event, context):
    """Forks until it may not, and its children do the same."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(1)


def attack(event, context):
    """Tries to reach every process but its zygote, and the files in `paths`; says whom it tried and what worked."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in (os.getpid(), os.getppid())]
    worked = []

    def attempt(what, action, *arguments):
        """A result without anything in it is no success: Linux lets everybody open a kernel thread's maps."""
        try:
            if action(*arguments) not in (b"", []):
                worked.append(what)
        except OSError:
            pass

    for pid in pids:
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            attempt(f"signal {number} to {pid}", os.kill, pid, number)
        for name in ("mem", "environ", "maps", "smaps_rollup"):
            attempt(f"/proc/{pid}/{name}", lambda path: open(path, "rb").read(1), f"/proc/{pid}/{name}")
        for name in ("cwd", "root", "exe", "fd/0", "fd/3"):
            attempt(f"/proc/{pid}/{name}", os.readlink, f"/proc/{pid}/{name}")
        attempt(f"/proc/{pid}/fd", os.listdir, f"/proc/{pid}/fd")
    for path in event["paths"]:
        for action in (os.listdir, open, os.rmdir, lambda p: open(p + "/new", "w")):
            attempt(path, action, path)
    return {"attacked": pids, "worked": worked}


def whereabouts(event, context):
    """What an attacker would like to know, then waits."""
    if event.get("file"):
        with open(os.environ["TMPDIR"] + "/file", "w") as file:
            file.write(secret())
    print(os.getpid(), os.getppid(), os.environ["TMPDIR"])
    if event.get("until"):
        wait({"file": event["until"]}, context)
    return {"pid": os.getpid(), "zygote": os.getppid(), "uid": os.getuid(), "directory": os.environ["TMPDIR"]}


def limits(event, context):
    import resource

    return {"processes": resource.getrlimit(resource.RLIMIT_NPROC)[0]}

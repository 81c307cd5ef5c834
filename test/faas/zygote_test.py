# SPDX-License-Identifier: MIT
"""Tests of runtime.py alone: this program plays ufaas, on the system that it runs on.

    zygote_test.py RUNTIME [NAME...]
"""
import contextlib
import errno
import json
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time

ORDER, NOTE, PART = struct.Struct("=IIQ"), struct.Struct("=IiQQ"), struct.Struct("=IIQ")
INVOKE, KILL, DRAIN = 1, 2, 3
READY, STARTED, ENDED, FAILED = 1, 2, 3, 4
REQUEST, RESPONSE, ERROR = 1, 2, 3
HERE = os.path.dirname(os.path.abspath(__file__))
UID = 30000000 + os.getpid() % 100000 * 8  # and some above, for zygotes with a user of their own
LIMIT = 120  # seconds for anything
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def test_of_root(function):
    """One that needs zygotes with users of their own."""
    return test(function) if os.geteuid() == 0 else function


class Request:
    """A request under way: its conversation and its log."""

    def __init__(self, zygote, event=None, body=None, extra="", cut=None):
        zygote.last += 1
        self.zygote, self.id = zygote, zygote.last
        ours, theirs = socket.socketpair()
        self.log, log = os.pipe()
        header = (f"Lambda-Runtime-Aws-Request-Id: request-{self.id}\nContent-Type: application/json\n"
                  f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1000) + 1000 * LIMIT}\n"
                  f"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:here:0:function:f\n{extra}").encode()
        body = json.dumps(event).encode() if body is None else body
        data = (PART.pack(REQUEST, len(header), len(body)) + header + body)[:cut]
        ours.setblocking(False)
        sent = ours.send(data)
        ours.settimeout(LIMIT)
        socket.send_fds(zygote.control, [ORDER.pack(INVOKE, 0, self.id)], [theirs.fileno(), log])
        theirs.close()
        os.close(log)
        if sent < len(data):
            ours.sendall(data[sent:])
        ours.shutdown(socket.SHUT_WR)
        self.conversation = ours

    def answer(self):
        """(kind, value), or None if the worker died before it answered."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := self.conversation.recv(1 << 20):
                data += piece
        self.conversation.close()
        if not data:
            return None
        kind, header, body = PART.unpack_from(data)
        assert len(data) == PART.size + header + body, (kind, header, body, len(data))
        return kind, json.loads(data[PART.size + header:])

    def said(self):
        """The log up to its end."""
        text = b""
        while piece := os.read(self.log, 65536):
            text += piece
        return text.decode()

    def ended(self):
        """Wait status and largest memory."""
        note = self.zygote.until(ENDED, self.id)
        os.close(self.log)
        return note[1], note[3]


class Zygote:
    """A zygote of one handler."""

    def __init__(self, handler, uid=None, limits=None, **environment):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(LIMIT)
        self.directory = tempfile.mkdtemp(prefix="zygote-")
        self.last, self.notes = 0, []
        environment = {"_HANDLER": handler, "LAMBDA_TASK_ROOT": HERE, "AWS_LAMBDA_FUNCTION_NAME": "f",
                       "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "99", "TMPDIR": self.directory, "LANG": "C.UTF-8",
                       "PATH": os.environ["PATH"], **environment}
        if uid:
            os.chown(self.directory, uid, uid)
            environment["UFAAS_OWN_UID"] = "1"
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.umask(0o77)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)
            os.closerange(4, 1024)
            for limit, value in (limits or {}).items():
                resource.setrlimit(limit, (value, value))
            if uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            os.execve(sys.executable, [sys.executable, RUNTIME], environment)
        theirs.close()

    def __enter__(self):
        self.until(READY, 0)
        return self

    def __exit__(self, *_):
        self.control.close()
        self.wait()
        shutil.rmtree(self.directory)

    def wait(self):
        """The zygote's own wait status."""
        if self.pid:
            self.status = os.waitpid(self.pid, 0)[1]
            self.pid = None
        return self.status

    def until(self, kind, request):
        """The note of this kind about this request; others are kept."""
        while True:
            for note in self.notes:
                if note[0] == kind and note[2] == request:
                    self.notes.remove(note)
                    return note
            data = self.control.recv(2 * NOTE.size)
            assert data, "the zygote is gone"
            self.notes.extend(NOTE.iter_unpack(data))

    def order(self, kind, request):
        self.control.send(ORDER.pack(kind, 0, request))

    def call(self, *event, **rest):
        """Answer of a whole request."""
        request = Request(self, *event, **rest)
        answer = request.answer()
        assert request.ended()[0] == 0 or answer is None
        return answer


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"  # a child of somebody who does not wait
    except OSError:
        return False


def user_of(pid):
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def wait_until(condition, what):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def gone(pid):
    """Waits until there is no such process."""
    wait_until(lambda: not alive(pid), f"process {pid} is still there")


def alone(uid, pid):
    """Waits until the user has no process but this one."""
    wait_until(lambda: not any(user_of(p) == uid and alive(p) for p in map(int, filter(str.isdigit, os.listdir("/proc")))
                               if p != pid), f"user {uid} has other processes")


@test
def answers():
    with Zygote("handlers.echo", UFAAS_WARMUP='{"warm": true}') as zygote:
        for event in ({}, {"a": [1, 2.5, None, "ä€\U0001f600"]}, [], "text", 0, None):
            assert zygote.call(event) == (RESPONSE, event)
        assert zygote.call(body=b"") == (RESPONSE, {})
        assert zygote.call(body=b' \n{"a":1}\t ') == (RESPONSE, {"a": 1})
        large = {"text": "x" * 3000000}
        assert zygote.call(large) == (RESPONSE, large)
        for wrong in (b"{", b"{} {}", b"nothing"):
            kind, error = zygote.call(body=wrong)
            assert kind == ERROR and error["errorType"] == "JSONDecodeError", error


@test
def context():
    with Zygote("handlers.about") as zygote:
        kind, seen = zygote.call({}, extra="Lambda-Runtime-Trace-Id: Root=1-2\n")
        assert 0 < seen.pop("left") <= 1000 * LIMIT
        assert kind == RESPONSE and seen == {
            "name": "f", "version": "$LATEST", "memory": "99", "request": "request-1",
            "arn": "arn:aws:lambda:here:0:function:f", "identity": None, "client": None, "trace": "Root=1-2",
            "directory": HERE, "path": HERE, "group": True, "uid": os.getuid()}, seen
        assert zygote.call({})[1]["trace"] is None


@test
def randomness():
    """Workers are copies of one process, and yet no two draw the same numbers."""
    with Zygote("handlers.draw") as zygote:
        drawn = [zygote.call({})[1] for _ in range(4)]
        for kind in (0, 2, 3, 4, 5):
            assert len({numbers[kind] for numbers in drawn}) == 4, drawn


@test
def errors():
    with Zygote("handlers.fail") as zygote:
        request = Request(zygote, {})
        kind, error = request.answer()
        assert kind == ERROR
        trace = error.pop("stackTrace")
        assert error == {"errorMessage": "a reason", "errorType": "ValueError", "requestId": "request-1"}, error
        assert len(trace) == 2 and "in fail\n    deeper()" in trace[0] and "in deeper\n" in trace[1], trace
        assert request.said().startswith("[ERROR] ValueError: a reason\nTraceback (most recent call last):\n  File")
        assert request.ended()[0] == 0
    with Zygote("handlers.unserialisable") as zygote:
        kind, error = zygote.call({})
        assert kind == ERROR and error["errorType"] == "TypeError", error


@test
def logs():
    with Zygote("handlers.talk") as zygote:
        request = Request(zygote, {})
        assert request.answer() == (RESPONSE, "said")
        lines = request.said().split("\n")
        assert lines[0] == "printed", lines
        level, moment, name, text = lines[1].split("\t")
        assert (level, name, text) == ("[WARNING]", "request-1", "logged 7") and moment.endswith("Z"), lines
        assert sorted(("without an end", "error")) == sorted((lines[2].replace("error", ""), "error")), lines
        request.ended()


@test
def ends():
    """However a worker ends, the zygote goes on."""
    with Zygote("handlers.leave_early") as zygote:
        for status in (0, 3):
            request = Request(zygote, {"status": status})
            assert request.answer() is None
            assert os.waitstatus_to_exitcode(request.ended()[0]) == status
    with Zygote("handlers.crash") as zygote:
        for _ in range(3):
            request = Request(zygote, {})
            assert request.answer() is None
            assert request.said() == "crashing\n"
            assert os.WTERMSIG(request.ended()[0]) == signal.SIGABRT


@test
def cut_short():
    """Who asked has gone before all was said: the worker ends."""
    with Zygote("handlers.echo") as zygote:
        for cut in (0, PART.size // 2, PART.size, 40, -1):
            request = Request(zygote, {}, cut=cut)
            assert request.answer() is None
            assert os.waitstatus_to_exitcode(request.ended()[0]) == 1


@test
def many_at_once():
    with Zygote("handlers.sleep") as zygote:
        requests = [Request(zygote, {"seconds": 0.2}) for _ in range(30)]
        pids = {request.answer()[1]["pid"] for request in requests}
        assert pids == {zygote.until(STARTED, request.id)[1] for request in requests} and len(pids) == 30
        for request in requests:
            assert request.ended()[0] == 0


@test
def killed():
    """A worker that hangs, with a child, deaf to signals."""
    with Zygote("handlers.hang") as zygote:
        request = Request(zygote, {})
        assert os.read(request.log, 100) == b"hanging\n"
        zygote.order(KILL, request.id)
        zygote.order(KILL, 12345)
        assert request.answer() is None
        assert request.said() == "", "its child is alive"
        assert os.WTERMSIG(request.ended()[0]) == signal.SIGKILL
        zygote.order(KILL, request.id)


NOTHING = {"globals": [], "attribute": False, "module": False, "environment": None, "objects": 0, "signal": True,
           "umask": 0o77, "directory": True, "threads": 1, "temporary": [], "others": [], "processes": []}


@test_of_root
def nothing_left():
    """What a request leaves in memory, globals, environment, files, descriptors, threads, processes is not seen by the next."""
    with Zygote("both.handler", uid=UID) as zygote:
        kind, before = zygote.call({"look": True})
        descriptors = before.pop("descriptors")
        assert (kind, before) == (RESPONSE, NOTHING), before
        assert descriptors == ["/dev/null", "pipe", "pipe", "socket"], descriptors
        for session in (False, False, True):
            kind, left = zygote.call({"look": False, "session": session})
            assert kind == RESPONSE, left
            assert left["directory"].startswith(zygote.directory + "/"), left
            assert not os.path.exists(left["directory"])
            # What is in its group has been killed; what has left it will be when the zygote is idle.
            alone(UID, zygote.pid)
            kind, after = zygote.call({"look": True})
            assert after.pop("descriptors") == descriptors, after
            assert (kind, after) == (RESPONSE, NOTHING), after
        # Two at once, one looks while the other is there.
        with Zygote("both.handler", uid=UID + 1) as other:
            assert other.call({"look": False})[0] == RESPONSE
            assert zygote.call({"look": True})[1]["others"] == []
        assert os.listdir(zygote.directory) == []


@test
def memory():
    limits = {resource.RLIMIT_DATA: 64 << 20}
    with Zygote("handlers.eat_memory", limits=limits) as zygote:
        for _ in range(2):
            kind, error = zygote.call({})
            assert kind == ERROR and error["errorType"] == "MemoryError", error


@test_of_root
def too_many_processes():
    """fork fails for some; the zygote says so and goes on."""
    with Zygote("handlers.wait", uid=UID + 2, limits={resource.RLIMIT_NPROC: 4}) as zygote:
        gate = zygote.directory + "/gate"
        requests = [Request(zygote, {"file": gate}) for _ in range(6)]
        for request in requests[3:]:
            assert request.answer() is None
            assert zygote.until(FAILED, request.id)[1] == errno.EAGAIN
        open(gate, "w").close()
        for request in requests[:3]:
            assert request.answer()[0] == RESPONSE
            request.ended()
        assert zygote.call({"file": gate})[0] == RESPONSE


@test
def without_directory():
    """Where no temporary directory can be made there is no worker, and the zygote says why."""
    with Zygote("handlers.echo") as zygote:
        os.rmdir(zygote.directory)
        request = Request(zygote, {})
        assert request.answer() is None
        assert zygote.until(FAILED, request.id)[1] == errno.ENOENT
        os.mkdir(zygote.directory)
        assert zygote.call({}) == (RESPONSE, {})


@test
def without_descriptors():
    """As an order arrives that has lost them."""
    with Zygote("handlers.echo") as zygote:
        zygote.order(INVOKE, 77)
        assert zygote.until(FAILED, 77)[1] == errno.EMFILE
        read, write = os.pipe()
        socket.send_fds(zygote.control, [ORDER.pack(INVOKE, 0, 78)], [write])
        os.close(write)
        assert zygote.until(FAILED, 78)[1] == errno.EMFILE
        assert os.read(read, 1) == b""  # the zygote has closed it, too
        os.close(read)
        assert zygote.call({}) == (RESPONSE, {})


@test
def drained():
    with Zygote("handlers.sleep") as zygote:
        requests = [Request(zygote, {"seconds": s}) for s in (0.1, 0.5)]
        zygote.order(DRAIN, 0)
        for request in requests:
            assert request.answer()[0] == RESPONSE
            assert request.ended()[0] == 0
        assert zygote.wait() == 0
    with Zygote("handlers.sleep") as zygote:
        zygote.order(DRAIN, 0)
        assert zygote.wait() == 0


@test
def abandoned():
    """The end of the control socket ends the zygote and its workers."""
    with Zygote("handlers.hang") as zygote:
        requests = [Request(zygote, {}) for _ in range(3)]
        for request in requests:
            assert os.read(request.log, 100) == b"hanging\n"
        pids = [zygote.until(STARTED, request.id)[1] for request in requests]
        zygote.control.close()
        zygote.wait()
        for pid, request in zip(pids, requests):
            gone(pid)
            assert request.said() == ""


@test
def bad_functions():
    """What cannot be imported is never READY; why is on standard error."""
    for handler in ("nowhere.handler", "handlers.nothing", "broken.handler"):
        read, write = os.pipe()
        saved = os.dup(2)
        os.dup2(write, 2)
        zygote = Zygote(handler)
        os.dup2(saved, 2)
        os.close(write)
        assert zygote.control.recv(NOTE.size) == b""
        assert os.waitstatus_to_exitcode(zygote.wait()) == 1
        said = b""
        while piece := os.read(read, 65536):
            said += piece
        assert b"Traceback" in said and b"Error" in said, said
        shutil.rmtree(zygote.directory)


def main():
    global RUNTIME
    RUNTIME, *names = sys.argv[1:]
    signal.alarm(LIMIT * 12)
    failed = 0
    for function in TESTS:
        if names and function.__name__ not in names:
            continue
        start = time.monotonic()
        try:
            function()
        except BaseException as problem:
            import traceback

            traceback.print_exc()
            failed += 1
            print(f"FAILED {function.__name__}: {problem!r}", flush=True)
        else:
            print(f"ok {function.__name__} {time.monotonic() - start:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

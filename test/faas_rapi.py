# SPDX-License-Identifier: MIT
"""Custom runtimes of AWS Lambda behind ufaas: faas/bootstrap.c, which knows only the Runtime API."""
import base64
import errno
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager

from faas_rig import LIMIT, eventually, parallel, process_state, stop


def custom(name, **settings):
    lines = [f'[function.{name}]']
    settings = {"bootstrap": "{work}/bootstrap", "timeout_ms": 60000, "warmup_ms": 60000, **settings}
    for key, value in settings.items():
        if isinstance(value, dict):
            value = "{" + ", ".join(f'{k} = "{v}"' for k, v in value.items()) + "}"
        elif isinstance(value, str):
            value = f'"{value}"'
        lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


@contextmanager
def serving(rig, *functions, **options):
    more = "".join(functions)
    s = rig.serve(more, **options)
    try:
        yield s
        s.stop()
    finally:
        s.end()


def runtime_calls(rig):
    """Events and answers as Lambda has them; one environment serves one after the other."""
    with serving(rig, custom("custom", concurrency=1, handler="some.handler")) as s:
        call = lambda body, **more: s.invoke(body, "custom", **more)
        assert call("echo hello").text == "hello"
        assert call("echo hello").headers["Content-Type"] == "text/plain"
        assert int(call("count").text) == 3
        assert call("pid").text == call("pid").text
        reply = call("header Lambda-Runtime-Aws-Request-Id")
        assert reply.text == reply.headers["X-Amzn-RequestId"], reply
        assert call("header Content-Type").text == "application/json"
        assert call("header Http-Content-Type", Content_Type="a/b").text == "a/b"
        assert call("header Lambda-Runtime-Trace-Id", X_Amzn_Trace_Id="Root=1").text == "Root=1"
        assert call("header Lambda-Runtime-Invoked-Function-Arn").text.endswith(":function:custom")
        earlier, deadline = time.time(), int(call("header Lambda-Runtime-Deadline-Ms").text) / 1000
        assert earlier + 59.9 < deadline < time.time() + 60.1, (earlier, deadline)
        assert s.request("PUT", "/function/custom/a?b", "header Http-Path").text == "/a"
        assert call("env _HANDLER").text == "some.handler"
        assert call("env AWS_LAMBDA_FUNCTION_NAME").text == "custom"
        assert call("env LAMBDA_TASK_ROOT").text == "/"
        assert call("env AWS_LAMBDA_LOG_GROUP_NAME").text == "/aws/lambda/custom"
        assert re.fullmatch(r"127.0.0.1:\d+", call("env AWS_LAMBDA_RUNTIME_API").text)
        assert re.fullmatch(r"leader=1 uid=\d+ fds=0,1,2, ours=unset", call("describe").text), call("describe")
        # What the tools of shells say of their data is not what it is.
        assert call("form").headers["Content-Type"] == "application/json"
        assert call("chunked abc").text == "abc!!"
        # Errors of the function leave the environment as it is.
        before = call("pid").text
        reply = call("error no luck")
        assert reply.headers["X-Amz-Function-Error"] == "Unhandled", reply
        assert reply.json() == {"errorType": "Oops", "errorMessage": "no luck"}, reply
        reply = call('bare-error not "JSON"')
        assert reply.json() == {"errorType": "Function.Bare", "errorMessage": 'not "JSON"'}, reply
        assert s.plain("error x", "custom").status == 500
        # Wrong ids, wrong order, wrong methods, wrong paths.
        assert call("rules").text == "400 400 403 403 405 405 413 404 404 400 ", call("rules")
        assert call("pid").text == before
        # Large in both directions.
        text = "x" * 3000000
        assert call("echo " + text).text == text
        # Who asks for an event and goes away has not got one.
        assert call("impatient").text == "gone"
        eventually("it has gone away", lambda: s.logged("^left$"))
        assert call("echo on").text == "on" and call("pid").text == before


def runtime_logs(rig):
    with serving(rig, custom("custom")) as s:
        reply = s.invoke("print 3", "custom", X_Amz_Log_Type="Tail")
        text = base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()
        assert "\nline 0\nline 1\nline 2\nno end of line\n" in text, text
        for body, last in (("print 2000", "no end of line"), ("after 100", "after the answer")):
            rid = s.invoke(body, "custom").headers["X-Amzn-RequestId"]
            eventually("its report is there", lambda: [
                l for l in s.lines() if l.get("requestId") == rid and l.get("type") == "report"])
            lines = [l["message"] for l in s.lines() if l.get("requestId") == rid and l["type"] == "output"]
            assert lines[-1] == last, lines[-5:]
            assert body != "print 2000" or lines[:-1] == [f"line {i}" for i in range(2000)], len(lines)
        # An environment is free when it asks again, not when it has answered.
        report = [l for l in s.lines() if l.get("requestId") == rid and l.get("type") == "report"][0]
        assert report["durationMs"] > 99 and report["maxMemoryBytes"] > 4096, report
        assert [l for l in s.lines() if l.get("message") == "started" and "requestId" not in l]


def runtime_ends(rig):
    """What ends an environment fails its event only; the next one gets another."""
    with serving(rig, custom("custom", concurrency=1, max_response=100000),
                 custom("hasty", concurrency=1, timeout_ms=400),
                 custom("once", environment={"INIT": "once"}, concurrency=1)) as s:
        call = lambda body: s.invoke(body, "custom")

        def crash(body, message):
            before = call("pid").text
            reply = call(body)
            assert reply.json()["errorType"] == "Runtime.ExitError", reply
            assert reply.json()["errorMessage"].endswith("Error: " + message), reply
            assert call("count").text == "1" and call("pid").text != before
        crash("exit 5", "Runtime exited with error: exit status 5")
        crash("exit 0", "Runtime exited without providing a reason")
        crash("segv", "Runtime exited with error: signal: segmentation fault")

        def hasty(body):
            """Unless the host is too slow, which ends the environment as well."""
            for _ in range(20):
                reply = s.invoke(body, "hasty")
                if "Timedout" not in reply.text:
                    return reply.text
            raise AssertionError(reply)
        before = hasty("pid")
        reply = s.invoke("sleep 90000", "hasty")
        assert reply.json()["errorType"] == "Sandbox.Timedout", reply
        assert "timed out after 0.40 seconds" in reply.json()["errorMessage"], reply
        assert hasty("count") == "1" and hasty("pid") != before
        # The time behind the answer counts as well, but the answer has been given.
        before = hasty("pid")
        assert hasty("after 90000") == "before"
        assert hasty("pid") != before
        assert call("answer-exit").text == "last words"
        eventually("it is replaced", lambda: call("echo x").text == "x")
        # Too much.
        before = call("pid").text
        assert call("big 100000").body == b"b" * 100000
        reply = call("big 200000")
        assert reply.json() == {"errorType": "Function.ResponseSizeTooLarge",
                                "errorMessage": "Exceeded maximum allowed payload size (100000 bytes)."}, reply
        assert call("pid").text == before
        eventually("it was told", lambda: s.logged("^told 413$"))
        # One that does not start again says why, to whoever would have used it.
        assert s.invoke("exit 1", "once").json()["errorType"] == "Runtime.ExitError"
        reply = s.invoke("echo x", "once")
        assert reply.headers["X-Amz-Function-Error"] == "Unhandled", reply
        assert reply.json() == {"errorType": "NoLibrary", "errorMessage": "it is missing"}, reply
        s.quiet("custom")
        if s.system == "ufork":  # nothing is left behind
            before = s.settled()
            for _ in range(10):
                call("exit 1")
                assert call("leave").text == "left" and call("exit 1").json()["errorType"]
            call("echo x")
            eventually("all is as before", lambda: s.count()[:2] == before[:2])


def runtime_concurrency(rig):
    """As many environments as needed, at most `concurrency`; idle ones end, but for one."""
    with serving(rig, custom("custom", concurrency=3), custom("restless", concurrency=3, idle_ms=300),
                 custom("slow", timeout_ms=3000, environment={"INIT": "slow"}, concurrency=2)) as s:
        sleep = lambda name: [lambda: s.invoke("sleep 300", name).text] * 7
        before = s.settled()[0]
        assert parallel(sleep("restless")) == ["slept"] * 7
        one_is_left(s, "restless", before)
        assert parallel(sleep("custom")) == ["slept"] * 7
        pids = set(parallel([lambda: s.invoke("pid", "custom").text] * 30))
        assert 1 <= len(pids) <= 3, pids
        # The time that one takes to start is not the function's.
        assert parallel([lambda: s.invoke("sleep 20", "slow").text] * 2) == ["slept"] * 2


def one_is_left(s, function, processes):
    """Of its environments, when the server has so many processes again; and that one stays."""
    s.quiet(function)
    eventually("the others have ended", lambda: s.count()[0] == processes)
    pids = set()
    for _ in range(5):
        time.sleep(0.05)
        pids.add(s.invoke("pid", function).text)
        s.quiet(function)  # it asks again, so that no other is started
    assert len(pids) == 1, pids


def runtime_idle_end(rig):
    """An environment that is being ended for its idleness gets no event; the last one stays."""
    with serving(rig, custom("custom", concurrency=3, idle_ms=1)) as s:
        before = s.settled()[0]

        def some(seed):
            pause = random.Random(seed)
            for _ in range(100):
                time.sleep(pause.random() * 0.003)
                reply = s.invoke("pid", "custom")
                assert reply.text.isdigit(), reply
        assert parallel([lambda seed=seed: some(seed) for seed in range(3)]) == [None] * 3
        one_is_left(s, "custom", before)


def runtime_starts(rig):
    """Those that do not start are no functions; deployment loses nothing."""
    with serving(rig, custom("custom", concurrency=2)) as s:
        good = s.config.read_text()
        for init, cause in (("error", "it is missing"), ("exit", "exit status 7"),
                            ("hang", "did not ask for an event within 0.30 seconds")):
            limit = 300 if init == "hang" else 60000
            s.config.write_text(good.replace("warmup_ms = 60000", f"warmup_ms = {limit}") +
                                f'environment = {{INIT = "{init}"}}\n')
            reply = s.request("POST", "/admin/functions/custom", admin=True)
            assert reply.status == 502 and cause in reply.json()["Message"], reply
            assert s.invoke("echo on", "custom").text == "on"
        s.config.write_text(good.replace("/bootstrap", "/no-such-file"))
        reply = s.request("POST", "/admin/functions/custom", admin=True)
        assert reply.status == 502, reply
        eventually("that is logged", lambda: s.logged("cannot execute .*/no-such-file: No such file"))
        s.config.write_text(good)
        replies, over = [], threading.Event()

        def load():
            while not over.is_set():
                replies.append(s.invoke("sleep 5", "custom").text)
        threads = [threading.Thread(target=load) for _ in range(4)]
        for t in threads:
            t.start()
        pids = set()
        for _ in range(5):
            assert s.request("POST", "/admin/functions/custom", admin=True).status == 200
            pids.add(s.invoke("pid", "custom").text)
        eventually("the load goes on", lambda: len(replies) > 20)
        over.set()
        for t in threads:
            t.join()
        assert len(pids) == 5 and set(replies) == {"slept"}, (pids, replies)


def runtime_isolation(rig):
    """One function's Runtime API is closed to another, if the system tells who asks."""
    with serving(rig, custom("custom", concurrency=1), custom("other", concurrency=1)) as s:
        address = s.invoke("env AWS_LAMBDA_RUNTIME_API", "custom").text
        before = s.invoke("pid", "custom").text
        closed = s.system == "native" and os.getuid() == 0  # else both have one user, or nobody knows
        reply = s.invoke(f"intrude {address}", "other")
        assert reply.text == ("403" if closed else "404"), reply
        reply = s.invoke(f"intrude {s.invoke('env AWS_LAMBDA_RUNTIME_API', 'other').text}", "other")
        assert reply.text == "404", reply  # its own
        assert s.invoke("pid", "custom").text == before


class Bridge:
    """rapi as ufaas's zygote, with the test in the server's place: under the sanitizers it needs more memory than
    ufaas gives a function."""
    ORDER, NOTE, PART = struct.Struct("=IIQ"), struct.Struct("=IiQQ"), struct.Struct("=IIQ")
    INVOKE, KILL, DRAIN = 1, 2, 3
    READY, STARTED, ENDED, FAILED = 1, 2, 3, 4

    def __init__(self, rapi, bootstrap, *options):
        self.tmp = tempfile.mkdtemp(prefix="ufaas-test-")
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(LIMIT)
        shell = ["/bin/sh", "-c", f'exec "$@" 3<&{theirs.fileno()}', "sh"]
        self.process = subprocess.Popen([*shell, rapi, *options, bootstrap], pass_fds=[theirs.fileno()], text=True,
                                        env={"TMPDIR": self.tmp}, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        theirs.close()
        self.last = 0
        assert self.note()[0] == self.READY

    def note(self):
        data = self.control.recv(64)
        assert data, self.process.stderr.read()
        return self.NOTE.unpack(data)

    def order(self, kind, number, fds=()):
        socket.send_fds(self.control, [self.ORDER.pack(kind, 0, number)], fds)

    def invoke(self, body):
        """Returns the test's ends of conversation and log."""
        self.last += 1
        ours, theirs = socket.socketpair()
        log, their_log = os.pipe()
        header = (f"Lambda-Runtime-Aws-Request-Id: id-{self.last}\nLambda-Runtime-Deadline-Ms: 1\n"
                  "Content-Type: a/b\n").encode()
        self.order(self.INVOKE, self.last, [theirs.fileno(), their_log])
        ours.settimeout(LIMIT)
        ours.sendall(self.PART.pack(1, len(header), len(body)) + header + body)
        ours.shutdown(socket.SHUT_WR)
        theirs.close()
        os.close(their_log)
        return ours, log

    def call(self, body):
        """(kind, answer, wait status); kind 0: none."""
        return self.result(*self.invoke(body))

    def result(self, ours, log, others=False):
        """The same of the last event; `others`: the notes may also be about earlier ones."""
        answer = b"".join(iter(lambda: ours.recv(1 << 20), b""))
        os.close(log)
        kinds = []
        while not kinds or kinds[-1][0] == self.STARTED:
            note = self.note()
            assert others or note[2] == self.last, note
            kinds += [note] if note[2] == self.last else []
        assert [k[0] for k in kinds] == [self.STARTED, self.ENDED], (kinds, answer)
        if not answer:
            return 0, b"", kinds[1][1]
        kind, header, size = self.PART.unpack(answer[:16])
        assert len(answer) == 16 + header + size, answer[:100]
        return kind, answer[16 + header:], kinds[1][1]

    def end(self):
        self.control.close()
        said = self.process.stderr.read()
        assert self.process.wait(LIMIT) == 0 and "Sanitizer" not in said and "runtime error" not in said, said
        shutil.rmtree(self.tmp)


def runtime_deaths(rig):
    """An environment that ends while it has no event is nobody's failure; one that has loses nothing that it printed."""
    if rig.system == "ufork":
        return  # the bridge is run alone, on the host
    b = Bridge(rig.sanitized_rapi or rig.build / "native/lib/ufaas/rapi", rig.bootstrap, "--init-ms=5000")
    # It dies while rapi looks away, and an event comes in the same moment.
    for _ in range(5):
        pid = int(b.call(b"pid")[1])
        stop(b.process.pid)
        ours, log = b.invoke(b"pid")
        os.kill(pid, signal.SIGKILL)
        eventually("it is dead", lambda: process_state(pid) == "Z")
        b.process.send_signal(signal.SIGCONT)
        kind, answer, status = b.result(ours, log)
        assert (kind, status) == (2, 0) and int(answer) != pid, (kind, answer, status)
    # It has asked once, goes away and does not come back in time; an event comes meanwhile.
    kind, before, _ = b.call(b"pid")
    ours, log = b.invoke(b"impatient 30000")
    while (said := b.process.stderr.readline()) != "left\n":
        assert said
    kind, answer, status = b.result(*b.invoke(b"pid"), others=True)
    assert (kind, status) == (2, 0) and answer != before, (kind, answer, status)
    ours.close()
    os.close(log)
    # It fills the log, which nobody reads, and ends.
    pid = int(b.call(b"pid")[1])
    ours, log = b.invoke(b"print-exit 9000")
    assert [n[0] for n in (b.note(),)] == [b.STARTED]
    eventually("it has ended", lambda: not os.path.exists(f"/proc/{pid}"))
    said = b"".join(iter(lambda: os.read(log, 1 << 16), b"")).decode().splitlines()
    assert said == [*(f"line {i}" for i in range(9000)), "no end of line"], (len(said), said[-3:])
    assert b.note()[:2] == (b.ENDED, 5 << 8)
    ours.close()
    os.close(log)
    assert b.call(b"echo x") == (2, b"x", 0)
    b.end()


def runtime_sanitized(rig):
    """The bridge under the sanitizers; with what no runtime would send it."""
    if not rig.sanitized_rapi:
        return
    b = Bridge(rig.sanitized_rapi, rig.bootstrap, "--max-response=100000", "--idle-ms=200")
    for body, wanted in ((b"echo abc", (2, b"abc", 0)), (b"count", (2, b"2", 0)), (b"exit 3", (0, b"", 3 << 8)),
                         (b"segv", (0, b"", signal.SIGSEGV)), (b"chunked x", (2, b"x!!", 0)),
                         (b"answer-exit", (2, b"last words", 3 << 8)), (b"big 100000", (2, b"b" * 100000, 0)),
                         (b"rules", (2, b"400 400 403 403 405 405 413 404 404 400 ", 0)),
                         (b'bare-error a"b', (3, b'{"errorType":"Function.Bare","errorMessage":"a\\"b"}', 0))):
        found = b.call(body)
        assert (found[0], found[1], found[2] & 0xff7f) == wanted, (body, found)
    assert b.call(b"big 200000")[0] == 3
    # Some at once; one is killed while it runs, one whose request never came.
    many = [b.invoke(b"sleep 200") for _ in range(3)] + [b.invoke(b"sleep 90000")]
    ours, theirs = socket.socketpair()
    log, their_log = os.pipe()
    b.order(b.INVOKE, 1000, [theirs.fileno(), their_log])
    for number in (1000, b.last, 12345):
        b.order(b.KILL, number)
    notes = [b.note() for _ in range(8)]
    ended = [n for n in notes if n[0] == b.ENDED]
    while len(ended) < 5:
        ended += [n for n in [b.note()] if n[0] == b.ENDED]
    assert sorted(n[2] for n in ended) == [*range(b.last - 3, b.last + 1), 1000], ended
    assert [n[1] for n in ended if n[2] in (1000, b.last)] == [signal.SIGKILL] * 2, ended
    for conversation, log_end in many:
        os.close(log_end)
        conversation.close()
    # An order that has lost its descriptors.
    b.order(b.INVOKE, 77)
    assert b.note() == (b.FAILED, errno.EMFILE, 77, 0)
    # Requests of any form to the Runtime API, and connections that end anywhere.
    address = b.call(b"env AWS_LAMBDA_RUNTIME_API")[1].decode().split(":")
    good = (b"POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
            b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
    chance = random.Random(1)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with socket.create_connection((address[0], int(address[1])), timeout=LIMIT) as s:
            s.sendall(data[:chance.randrange(len(data)) or None])
    time.sleep(0.5)
    assert b.call(b"echo still")[1] == b"still"
    b.end()


ALONE = [runtime_sanitized, runtime_deaths, runtime_calls, runtime_logs, runtime_ends, runtime_concurrency, runtime_idle_end,
         runtime_starts, runtime_isolation]

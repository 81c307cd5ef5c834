#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of ufaas, the server of functions, with functions in C: natively or on uFork.

    faas.py --build DIR --system {native|ufork} [--cpus N] [--server FILE] [NAME...]
"""
import argparse
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import faas_deploy
import faas_rapi
from faas_rig import FUNCTIONS, INVOKE, LIMIT, Reply, Rig, eventually, parallel

TESTS = []


def test(function):
    TESTS.append(function)
    return function


# ---- one server for these ----------------------------------------------------------------------


@test
def lambda_invoke(s):
    reply = s.invoke("hello")
    assert reply.status == 200 and reply.text == "hello", reply
    assert reply.headers["Content-Type"] == "text/plain"
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["X-Amzn-RequestId"]), reply
    assert reply.headers["X-Amz-Executed-Version"] == "$LATEST"
    assert "X-Amz-Function-Error" not in reply.headers
    reply = s.invoke("fail what \"ever\"")
    assert reply.status == 200 and reply.headers["X-Amz-Function-Error"] == "Unhandled", reply
    error = reply.json()
    assert error["errorType"] == "ValueError" and error["errorMessage"] == "what \"ever\"", reply
    assert error["requestId"] == reply.headers["X-Amzn-RequestId"]


@test
def lambda_kinds(s):
    reply = s.invoke("hello", X_Amz_Invocation_Type="DryRun")
    assert reply.status == 204 and not reply.body, reply
    before = s.metric("ufaas_requests_total", "probe", outcome="ok")
    reply = s.invoke("sleep 100", X_Amz_Invocation_Type="Event")
    assert reply.status == 202 and not reply.body, reply
    eventually("the event is handled",
               lambda: s.metric("ufaas_requests_total", "probe", outcome="ok") == before + 1)
    assert s.invoke("hello", X_Amz_Invocation_Type="Nonsense").status == 400


@test
def lambda_tail(s):
    reply = s.invoke("print 3", X_Amz_Log_Type="Tail")
    text = base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()
    rid = reply.headers["X-Amzn-RequestId"]
    wanted = (f"START RequestId: {rid} Version: $LATEST\n" +
              "".join(f'line {i} of "3"\n' for i in range(3)) +
              f"no end of line\nEND RequestId: {rid}\n")
    assert text.startswith(wanted) and f"REPORT RequestId: {rid}\tDuration: " in text, text
    reply = s.invoke("print 2000", X_Amz_Log_Type="Tail")
    text = base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()
    assert len(text) == 4096 and "line 1999 " in text and "REPORT" in text, text[-300:]


@test
def not_found(s):
    for path in (INVOKE % "nobody", "/function/nobody", "/", "/function/", INVOKE % "", "/admin/functions",
                 "/2015-03-31/functions/probe/other", "/function/probe%00"):
        reply = s.request("POST", path, "x")
        assert reply.status == 404 and reply.json()["Message"], reply
    assert s.invoke("x", "nobody").headers["X-Amzn-ErrorType"] == "ResourceNotFoundException"
    assert s.request("GET", INVOKE % "probe").status == 405
    assert s.request("DELETE", "/metrics").status == 405
    assert s.request("HEAD", "/healthz").status == 200


@test
def plain_invoke(s):
    reply = s.plain("hello")
    assert reply.status == 200 and reply.text == "hello" and reply.headers["X-Call-Id"], reply
    assert s.plain("fail x").status == 500
    assert s.plain("segv").status == 502
    reply = s.request("PUT", "/function/probe/a/b?c=d", "header Http-Path")
    assert reply.text == "/a/b", reply
    assert s.request("PUT", "/function/probe?c=d", "header Http-Query").text == "c=d"
    assert s.request("PUT", "/function/probe", "header Http-Method").text == "PUT"


@test
def shell_function(s):
    reply = s.request("POST", "/function/shell/some/path", "World\n")
    assert reply.status == 200 and reply.text == "Hello, World!\n", reply
    assert reply.headers["Content-Type"] == "text/plain", reply
    rid = reply.headers["X-Call-Id"]
    eventually("it is logged", lambda: [l for l in s.lines() if l.get("requestId") == rid and
                                        l.get("message") == "asked for /some/path by POST"])
    reply = s.invoke("", "shell")
    assert reply.json()["errorMessage"] == "the command ended with status 3", reply


@test
def what_functions_see(s):
    assert s.plain("env GREETING").text == "hello"
    assert s.plain("env AWS_LAMBDA_FUNCTION_NAME").text == "probe"
    assert s.plain("env AWS_LAMBDA_FUNCTION_MEMORY_SIZE").text == "64"
    assert s.plain("env LAMBDA_TASK_ROOT").text == str(s.work)
    assert s.plain("env SHELL").text == "unset"
    reply = s.invoke("header Lambda-Runtime-Aws-Request-Id")
    assert reply.text == reply.headers["X-Amzn-RequestId"], reply
    assert s.invoke("header Lambda-Runtime-Trace-Id", X_Amzn_Trace_Id="Root=1").text == "Root=1"
    assert s.invoke("header Content-Type", Content_Type="a/b").text == "a/b"
    before, deadline = time.time(), int(s.invoke("deadline").text) / 1000
    assert before + 59.9 < deadline < time.time() + 60.1, (before, deadline)
    seen = dict(w.split("=", 1) for w in s.plain("describe").text.split(" "))
    assert seen["cwd"] == str(s.work) and seen["group"] == "1", seen
    # 0, 1, 2 and the conversation, which a program that it executes does not get.
    assert re.fullmatch(r"0,1,2,\d+c,", seen["fds"]), seen
    if os.getuid() == 0:
        other = dict(w.split("=", 1) for w in s.plain("describe", "short").text.split(" "))
        assert len({"0", seen["uid"], other["uid"]}) == 3, (seen, other)
        assert seen["gid"] == seen["uid"], seen


@test
def nothing_stays(s):
    """Memory, files and processes of a request are gone when it has ended."""
    processes = s.settled()[0]
    paths = set()
    for _ in range(3):
        path, mode, seen = s.plain("litter").text.split()
        assert mode == "600" and seen == "0", (mode, seen)
        paths.add(path)
    assert len(paths) == 3, paths
    s.quiet("probe")
    eventually("all processes are gone", lambda: s.count()[0] == processes)
    if s.system == "native":
        left = [p for p in paths if os.path.lexists(p)]
        assert not left, left


@test
def keepalive(s):
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=LIMIT)
    before = s.metric("ufaas_connections_total")
    for i in range(20):
        c.request("POST", INVOKE % "probe", f"header X-Nothing-{i}")
        reply = c.getresponse()
        assert reply.status == 200 and reply.read() == b""
    c.close()
    assert s.metric("ufaas_connections_total") == before + 2  # and this one
    answer = s.raw(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") and b"Connection: close" in answer, answer


@test
def pipelining(s):
    def one(i, last=False):
        body = f"fail {i}".encode()
        return (b"POST /function/probe HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s" %
                (len(body), b"Connection: close\r\n" if last else b"", body))
    answer = s.raw(b"".join(one(i, i == 49) for i in range(50)))
    order = [int(n) for n in re.findall(rb'"errorMessage":"(\d+)"', answer)]
    assert order == list(range(50)), order


@test
def chunked_bodies(s):
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=LIMIT)
    for parts in ([b"he", b"l", b"lo"], [b"fail " + b"x" * 100000, b"y" * 100000]):
        c.request("POST", INVOKE % "probe", iter(parts), encode_chunked=True,
                  headers={"Transfer-Encoding": "chunked"})
        reply = Reply(c.getresponse())
        assert reply.status == 200, reply
        assert reply.text == "hello" or reply.json()["errorMessage"].startswith("xxx"), reply
    c.close()


@test
def expect_continue(s):
    with socket.create_connection(("127.0.0.1", s.port), timeout=LIMIT) as c:
        c.sendall(b"POST /function/probe HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        assert c.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        c.sendall(b"hello")
        assert c.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    answer = s.raw(b"POST /function/small HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n"
                   b"Expect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"}"), answer


@test
def half_closed(s):
    """A client that says it sends no more still gets its answer."""
    answer = s.raw(b"POST /function/probe HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nsleep 200",
                   shut=True)
    assert answer.endswith(b"slept 200"), answer
    assert s.raw(b"POST /function/probe HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nsleep",
                 shut=True) == b""


@test
def bad_http(s):
    host = b"Host: x\r\n"
    cases = [
        (400, b"\r\n\r\n\r\n\r\n\r\n\r\n"), (400, b"\x16\x03\x01\x00"), (400, b"GET\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n\r\n"), (505, b"GET / HTTP/3.0\r\n" + host + b"\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + host + b"a b: c\r\n\r\n"),
        (400, b"GET / HTTP/1.1\n" + host + b"\r\n\r\n"),
        (400, b"POST /function/probe HTTP/1.1\r\n" + host + b"Content-Length: 1\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, b"POST /function/probe HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nz"),
        (501, b"POST /function/probe HTTP/1.1\r\n" + host + b"Transfer-Encoding: gzip\r\n\r\n"),
        (413, b"POST /function/probe HTTP/1.1\r\n" + host + b"Content-Length: 6291457\r\n\r\n"),
        (413, b"POST /function/small HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n"
              b"3e9\r\n"),
        (417, b"POST /function/probe HTTP/1.1\r\n" + host + b"Expect: money\r\n\r\n"),
        (414, b"GET /" + b"a" * 20000), (431, b"GET / HTTP/1.1\r\na: " + b"a" * 20000),
        (431, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
    ]
    refused(s, cases)
    assert s.plain("hello").status == 200
    assert s.metric("ufaas_http_refused_total") >= len(cases)


def refused(s, cases):
    """Whether these bytes get the status beside them, and the connection is closed."""
    answers = parallel([lambda data=data: s.raw(data) for _, data in cases])
    for (status, data), answer in zip(cases, answers):
        assert isinstance(answer, bytes), (data[:80], answer)
        assert answer.startswith(b"HTTP/1.1 %d " % status), (status, data[:80], answer)
        assert b"Connection: close\r\n" in answer and answer.endswith(b"}"), answer


@test
def large_bodies(s):
    text = "fail " + "0123456789abcdef" * (6 * 65536 - 1)
    reply = s.invoke(text)
    assert reply.status == 200 and reply.json()["errorMessage"].startswith("0123"), reply
    reply = s.plain("large 5000000", "probe")
    assert reply.status == 200 and reply.body == b"x" * 5000000, reply.status
    assert s.plain("large 2000", "small").status == 200
    reply = s.invoke("large 2001", "small")
    assert reply.json()["errorType"] == "Function.ResponseSizeTooLarge", reply
    assert s.invoke("x" * 1001, "small").status == 413
    assert s.invoke("x" * 1000, "small").status == 200


@test
def time_out(s):
    replies = parallel([lambda: s.invoke("spin", "short"), lambda: s.invoke("sleep 99999", "short"),
                        lambda: s.plain("sleep 99999", "short"), lambda: s.plain("hello", "probe")])
    for reply in replies[:2]:
        error = reply.json()
        assert reply.status == 200 and reply.headers["X-Amz-Function-Error"] == "Unhandled", reply
        assert error["errorType"] == "Sandbox.Timedout", reply
        assert error["errorMessage"].endswith("Task timed out after 0.30 seconds"), reply
    assert replies[2].status == 504 and replies[3].text == "hello", replies
    eventually("no worker is left", lambda: s.metric("ufaas_workers", "short") == 0)


@test
def lingering_worker(s):
    """One that goes on after its answer: the client has it while it does, and it ends by its time."""
    for _ in range(10):  # its time may end before it answers, or before we look
        answered = s.plain("linger 60000", "lingers").text == "answered"
        lingers = s.metric("ufaas_workers", "lingers") == 1
        s.quiet("lingers")
        if answered and lingers:
            return
    raise AssertionError("the answer comes with the end")


@test
def crashes(s):
    for body, reason in (("segv", "signal: segmentation fault"), ("exit 7", "exit status 7"),
                         ("exit 0", "without providing a reason"), ("garbage", "not understood")):
        reply = s.invoke(body)
        error = reply.json()
        assert reply.status == 200 and reply.headers["X-Amz-Function-Error"] == "Unhandled", reply
        assert error["errorType"] == "Runtime.ExitError" and reason in error["errorMessage"], reply
    assert s.plain("hello").text == "hello"


@test
def memory_limit(s):
    reply = s.invoke("hog", X_Amz_Log_Type="Tail")
    text = base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()
    assert reply.json()["errorMessage"] == "no more memory", reply
    got = int(re.search(r"no more after (\d+) MiB", text)[1])
    assert 48 <= got <= 64, got
    assert s.plain("hello").text == "hello"


@test
def concurrency_and_queue(s):
    s.quiet("narrow")
    replies, gate = [], s.work / "gate1"
    threads = [threading.Thread(target=lambda: replies.append(s.invoke(f"wait {gate}", "narrow")))
               for _ in range(4)]
    for t in threads:
        t.start()
    eventually("two are queued", lambda: s.metric("ufaas_queue_length", "narrow") == 2)
    assert s.metric("ufaas_workers", "narrow") == 2
    full = s.invoke("hello", "narrow")
    assert full.status == 429, full
    assert full.headers["X-Amzn-ErrorType"] == "TooManyRequestsException", full
    assert s.invoke("hello", "narrow", X_Amz_Invocation_Type="Event").status == 429
    gate.touch()
    for t in threads:
        t.join()
    assert [r.text for r in replies] == ["waited"] * 4, replies
    assert s.metric("ufaas_queue_length", "narrow") == 0


@test
def client_goes_away(s):
    """What it had queued is not done, what ran is ended in order."""
    s.quiet("narrow")
    before = s.metric("ufaas_requests_total", "narrow", outcome="cancelled")
    conns, gate = [], s.work / "gate2"
    body = b"wait %s" % bytes(gate)
    for _ in range(4):
        c = socket.create_connection(("127.0.0.1", s.port))
        c.sendall(b"POST /function/narrow HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        conns.append(c)
    eventually("two are queued", lambda: s.metric("ufaas_queue_length", "narrow") == 2)
    for c in conns:  # by a reset
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()
    eventually("two are cancelled", lambda: s.metric("ufaas_requests_total", "narrow",
                                                     outcome="cancelled") == before + 2)
    assert s.metric("ufaas_workers", "narrow") == 2
    gate.touch()
    s.quiet("narrow")


@test
def logs(s):
    rid = s.invoke("print 2").headers["X-Amzn-RequestId"]
    eventually("its report is there", lambda: [
        l for l in s.lines() if l.get("requestId") == rid and l.get("type") == "report"])
    lines = [l for l in s.lines() if l.get("requestId") == rid]
    assert [l["message"] for l in lines if l["type"] == "output"] == [
        'line 0 of "2"', 'line 1 of "2"', "no end of line"], lines
    report = lines[-1]
    assert report["outcome"] == "ok" and report["function"] == "probe", report
    assert 0 <= report["durationMs"] < 60000 and report["worker"] > 0, report
    # A line without an end is cut into pieces.
    rid = s.invoke("write 10").headers["X-Amzn-RequestId"]
    eventually("what came late is logged", lambda: [
        l for l in s.lines() if l.get("requestId") == rid and l.get("message") == "late"])


@test
def metrics(s):
    reply = s.request("GET", "/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4"), reply
    seen = set()
    for line in reply.text.splitlines():
        if line.startswith("#"):
            assert re.match(r"# (HELP|TYPE) \w+ \S", line), line
            continue
        match = re.fullmatch(r'(\w+)(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [0-9.e+]+', line)
        assert match and line not in seen, line
        seen.add(line)
    s.plain("hello")
    count = s.metric("ufaas_request_duration_seconds_count", "probe")
    assert count == s.metric("ufaas_request_duration_seconds_bucket", "probe", le="+Inf")
    assert s.metric("process_resident_memory_bytes") > 0
    assert s.metric("ufaas_zygote_resident_bytes", "probe") > 0


@test
def administration(s):
    listed = {f["name"]: f for f in s.request("GET", "/admin/functions", admin=True).json()}
    assert set(listed) == set(FUNCTIONS), listed
    assert listed["probe"]["state"] == "ready" and listed["probe"]["zygote"] > 1
    assert s.request("POST", "/admin/functions/nobody", admin=True).status == 404
    reply = s.request("POST", "/admin/functions/short", admin=True)
    assert reply.status == 200 and reply.json()["state"] == "ready", reply
    again = {f["name"]: f for f in s.request("GET", "/admin/functions", admin=True).json()}
    assert again["short"]["zygote"] != listed["short"]["zygote"]


@test
def zygote_dies(s):
    before = s.metric("ufaas_zygote_failures_total", "narrow")
    reply = s.invoke("murder", "narrow")
    if os.getuid() == 0 or s.system == "native":
        assert reply.status == 502 and "signal 9" in reply.json()["errorMessage"], reply
    assert s.metric("ufaas_zygote_failures_total", "narrow") == before + 1
    eventually("another one serves", lambda: s.plain("hello", "narrow").status == 200)


@test
def two_thousand(s):
    """Nothing is used up by requests."""
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=LIMIT)

    def ask(n):
        for _ in range(n):
            c.request("POST", INVOKE % "probe", "hello")
            assert c.getresponse().read() == b"hello"
    ask(100)
    before = s.settled(held=1)
    ask(2000)
    eventually("all is as before", lambda: s.count(held=1)[:2] == before[:2])
    after = s.count(held=1)
    # 64 requests are kept for reuse, with buffers of about 5 KiB, if so many have run at once. The
    # address sanitizer keeps what was freed.
    assert s.sanitized or after[2] <= before[2] + 96, (before, after)
    c.close()


# ---- servers of their own ----------------------------------------------------------------------


def slow_clients(rig):
    """Who does not say all that belongs to a request in time."""
    s = rig.serve(header_ms=300)
    try:
        refused(s, [(408, b"GET / HTTP/1.1\r\nHost:"),
                    (408, b"POST /function/probe HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")])
        s.stop()
    finally:
        s.end()


def orderly_end(rig):
    """SIGTERM: what was asked is answered, nobody new comes in, nothing is left."""
    s = rig.serve()
    try:
        slow, gate = [], s.work / "gate"
        threads = [threading.Thread(target=lambda: slow.append(s.plain(f"wait {gate}", "narrow")))
                   for _ in range(4)]  # two run, two wait
        for t in threads:
            t.start()
        idle = socket.create_connection(("127.0.0.1", s.port))
        eventually("they are there", lambda: s.metric("ufaas_queue_length", "narrow") == 2)
        s.process.send_signal(signal.SIGTERM)
        eventually("it does not listen", lambda: not listens(s.port))
        assert idle.recv(10) == b"" and not slow, slow
        gate.touch()
        for t in threads:
            t.join()
        assert [r.text for r in slow] == ["waited"] * 4, slow
        assert s.process.wait(LIMIT) == 0
        assert s.logged("^ended$") and not s.logged("in time")
        assert list((s.work / "tmp").iterdir()) == []
    finally:
        s.end()


def end_in_time(rig):
    """What does not end within drain_ms is ended, and so at the second SIGTERM."""
    for drain_ms, twice in ((200, False), (3600000, True)):
        s = rig.serve('[function.forever]\ncommand = ["{work}/probe"]\ntimeout_ms = 3600000\n', drain_ms=drain_ms)
        try:
            thread = threading.Thread(target=parallel, args=([lambda: s.plain("spin", "forever")],))
            thread.start()
            eventually("it runs", lambda: s.metric("ufaas_workers", "forever") == 1)
            s.process.send_signal(signal.SIGTERM)
            eventually("it does not listen", lambda: not listens(s.port))
            if twice:
                s.process.send_signal(signal.SIGTERM)
            assert s.process.wait(LIMIT) == 0
            assert s.logged("not everything has ended in time")
            thread.join()
            if rig.system == "native":
                eventually("its worker is gone", lambda: not running(s.probe))
        finally:
            s.end()


def running(program):
    """Processes that run it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") == str(program):
                found.append(pid)
        except OSError:
            pass
    return found


def few_descriptors(rig):
    """When there are none left, somebody waits or is refused, and afterwards all is as before."""
    s = rig.serve(descriptors=64)
    try:
        conns, gate = [], s.work / "gate"
        body = b"wait %s" % bytes(gate)
        for number in range(100):
            c = socket.create_connection(("127.0.0.1", s.port), timeout=LIMIT)
            c.sendall(b"POST /function/probe HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            conns.append(c)
            if number == 7:
                eventually("eight run", lambda: s.metric("ufaas_workers", "probe") == 8)
        gate.touch()
        answers = []
        for c in conns:  # closing one lets another one in
            answers.append(c.recv(1000).split(b" ")[1].decode())
            c.close()
        assert answers[:8] == ["200"] * 8 and set(answers) <= {"200", "502"}, answers
        eventually("all is well again", lambda: s.plain("hello").text == "hello")
        s.stop()
    finally:
        s.end()


def zygote_without_descriptors(rig):
    """What cannot be passed to a zygote has no worker, with the cause, and the zygote lives on."""
    functions = "".join(f'[function.left{n}]\ncommand = ["{{work}}/probe"]\n'
                        f'timeout_ms = 60000\nenvironment = {{ WARM = "descriptors", LEFT = "{n}" }}\n' for n in range(3))
    s = rig.serve(functions)
    try:
        for name in ("left0", "left1"):
            for _ in range(3):
                reply = s.plain("hello", name)
                assert reply.status == 502 and "no worker could be started: " in reply.text, reply
            assert s.metric("ufaas_zygote_failures_total", name) == 0
        for _ in range(3):
            assert s.plain("hello", "left2").text == "hello"
        s.stop()
    finally:
        s.end()


def slow_log(rig):
    """A log that nobody reads stops nobody; what does not fit is lost, counted, and cut at line ends."""
    s = rig.serve(log="stderr")
    try:
        for _ in range(16):
            assert s.plain("print 4000").text == "printed"
        assert s.metric("ufaas_log_lines_lost_total") > 0
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(s.process.stderr))
        reader.start()
        # What is printed now comes behind what was kept.
        eventually("what was kept comes", lambda: s.plain("print 1").status == 200 and
                   any(b'of \\"1\\"' in line for line in lines[-100:]))
        assert len(lines) > 20000, len(lines)
        s.stop()
        reader.join()
        assert [json.loads(line) for line in lines][-1]["message"] == "ended"
    finally:
        s.end()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
        return True
    except OSError:
        return False


def command_line(rig):
    for words in ([], ["--nonsense"], ["--config"], ["--config", "x", "y"]):
        done = rig.run(*words)
        assert done.returncode == 2 and "usage:" in done.stderr, done
    assert "usage:" in rig.run("--help").stdout
    assert re.fullmatch(r"ufaas \S+\n", rig.run("--version").stdout)
    done = rig.run("--config", "/no/such/file")
    assert done.returncode == 1 and "/no/such/file: No such file" in done.stderr, done
    work = Path(tempfile.mkdtemp(prefix="ufaas-test-"))
    try:
        config = work / "functions.toml"
        config.write_text('[function.f]\ncommand = ["/x"]\ntimeout_ms = "long"\n')
        command = rig.command(work, ["--check", "--config", str(config)])
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 1, done
        assert f"{config}:3: timeout_ms must be an integer, not a string" in done.stderr, done
        config.write_text('[function.f]\ncommand = ["/x"]\n')
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0 and "1 functions" in done.stdout, done
        done = subprocess.run([*command, "--listen=nonsense"], capture_output=True, text=True,
                              timeout=LIMIT)
        assert done.returncode == 1 and "ADDRESS:PORT" in done.stderr, done
    finally:
        shutil.rmtree(work, ignore_errors=True)


ALONE = [command_line, *faas_deploy.ALONE, slow_clients, orderly_end, end_in_time,
         few_descriptors, zygote_without_descriptors, slow_log, *faas_rapi.ALONE]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--system", choices=("native", "ufork"), required=True)
    parser.add_argument("--cpus", type=int)
    parser.add_argument("--server", type=Path, help="another native ufaas")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    rig = Rig(args.build.resolve(), args.system, args.cpus, args.server)
    wanted = lambda f: not args.names or f.__name__ in args.names
    passed = failed = 0
    server = None
    shared = [f for f in TESTS if wanted(f)]
    for function in shared + [f for f in ALONE if wanted(f)]:
        began = time.monotonic()
        try:
            if function in ALONE:
                function(rig)
            else:
                server = server or rig.serve()
                function(server)
            passed += 1
            print(f"ok faas/{args.system}/{function.__name__} {time.monotonic() - began:.1f} s", flush=True)
        except Exception as problem:
            failed += 1
            print(f"FAIL faas/{args.system}/{function.__name__}", flush=True)
            text = "".join(traceback.format_exception(problem)[-3:])
            print("    " + text.replace("\n", "\n    ")[:3000], flush=True)
            if server and (function in TESTS or server.process.poll() is not None):
                print("    log: " + "\n    ".join(
                    server.log.read_text().splitlines()[-5:] if server.log.exists() else []))
                server.end()
                server = None
    if server:
        try:
            server.stop()
        except Exception as problem:
            failed += 1
            print(f"FAIL faas/{args.system}: the end of the server: {problem}")
        server.end()
    print(f"functions ({args.system}): {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

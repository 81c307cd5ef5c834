# SPDX-License-Identifier: MIT
"""Deployments of ufaas: functions that come, change, go, and do not start, while they are used."""
import http.client
import os
import re
import signal
import socket
import threading
import time

from faas_rig import FUNCTIONS, INVOKE, LIMIT, Reply, eventually, stop


class Load:
    """Clients that ask without a pause; none of their requests may fail."""

    def __init__(self, server, body, function="probe", clients=4):
        self.done, self.failed, self.over = 0, [], False
        self.server, self.body, self.function = server, body, function
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def ask(self):
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=LIMIT)
        while not self.over:
            try:
                c.request("POST", INVOKE % self.function, self.body)
                reply = Reply(c.getresponse())
                if reply.status != 200 or "X-Amz-Function-Error" in reply.headers:
                    self.failed.append(repr(reply))
                self.done += 1
            except Exception as problem:
                self.failed.append(repr(problem))
                c.close()
        c.close()

    def finish(self):
        self.over = True
        for t in self.threads:
            t.join()
        assert not self.failed, f"{len(self.failed)} of {self.done} failed: {self.failed[:3]}"
        return self.done


def deploy_under_load(rig):
    s = rig.serve()
    try:
        load = Load(s, "sleep 5")
        eventually("the load runs", lambda: load.done > 20)
        for _ in range(8):
            reply = s.request("POST", "/admin/functions/probe", admin=True)
            assert reply.status == 200, reply
        for _ in range(3):
            before = s.metric("ufaas_deploys_total", "probe")
            s.process.send_signal(signal.SIGHUP)
            eventually("deployed", lambda: s.metric("ufaas_deploys_total", "probe") > before)
            eventually("ready", lambda: s.request("GET", "/admin/functions", admin=True).json()[0]
                       ["state"] == "ready")
        done = load.done
        eventually("the load goes on", lambda: load.done > done + 20)
        assert load.finish() > 40
        # The server, its zygotes, on uFork the worker that counts.
        left = 1 + len(FUNCTIONS) + (s.system == "ufork")
        eventually("old zygotes are gone", lambda: s.count()[0] == left)
        s.stop()
    finally:
        s.end()


def reconfigure(rig):
    """Functions come, change and go with SIGHUP; a bad configuration changes nothing."""
    s = rig.serve()
    try:
        s.configure(function(s, GREETING="1"))
        s.process.send_signal(signal.SIGHUP)
        eventually("the new one serves", lambda: s.plain("env GREETING", "late").text == "1")
        s.config.write_text(s.config.read_text().replace('GREETING = "1"', 'GREETING = "2"'))
        assert s.request("POST", "/admin/functions/late", admin=True).status == 200
        assert s.plain("env GREETING", "late").text == "2"
        good = s.config.read_text()
        s.config.write_text(good + "nonsense = 1\n")
        s.process.send_signal(signal.SIGHUP)
        eventually("the complaint is logged", lambda: s.logged(r"functions.toml:\d+: unknown key"))
        reply = s.request("POST", "/admin/functions/late", admin=True)
        assert reply.status == 400 and "unknown key" in reply.json()["Message"], reply
        assert s.plain("env GREETING", "late").text == "2"
        # One that goes away finishes what it has begun and what waits for it.
        slow, gate = [], s.work / "gate"
        thread = threading.Thread(target=lambda: slow.append(s.plain(f"wait {gate}", "late")))
        thread.start()
        eventually("it runs", lambda: s.metric("ufaas_workers", "late") == 1)
        s.configure()
        s.process.send_signal(signal.SIGHUP)
        eventually("it is gone", lambda: s.plain("hello", "late").status == 404)
        assert not slow, slow
        gate.touch()
        thread.join()
        assert slow[0].text == "waited", slow
        # A deployment that fails leaves the old one in service.
        s.config.write_text(s.config.read_text().replace('GREETING = "hello"', 'WARM = "fail"'))
        reply = s.request("POST", "/admin/functions/probe", admin=True)
        assert reply.status == 502, reply
        assert reply.json()["Message"] == 'ended with status 3: cannot find my "module"', reply
        assert s.plain("env GREETING").text == "hello"
        s.stop()
    finally:
        s.end()


def cannot_start(rig):
    """Functions that do not get warm: the cause is told, and others do not mind."""
    s = rig.serve()
    try:
        flag = s.work / "flag"
        program = f'command = ["{s.probe}"]\n'
        s.configure(f'[function.broken]\n{program}environment = {{WARM = "fail"}}\n'
                    f'[function.hangs]\n{program}environment = {{WARM = "hang"}}\nwarmup_ms = 300\n'
                    f'[function.waits]\n{program}environment = {{WARM = "{flag}"}}\n'
                    '[function.nothing]\ncommand = ["/no/such/program"]\n'
                    f'[function.nowhere]\n{program}path = "/no/such/directory"\n')
        s.process.send_signal(signal.SIGHUP)
        for name, cause in (("broken", 'ended with status 3: cannot find my "module"'),
                            ("hangs", "was not warm after 300 ms"),
                            ("nothing", "cannot execute /no/such/program: No such file"),
                            ("nowhere", "cannot enter /no/such/directory"),
                            ("waits", "is not there")):
            eventually(f"{name} is there", lambda n=name: s.plain("hello", n).status == 502)
            reply = s.plain("hello", name)
            assert reply.status == 502 and cause in reply.json()["errorMessage"], reply
        assert s.plain("hello").text == "hello"
        flag.touch()
        eventually("it is tried again", lambda: s.plain("hello", "waits").status == 200)
        eventually("so is the broken one", lambda: s.metric("ufaas_zygote_failures_total", "broken") > 1)
        assert s.metric("ufaas_zygote_ready", "broken") == 0
        s.stop()
    finally:
        s.end()


def function(s, name="late", **environment):
    """A function of the probe, for `configure`."""
    words = ", ".join(f'{key} = "{value}"' for key, value in environment.items())
    return f'[function.{name}]\ncommand = ["{s.probe}"]\ntimeout_ms = 60000\nenvironment = {{{words}}}\n'


def listed(s, name="late"):
    """What the administration says of it."""
    found = [f for f in s.request("GET", "/admin/functions", admin=True).json() if f["name"] == name]
    assert len(found) < 2, found
    return found[0] if found else None


def reload(s, more=""):
    s.configure(more)
    before = len(s.logged("^configuration read$"))
    s.process.send_signal(signal.SIGHUP)
    eventually("the configuration is read", lambda: len(s.logged("^configuration read$")) > before)


def come_back(rig):
    """A function that is removed and comes back while its old zygote has something to do, or does not end."""
    s = rig.serve()
    try:
        late = lambda **environment: function(s, **environment)
        reload(s, late(GREETING="1"))
        eventually("it serves", lambda: s.plain("env GREETING", "late").text == "1")
        # By the administration, and again by SIGHUP: it is there once.
        slow, gate = [], s.work / "gate"
        thread = threading.Thread(target=lambda: slow.append(s.plain(f"wait {gate}", "late")))
        thread.start()
        eventually("it runs", lambda: s.metric("ufaas_workers", "late") == 1)
        reload(s)
        assert listed(s) is None and s.plain("hello", "late").status == 404
        s.configure(late(GREETING="2"))
        assert s.request("POST", "/admin/functions/late", admin=True).status == 200
        assert s.plain("env GREETING", "late").text == "2"
        reload(s, late(GREETING="3"))
        eventually("the third serves", lambda: listed(s)["state"] == "ready" and
                   s.plain("env GREETING", "late").text == "3")
        assert not slow, slow
        gate.touch()
        thread.join()
        assert slow[0].text == "waited", slow
        # It comes back broken before its last zygote has ended; when it can start it is started.
        if s.system == "native":
            s.quiet("late")
            zygote, flag = listed(s)["zygote"], s.work / "flag"
            stop(zygote)
            reload(s)
            reload(s, late(WARM=flag))
            eventually("it has failed", lambda: "is not there" in listed(s)["cause"])
            os.kill(zygote, signal.SIGCONT)
            eventually("the old one is gone", lambda: not os.path.exists(f"/proc/{zygote}"))
            reply = s.plain("hello", "late")
            assert reply.status == 502 and "is not there" in reply.text, reply
            flag.touch()
            eventually("it is tried again", lambda: s.plain("hello", "late").status == 200)
        s.stop()
    finally:
        s.end()


def pipelined_deploys(rig):
    """Each is answered when its own zygote serves, or has failed."""
    s = rig.serve()
    try:
        flag = s.work / "flag"
        s.configure(function(s, WARM=flag, SLOW=300))
        one = b"POST /admin/functions/late HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n%s\r\n"
        three = one % b"" * 2 + one % b"Connection: close\r\n"
        # One that fails is tried again after a while.
        for status, states in ((b"502", ("failed", "warming")), (b"200", ("ready",))):
            before = s.metric("ufaas_deploys_total", "late") if listed(s) else 0
            answers = re.findall(rb"HTTP/1.1 (\d+) ", s.raw(three, port=s.admin))
            assert answers == [status] * 3, answers
            assert listed(s)["state"] in states, listed(s)
            assert s.metric("ufaas_deploys_total", "late") == before + 3
            flag.touch()
        s.stop()
    finally:
        s.end()


def failing_starts(rig):
    """Connections that end in the moment when a child cannot become a zygote."""
    s = rig.serve()
    try:
        s.configure('[function.nowhere]\ncommand = ["/no/such/program"]\npath = "/no/such/directory"\n')
        lingering = []  # the server ends those a second after its answer
        for _ in range(40):
            reply = s.request("POST", "/admin/functions/nowhere", admin=True)
            assert reply.status == 502 and "cannot enter" in reply.text, reply
            c = socket.create_connection(("127.0.0.1", s.port), timeout=LIMIT)
            c.sendall(b"GET / HTTP/1.1\r\n\r\n")
            lingering.append((time.monotonic(), c))
            time.sleep(0.03)
            while lingering and time.monotonic() - lingering[0][0] > 1:
                old = lingering.pop(0)[1]
                try:
                    old.sendall(b"more")
                except OSError:
                    pass  # it has been told
                old.close()
        for _, c in lingering:
            c.close()
        assert s.plain("hello").text == "hello"
        s.stop()
    finally:
        s.end()


ALONE = [deploy_under_load, reconfigure, come_back, pipelined_deploys, failing_starts, cannot_start]

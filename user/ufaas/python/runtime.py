# SPDX-License-Identifier: MIT
"""The zygote of a function in Python: imports it, warms it up and forks a worker per request.

ufaas starts it with the control socket at descriptor 3 and says in the environment
    _HANDLER                          module.function, as on AWS Lambda
    LAMBDA_TASK_ROOT                  directory of the code: current directory, first in sys.path
    AWS_LAMBDA_FUNCTION_NAME, AWS_LAMBDA_FUNCTION_VERSION, AWS_LAMBDA_FUNCTION_MEMORY_SIZE
    UFAAS_WARMUP                      if set: an event (JSON) to call the handler with before the first fork
    TMPDIR                            if set: a directory of this zygote alone; each worker gets its own in it
    UFAAS_OWN_UID                     if 1: no process but this function's has our user id
protocol.h says what the two say to each other. Everything that a worker does beside its handler counts: a Python
call costs as much as a system call, and each page that a worker writes is copied. What the zygote does for each request
counts as well: most workers have ended before it looks for the first time, so it asks before it waits.
"""
import errno
import gc
import importlib
import json
import os
import resource  # noqa: F401, os.wait4 imports it at its first use
import select
import signal
import socket
import struct
import sys
import time
import traceback

CONTROL = 3
INVOKE, KILL, DRAIN = 1, 2, 3
READY, STARTED, ENDED, FAILED = 1, 2, 3, 4
REQUEST, RESPONSE, ERROR = 1, 2, 3
ORDER = struct.Struct("=IIQ")  # kind, 0, id
ORDER_SIZE = ORDER.size
NOTE = struct.Struct("=IiQQ")  # kind, value, id, figure
PART = struct.Struct("=IIQ")  # kind, sizes of header and body
DESCRIPTORS = struct.Struct("=ii")
BUFFER = bytearray(8192)  # most requests come in one piece that fits
DONTWAIT = int(socket.MSG_DONTWAIT)
SIGKILL = int(signal.SIGKILL)  # without the enumerations of `signal`
END_QUICK = os.WEXITED | os.WNOHANG | os.WNOWAIT
BLIND = 10  # ms between looks at workers that have no descriptor
IDLE = 1000  # ms without an order or a worker until what workers left behind is killed


class Identity:
    """Of a caller that Amazon Cognito knows: here nobody."""

    cognito_identity_id = None
    cognito_identity_pool_id = None


class Context:
    """What a handler gets as its second argument."""

    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
    memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
    log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/" + function_name)
    log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
    identity = Identity()
    client_context = None

    def __init__(self, header):
        """`header`: lines `Name: value`, names as protocol.h spells them. Read when something of it is asked for."""
        self._header = header
        if "Lambda-Runtime-Trace-Id: " in header:
            os.environ["_X_AMZN_TRACE_ID"] = dict(self._lines()).get("Lambda-Runtime-Trace-Id", "")

    def _lines(self):
        return (line.split(": ", 1) for line in self._header.split("\n") if ": " in line)

    def __getattr__(self, name):
        """Of an attribute that is not there yet."""
        if name not in ("aws_request_id", "invoked_function_arn", "_deadline"):
            raise AttributeError(f"'Context' object has no attribute '{name}'")
        said = dict(self._lines())
        self.aws_request_id = said.get("Lambda-Runtime-Aws-Request-Id", "")
        self.invoked_function_arn = said.get("Lambda-Runtime-Invoked-Function-Arn", "")
        self._deadline = int(said.get("Lambda-Runtime-Deadline-Ms", 0)) / 1000  # seconds since 1970
        return self.__dict__[name]

    def get_remaining_time_in_millis(self):
        return max(0, int((self._deadline - time.time()) * 1000))

    def log(self, message):
        sys.stdout.write(str(message))


class Logging:
    """Gives the records of module `logging` the form that they have on AWS Lambda. Installed only if the function's
    modules import `logging`, since that module slows each fork down."""

    context = None  # of the worker's request
    FORM = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"

    @classmethod
    def install(cls):
        logging = sys.modules.get("logging")
        if logging is None or logging.root.handlers:
            return
        handler = logging.StreamHandler(sys.stdout)
        handler.formatter = logging.Formatter(cls.FORM, "%Y-%m-%dT%H:%M:%S")
        handler.formatter.converter = time.gmtime
        handler.addFilter(cls)
        logging.root.addHandler(handler)

    @classmethod
    def filter(cls, record):
        record.aws_request_id = cls.context.aws_request_id if cls.context else ""
        return True


def unusual(value):
    """JSON of what the encoder does not know: decimals, as AWS has it."""
    decimal = sys.modules.get("decimal")
    if decimal and isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


encoder = json.encoder.c_make_encoder(
    {}, unusual, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)
scan = json.JSONDecoder().scan_once


def encode(value):
    """JSON, by the encoder that json.dumps makes anew for each call."""
    return "".join(encoder(value, 0))


def decode(text):
    """What `text`, JSON, means. JSONDecoder.decode looks for white space with regular expressions."""
    text = text.strip(" \t\r\n")
    try:
        value, end = scan(text, 0)
    except StopIteration as problem:
        raise json.JSONDecodeError("Expecting value", text, problem.value) from None
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def error_object(problem, request):
    """AWS Lambda's JSON for an exception that the handler raised; logs it, too."""
    # The first frame is ours.
    frames = traceback.format_list(traceback.extract_tb(problem.__traceback__)[1:])
    name = type(problem).__name__
    sys.stderr.write(f"[ERROR] {name}: {problem}\nTraceback (most recent call last):\n{''.join(frames)}")
    return {"errorMessage": str(problem), "errorType": name, "requestId": request, "stackTrace": frames}


def receive(conversation):
    """Header and body of the request."""
    have = os.readv(conversation, [BUFFER])
    while have < PART.size:
        more = os.readv(conversation, [memoryview(BUFFER)[have:]]) if have else 0
        if not more:
            os._exit(1)  # ufaas has given up on this request
        have += more
    _, header_size, body_size = PART.unpack_from(BUFFER)
    body = PART.size + header_size
    end = body + body_size
    data = memoryview(BUFFER)
    if end > len(BUFFER):
        data = memoryview(bytearray(end))
        data[:have] = memoryview(BUFFER)[:have]
    while have < end:
        more = os.readv(conversation, [data[have:]])
        if not more:
            os._exit(1)  # ufaas has given up on this request
        have += more
    return str(data[PART.size:body], "utf-8"), str(data[body:end], "utf-8")


def answer(conversation, kind, header, body):
    data = PART.pack(kind, len(header), len(body)) + header + body
    sent = os.write(conversation, data)
    while sent < len(data):
        sent += os.write(conversation, memoryview(data)[sent:])


def call(handler, conversation):
    """The whole of a request."""
    header, body = receive(conversation)
    context = Context(header)
    Logging.context = context
    kind = RESPONSE
    try:
        result = encode(handler(decode(body) if body else {}, context))
    except Exception as problem:
        kind, result = ERROR, encode(error_object(problem, context.aws_request_id))
    flush()  # before the answer, with which ufaas may return what was logged
    answer(conversation, kind, b"", result.encode())


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed or replaced by the handler


class Zygote:
    """Forks the workers, waits for them, kills them. Wakes up for an order, and for the end of a worker that was not
    over at once."""

    def __init__(self, handler):
        self.handler = handler
        self.control = socket.socket(fileno=CONTROL)
        self.workers = {}  # by process id: the request's id, and its directory
        self.slow = {}  # process id by the descriptor that tells when it ends
        self.blind = False  # a worker may have no such descriptor
        self.draining = False
        self.directory = os.environ.get("TMPDIR")
        self.current = None  # what the environment says
        self.spare = []  # names of directories that no worker has; the one used last comes first
        self.alone = os.environ.pop("UFAAS_OWN_UID", "") == "1"
        self.poll = select.poll()
        self.poll.register(CONTROL, select.POLLIN)

    def send(self, notes):
        """One or two of them at once."""
        try:
            self.control.send(notes)
        except OSError:
            self.end()

    def end(self):
        """ufaas has gone or wants no more; nothing of this function stays."""
        for pid in self.workers:
            self.kill(pid)
        self.sweep()
        os._exit(0)

    def kill(self, pid):
        """A worker that has not been waited for, and its group."""
        for kill in (os.kill, os.killpg):
            try:
                kill(pid, SIGKILL)
            except OSError:
                pass  # it has not made its group yet, or there is none but a dead one's

    def sweep(self):
        """Kills what workers have left behind in groups of their own."""
        if self.alone:
            try:
                os.kill(-1, SIGKILL)
            except OSError:
                pass

    def ended(self, pid, before=b""):
        """Has this worker ended? Then it has been waited for, and ufaas knows, after the note `before`."""
        if os.waitid(os.P_PID, pid, END_QUICK) is None:
            return False
        try:  # while its id is taken
            os.killpg(pid, SIGKILL)
        except OSError:
            pass
        _, status, usage = os.wait4(pid, 0)
        request, own = self.workers.pop(pid)
        if own:
            remove(own)
            self.spare.append(own)
        self.send(before + NOTE.pack(ENDED, status, request, usage.ru_maxrss * 1024))
        return True

    def reap_strangers(self):
        """What the function's modules have started and do not wait for."""
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, END_QUICK)
            except ChildProcessError:
                return
            if dead is None or dead.si_pid in self.workers:
                return
            os.waitpid(dead.si_pid, 0)

    def own_directory(self):
        """A fresh one, in TMPDIR; the worker inherits that. Names are used again, as the environment then needs no
        change."""
        if not self.directory:
            return None
        own = self.spare.pop() if self.spare else f"{self.directory}/{len(self.workers)}"
        try:
            os.mkdir(own, 0o700)
        except FileExistsError:  # made by a function; or it could not be removed
            own = f"{self.directory}/{os.urandom(8).hex()}"
            os.mkdir(own, 0o700)
        if own is not self.current:
            os.environ["TMPDIR"] = self.current = own
        return own

    def invoke(self, request, conversation, log):
        own = None
        try:
            own = self.own_directory()
            pid = os.fork()
        except OSError as problem:
            pid = -problem.errno
        if pid == 0:
            self.work(conversation, log)
        os.close(conversation)
        os.close(log)
        if pid < 0:
            if own:
                remove(own)
                self.spare.append(own)
            self.send(NOTE.pack(FAILED, -pid, request, 0))
            return
        self.workers[pid] = request, own
        # The worker first: most have ended before the next is forked, which then gets their memory while it is in the
        # cache. And ufaas need wake up but once.
        os.sched_yield()
        started = NOTE.pack(STARTED, pid, request, 0)
        if not self.ended(pid, started):
            self.send(started)
            self.watch(pid)

    def watch(self, pid):
        """Tells when this worker ends."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            self.blind = True
            return
        self.slow[descriptor] = pid
        self.poll.register(descriptor, select.POLLIN)

    def slow_ended(self, descriptor):
        if self.ended(self.slow[descriptor]):
            self.poll.unregister(descriptor)
            del self.slow[descriptor]
            os.close(descriptor)

    def work(self, conversation, log):
        """In the child; never returns."""
        status = 1
        try:
            os.setpgid(0, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            os.close(CONTROL)
            for descriptor in self.slow:
                os.close(descriptor)
            call(self.handler, conversation)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            flush()
        except BaseException:
            traceback.print_exc()
            flush()
        os._exit(status & 0xff)

    def obey(self):
        """One order, if there is one."""
        try:
            data, extra, _, _ = self.control.recvmsg(ORDER_SIZE, 64, DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self.end()
        kind, _, request = ORDER.unpack(data)
        if kind == INVOKE:
            if len(extra) == 1 and len(extra[0][2]) == DESCRIPTORS.size:
                self.invoke(request, *DESCRIPTORS.unpack(extra[0][2]))
            else:  # lost, or one of them, as this process can have no more
                for _, _, descriptors in extra:
                    for descriptor in memoryview(descriptors).cast("i"):
                        os.close(descriptor)
                self.send(NOTE.pack(FAILED, errno.EMFILE, request, 0))
        elif kind == KILL:
            for pid, worker in self.workers.items():
                if worker[0] == request:
                    self.kill(pid)
        elif kind == DRAIN:
            self.draining = True
        return True

    def rest(self):
        """Waits for something to happen."""
        events = self.poll.poll(BLIND if self.blind else IDLE)
        for descriptor, _ in events:
            if descriptor == CONTROL:
                self.obey()
            else:
                self.slow_ended(descriptor)
        if self.blind:
            told = set(self.slow.values())
            blind = [pid for pid in self.workers if pid not in told]
            self.blind = not all([self.ended(pid) for pid in blind])
        return bool(events) or self.blind

    def idle(self):
        """Nothing has happened for a while: nor will it, until the next order."""
        self.reap_strangers()
        if not self.workers:
            self.sweep()
        self.poll.poll()

    def serve(self):
        self.send(NOTE.pack(READY, 0, 0, 0))
        while not self.draining or self.workers:
            if (self.slow or self.blind or not self.obey()) and not self.rest():
                self.idle()
        self.end()


def remove(directory):
    """A worker's directory with all that is in it."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        pass  # it could not be made, or the worker removed it
    except OSError:
        import shutil

        shutil.rmtree(directory, ignore_errors=True)


def load():
    """The handler, warmed up. What goes wrong goes to standard error and ends the zygote: it is never READY."""
    root = os.environ.get("LAMBDA_TASK_ROOT", os.getcwd())
    os.chdir(root)
    sys.path[0] = root
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    Logging.install()
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].tempdir = None  # looked up anew by each worker
    event = os.environ.pop("UFAAS_WARMUP", None)
    if event is not None:
        request = "Lambda-Runtime-Aws-Request-Id: warm-up\n"
        encode(handler(decode(event), Context(f"{request}Lambda-Runtime-Deadline-Ms: {time.time() * 1000 + 60000:.0f}")))
    return handler


def rehearse():
    """Requests to a handler of our own, so that the code of a worker is specialised before the first fork and the
    memory that it takes has been there once."""
    header = b"Lambda-Runtime-Aws-Request-Id: 1\nLambda-Runtime-Deadline-Ms: 1\n"
    body = b'{"rehearsal": [1, 2.5, "text", null, true]}'
    for _ in range(20):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            answer(ours.fileno(), REQUEST, header, body)
            call(lambda event, context: event, theirs.fileno())
            ours.recv(1024)


def main():
    os.set_inheritable(CONTROL, False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # what a worker has said is seen even if it is killed
    handler = load()
    rehearse()
    zygote = Zygote(handler)
    flush()
    gc.collect()
    gc.freeze()
    zygote.serve()


if __name__ == "__main__":
    main()

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
call costs as much as a system call, and each page that a worker writes is copied.
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
from _signal import SIG_DFL, SIGCHLD, signal as set_signal  # without the enumerations of `signal`

CONTROL = 3
INVOKE, KILL, DRAIN = 1, 2, 3
READY, STARTED, ENDED, FAILED = 1, 2, 3, 4
REQUEST, RESPONSE, ERROR = 1, 2, 3
ORDER = struct.Struct("=IIQ")  # kind, 0, id
NOTE = struct.Struct("=IiQQ")  # kind, value, id, max_rss
PART = struct.Struct("=IIQ")  # kind, sizes of header and body
DESCRIPTORS = struct.Struct("=ii")
BUFFER = bytearray(8192)  # most requests come in one piece that fits
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
    aws_request_id = ""
    invoked_function_arn = ""
    _deadline = 0.0  # seconds since 1970

    def __init__(self, header):
        """`header`: lines `Name: value`, names as protocol.h spells them."""
        for line in header.split("\n"):
            name, _, value = line.partition(": ")
            if name == "Lambda-Runtime-Aws-Request-Id":
                self.aws_request_id = value
            elif name == "Lambda-Runtime-Deadline-Ms":
                self._deadline = int(value) / 1000
            elif name == "Lambda-Runtime-Invoked-Function-Arn":
                self.invoked_function_arn = value
            elif name == "Lambda-Runtime-Trace-Id":
                os.environ["_X_AMZN_TRACE_ID"] = value

    def get_remaining_time_in_millis(self):
        return max(0, int((self._deadline - time.time()) * 1000))

    def log(self, message):
        sys.stdout.write(str(message))


class Logging:
    """Gives the records of module `logging` the form that they have on AWS Lambda. Installed only if the function's
    modules import `logging`, since that module slows each fork down."""

    request = ""  # id of the worker's request
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
        record.aws_request_id = cls.request
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
raw_decode = json.JSONDecoder().raw_decode


def encode(value):
    """JSON, by the encoder that json.dumps makes anew for each call."""
    return "".join(encoder(value, 0))


def decode(text):
    """What `text`, JSON, means. JSONDecoder.decode looks for white space with regular expressions."""
    text = text.strip(" \t\r\n")
    value, end = raw_decode(text)
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
    while 0 < have < PART.size:
        have += os.readv(conversation, [memoryview(BUFFER)[have:]])
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
    Logging.request = context.aws_request_id
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
    """Forks the workers, waits for them, kills them. Wakes up for an order and for SIGCHLD."""

    def __init__(self, handler):
        self.handler = handler
        self.control = socket.socket(fileno=CONTROL)
        self.workers = {}  # request's id by process id
        self.draining = False
        self.directory = os.environ.get("TMPDIR")
        self.alone = os.environ.pop("UFAAS_OWN_UID", "") == "1"
        self.woken, self.wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.first_own = CONTROL
        self.after_own = max(CONTROL, self.woken, self.wake) + 1

    def note(self, kind, request, value=0, max_rss=0):
        try:
            self.control.send(NOTE.pack(kind, value, request, max_rss))
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
                kill(pid, signal.SIGKILL)
            except OSError:
                pass  # it has not made its group yet, or there is none but a dead one's

    def sweep(self):
        """Kills what workers have left behind in groups of their own."""
        if self.alone:
            try:
                os.kill(-1, signal.SIGKILL)
            except OSError:
                pass

    def reap(self):
        while self.workers:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if dead is None:
                return
            pid = dead.si_pid
            if pid in self.workers:
                try:  # while its id is taken
                    os.killpg(pid, signal.SIGKILL)
                except OSError:
                    pass
            _, status, usage = os.wait4(pid, 0)
            request = self.workers.pop(pid, None)
            if request is None:
                continue  # the function's modules have started it
            if self.directory:
                remove(f"{self.directory}/{request}")
            self.note(ENDED, request, status, usage.ru_maxrss * 1024)

    def invoke(self, request, conversation, log):
        own = f"{self.directory}/{request}"
        try:
            if self.directory:  # here, where the code is warm; the worker inherits it
                os.environ["TMPDIR"] = own
                os.mkdir(own, 0o700)
            pid = os.fork()
        except OSError as problem:
            pid = -problem.errno
        if pid == 0:
            self.work(conversation, log)
        os.close(conversation)
        os.close(log)
        if pid < 0:
            if self.directory:
                remove(own)
            self.note(FAILED, request, -pid)
        else:
            self.workers[pid] = request
            self.note(STARTED, request, pid)
            # The worker first: most have ended before the next is forked, which then gets their memory while it is
            # in the cache.
            os.sched_yield()

    def work(self, conversation, log):
        """In the child; never returns."""
        status = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            set_signal(SIGCHLD, SIG_DFL)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            os.closerange(self.first_own, self.after_own)
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
        """One order."""
        try:
            data, extra, _, _ = self.control.recvmsg(ORDER.size, 64)
        except ConnectionResetError:
            data = b""
        if not data:
            self.end()
        kind, _, request = ORDER.unpack(data)
        if kind == INVOKE:
            if len(extra) == 1 and len(extra[0][2]) == DESCRIPTORS.size:
                self.invoke(request, *DESCRIPTORS.unpack(extra[0][2]))
            else:
                self.note(FAILED, request, errno.EMFILE)
        elif kind == KILL:
            for pid, other in self.workers.items():
                if other == request:
                    self.kill(pid)
        elif kind == DRAIN:
            self.draining = True

    def serve(self):
        self.note(READY, 0)
        poll = select.poll()
        poll.register(CONTROL, select.POLLIN)
        poll.register(self.woken, select.POLLIN)
        idle = None
        while not self.draining or self.workers:
            events = poll.poll(idle)
            for descriptor, _ in events:
                if descriptor == CONTROL:
                    self.obey()
                else:
                    os.read(self.woken, 512)
                    self.reap()
            if self.alone:
                idle = IDLE if events else None
                if not events and not self.workers:
                    self.sweep()
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

# SPDX-License-Identifier: MIT
"""What a deployed program leans on, one part per function; prints a line for each part that works.
The lines are the same on every system."""
import asyncio
import concurrent.futures
import decimal
import hashlib
import http.client
import json
import mmap
import multiprocessing as mp
import os
import pickle
import re
import select
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from multiprocessing import shared_memory

from smoke_web import ForkingServer, Hello


def libraries():
    digests = [hashlib.new(n, b"x" * 1000).hexdigest()[:8] for n in ("md5", "sha1", "sha256", "sha512", "sha3_256")]
    digests.append(hashlib.blake2b(b"x").hexdigest()[:8])
    decimal.getcontext().prec = 60
    root = str(decimal.Decimal(2).sqrt())
    # Large enough for libmpdec's number theoretic transform.
    big = decimal.Context(prec=20000)
    assert big.multiply(big.divide(1, 7), 7).quantize(decimal.Decimal("1e-50"), context=big) == 1
    text = json.dumps({"a": [1, 2.5, None], "b": "\u20ac"})
    assert json.loads(text) == {"a": [1, 2.5, None], "b": "\u20ac"}
    data = bytes(range(256)) * 4000
    assert zlib.decompress(zlib.compress(data)) == data
    assert re.fullmatch(r"(\w+)-(\d+)", "abc-42").groups() == ("abc", "42")
    assert struct.unpack("<Id", struct.pack("<Id", 7, 0.5)) == (7, 0.5)
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE t(a, b)")
    base.executemany("INSERT INTO t VALUES(?, ?)", [(i, str(i)) for i in range(100)])
    return digests, root, text, base.execute("SELECT count(*), sum(a), max(b) FROM t").fetchone()


def square(n):
    return n * n


def fill(queue, name):
    for i in range(50):
        queue.put((name, i))


def add(value, lock, times):
    for _ in range(times):
        with lock:
            value[0] += 1


def workers(method):
    """Pool, queue, pipe, lock over shared memory, manager."""
    context = mp.get_context(method)
    with context.Pool(4) as pool:
        results = [pool.map(square, range(200))[-1], sum(pool.imap_unordered(square, range(50), 5))]
    queue = context.Queue()
    senders = [context.Process(target=fill, args=(queue, n)) for n in range(3)]
    for sender in senders:
        sender.start()
    got = [queue.get(timeout=300) for _ in range(150)]
    for sender in senders:
        sender.join()
    results.append(all([i for n, i in got if n == name] == list(range(50)) for name in range(3)))
    memory = shared_memory.SharedMemory(create=True, size=4096)
    counter = memory.buf.cast("L")
    lock = context.Lock()
    adders = [context.Process(target=add_to, args=(memory.name, lock)) for _ in range(4)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    results += [counter[0], [p.exitcode for p in adders]]
    counter.release()
    memory.close()
    memory.unlink()
    return results


def add_to(name, lock):
    memory = shared_memory.SharedMemory(name)
    counter = memory.buf.cast("L")
    add(counter, lock, 250)
    counter.release()
    memory.close()


def executor():
    with concurrent.futures.ProcessPoolExecutor(3) as processes:
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            return list(processes.map(square, range(9))) == list(threads.map(square, range(9)))


def manager():
    with mp.Manager() as m:
        shared = m.dict()
        children = [mp.Process(target=shared.__setitem__, args=(i, i * i)) for i in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        return sorted(shared.items())


def subprocesses():
    python = [sys.executable, "-c"]
    done = subprocess.run(["sh", "-c", "cat; echo error >&2; exit 3"], input=b"in", capture_output=True)
    line = subprocess.check_output("echo $((6 * 7)) | cat", shell=True, text=True)
    child = subprocess.Popen([*python, "import time; time.sleep(100)"])
    child.send_signal(signal.SIGTERM)
    try:
        subprocess.run([*python, "import time; time.sleep(100)"], timeout=0.3)
        late = False
    except subprocess.TimeoutExpired:
        late = True
    detached = subprocess.run([*python, "import os; print(os.getsid(0) == os.getpid())"],
                              start_new_session=True, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr, line, child.wait(), late, detached.stdout


def signals():
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    while len(seen) < 2:
        time.sleep(0.01)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    seen.append(signal.sigwait([signal.SIGUSR2]))
    r, w = os.pipe()
    os.set_blocking(w, False)
    signal.set_wakeup_fd(w)
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.set_wakeup_fd(-1)
    seen.append(os.read(r, 10))
    return seen


def threads():
    total, lock, barrier = [0], threading.Lock(), threading.Barrier(4)

    def work():
        barrier.wait()
        add(total, lock, 2000)

    pool = [threading.Thread(target=work) for _ in range(4)]
    for thread in pool:
        thread.start()
    # A fork out of a program with threads: the child has one.
    child = os.fork()
    if child == 0:
        os._exit(threading.active_count())
    for thread in pool:
        thread.join()
    return total, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def chat():
    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def ask(port, n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"line %d\n" % n)
        answer = await reader.readline()
        writer.close()
        return answer

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answers = await asyncio.gather(*(ask(port, n) for n in range(20)))
    child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = await child.communicate(b"through cat")
    try:
        await asyncio.wait_for(asyncio.sleep(60), 0.05)
    except asyncio.TimeoutError:
        answers.append("time-out")
    server.close()
    return answers[0], answers[19:], out, child.returncode


def web():
    answers = set()
    with ForkingServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=300)
            # The server's child has the client's socket too: the server ends the connection.
            connection.request("GET", "/hello", headers={"Connection": "close"})
            answers.add(connection.getresponse().read())
            connection.close()
        server.shutdown()
        thread.join()
    return answers


def files():
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as file:
        path = os.path.join(folder, "pickled")
        with open(path, "wb") as out:
            pickle.dump(list(range(1000)), out)
        with open(path, "rb") as back:
            same = pickle.load(back) == list(range(1000))
        file.truncate(8192)
        mapping = mmap.mmap(-1, 8192)
        mapping[100:105] = b"hello"
        child = os.fork()
        if child == 0:
            mapping[100:105] = mapping[100:105].upper()
            os._exit(0)
        os.waitpid(child, 0)
        left, right = socket.socketpair()
        socket.send_fds(left, [b"a file"], [file.fileno()])
        message, (fd,), _, _ = socket.recv_fds(right, 100, 1)
        poll = select.epoll()
        poll.register(left, select.EPOLLIN)
        right.send(b"x")
        events = [event for _, event in poll.poll(5)]
        return same, mapping[100:105], message, os.fstat(fd).st_size, events, os.listdir(folder)


if __name__ == "__main__":
    parts = {"libraries": libraries, "fork": lambda: workers("fork"),
             "forkserver": lambda: workers("forkserver"), "spawn": lambda: workers("spawn"),
             "executor": executor, "manager": manager, "subprocess": subprocesses, "signal": signals,
             "threads": threads, "asyncio": lambda: asyncio.run(chat()), "web": web, "files": files}
    for name in sys.argv[1:] or parts:
        print(name, parts[name](), flush=True)

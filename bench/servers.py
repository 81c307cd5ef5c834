# SPDX-License-Identifier: MIT
"""What all servers under our control need."""
import contextlib
import random
import socket
import subprocess


def free_port():
    """One that nobody listens on, and none that an outgoing connection gets."""
    while True:
        try:
            with socket.socket() as s:
                s.bind(("127.0.0.1", random.randrange(10000, 32768)))
                return s.getsockname()[1]
        except OSError:
            pass


def end_server(process):
    """Ends a server; it alone is killed if it does not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def one_of_each(systems, start):
    """start(system) for each; all are stopped in the end, also if one does not start."""
    with contextlib.ExitStack() as stack:
        servers = []
        for system in systems:
            servers.append(start(system))
            stack.callback(servers[-1].stop)
        yield servers

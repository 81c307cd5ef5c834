# SPDX-License-Identifier: MIT
"""What all servers under our control need."""
import contextlib
import socket
import subprocess


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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

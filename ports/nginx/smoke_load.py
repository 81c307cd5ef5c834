#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smoke_load.py PORT PATH FILE {keepalive|close} THREADS STOP [CA]: requests until the file STOP exists.

Every answer must be FILE, byte for byte. Prints `ok N failed N retried N` and why what failed.
A server may close a connection that waits for its next request; a request that meets such an end
before the first byte of an answer is made once more on a fresh connection: "retried". With CA, a file of
certificates, it asks by TLS, and the server must prove to be localhost.
"""
import os
import socket
import ssl
import sys
import threading
import time


class Load(threading.Thread):
    def __init__(self, port, path, wanted, keepalive, stop, context):
        super().__init__()
        self.context = context
        self.port, self.wanted, self.keepalive, self.stop = port, wanted, keepalive, stop
        connection = "keep-alive" if keepalive else "close"
        self.request = (f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                        f"Connection: {connection}\r\n\r\n").encode()
        self.sock = self.file = None
        self.ok = self.retried = 0
        self.failed = []

    def disconnect(self):
        if self.sock:
            self.file.close()
            self.sock.close()
        self.sock = None

    def exchange(self):
        """One request. Returns what is wrong, or None; raises ConnectionResetError before an answer."""
        if not self.sock:
            self.sock = socket.create_connection(("127.0.0.1", self.port), 300)
            if self.context:
                self.sock = self.context.wrap_socket(self.sock, server_hostname="localhost")
            self.file = self.sock.makefile("rb")
        try:
            self.sock.sendall(self.request)
            status = self.file.readline()
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as problem:
            raise ConnectionResetError(str(problem)) from None
        if not status:
            raise ConnectionResetError("closed without an answer")
        if status.split()[1:2] != [b"200"]:
            return f"status {status!r}"
        size, goes_on = None, self.keepalive
        while (line := self.file.readline().strip()):
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                size = int(value)
            if name.lower() == b"connection":
                goes_on = goes_on and value.strip() == b"keep-alive"
        body = self.file.read(size)
        if body != self.wanted:
            return f"{len(body)} bytes of {len(self.wanted)}, or wrong ones"
        if not goes_on:
            self.disconnect()
        return None

    def run(self):
        while not os.path.exists(self.stop):
            for attempt in range(2):
                reused = self.sock is not None
                try:
                    problem = self.exchange()
                except ConnectionResetError as reset:
                    problem = f"reset: {reset}"
                    if reused:
                        self.retried += 1
                        self.disconnect()
                        continue
                except (OSError, ValueError) as other:
                    problem = repr(other)
                break
            if problem is None:
                self.ok += 1
            else:
                self.failed.append(problem)
                self.disconnect()
                time.sleep(0.01)
        self.disconnect()


def main():
    port, path, file, mode, threads, stop, *ca = sys.argv[1:]
    with open(file, "rb") as content:
        wanted = content.read()
    context = ssl.create_default_context(cafile=ca[0]) if ca else None
    loads = [Load(int(port), path, wanted, mode == "keepalive", stop, context) for _ in range(int(threads))]
    for load in loads:
        load.start()
    for load in loads:
        load.join()
    failed = [problem for load in loads for problem in load.failed]
    print(f"ok {sum(load.ok for load in loads)} failed {len(failed)} "
          f"retried {sum(load.retried for load in loads)}")
    for problem in failed[:10]:
        print(f"  {problem}")


if __name__ == "__main__":
    main()

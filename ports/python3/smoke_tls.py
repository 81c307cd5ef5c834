# SPDX-License-Identifier: MIT
"""TLS and OpenSSL's digests, one part per function; prints a line for each part that works. The
folder has ca.pem, server.pem with server.key for localhost and 127.0.0.1, and other.pem, an unrelated CA."""
import asyncio
import hashlib
import hmac
import http.client
import importlib
import os
import socket
import ssl
import sys
import threading
import urllib.request

from smoke_web import ForkingServer, Hello

HERE = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(HERE, name)


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path("server.pem"), path("server.key"))
    context.set_alpn_protocols(["echo"])
    return context


def client_context(ca="ca.pem"):
    context = ssl.create_default_context(cafile=path(ca))
    context.set_alpn_protocols(["echo"])
    return context


def digests():
    """OpenSSL's against those that are built in, over lengths around their blocks."""
    both = {"_md5": ["md5"], "_sha1": ["sha1"], "_sha256": ["sha224", "sha256"], "_sha512": ["sha384", "sha512"],
            "_sha3": ["sha3_224", "sha3_256", "sha3_384", "sha3_512"]}
    import _hashlib
    names = []
    for module, functions in both.items():
        for name in functions:
            inner = getattr(importlib.import_module(module), name)
            for size in (0, 1, 55, 56, 63, 64, 111, 112, 127, 128, 136, 144, 1000, 100003):
                data = bytes(i * 7 & 255 for i in range(size))
                assert _hashlib.new(name, data).digest() == inner(data).digest(), (name, size)
            assert getattr(hashlib, name).__module__ == "_hashlib", name
            names.append(name)
    assert _hashlib.new("blake2b512", b"x").digest() == hashlib.blake2b(b"x").digest()
    assert _hashlib.new("blake2s256", b"x").digest() == hashlib.blake2s(b"x").digest()
    # RFC 7914 and RFC 6070.
    derived = [hashlib.scrypt(b"password", salt=b"NaCl", n=1024, r=8, p=16, dklen=64).hex()[:16],
               hashlib.pbkdf2_hmac("sha1", b"password", b"salt", 4096).hex()[:16],
               hmac.new(b"Jefe", b"what do ya want for nothing?", "sha256").hexdigest()[:16]]
    return names, derived


class Echo(threading.Thread):
    """Answers one line in capitals per connection; counts the handshakes that fail."""

    def __init__(self, context):
        super().__init__()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context = context
        self.refused = 0
        self.start()

    def run(self):
        while True:
            plain, _ = self.listener.accept()
            try:
                with self.context.wrap_socket(plain, server_side=True) as secure:
                    line = secure.makefile("rb").readline()
                    if line == b"end\n":
                        return
                    secure.sendall(line.upper())
            except (ssl.SSLError, ConnectionError):
                self.refused += 1
            finally:
                plain.close()


def ask(port, context, host, line):
    with socket.create_connection(("127.0.0.1", port), 300) as plain:
        with context.wrap_socket(plain, server_hostname=host) as secure:
            secure.sendall(line)
            return secure.makefile("rb").readline(), secure.version(), secure.selected_alpn_protocol()


def refusal(port, context, host):
    try:
        return ask(port, context, host, b"never\n")
    except ssl.SSLCertVerificationError as error:
        return error.verify_message


def threads():
    """A server and clients in one program: both versions, several ciphers, what must be refused."""
    server = Echo(server_context())
    results = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context()
        context.minimum_version = context.maximum_version = version
        results.append(ask(server.port, context, "localhost", b"hello\n"))
    for cipher in ("ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        context = client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
        results.append(ask(server.port, context, "127.0.0.1", b"x" * 50000 + b"\n")[0] == b"X" * 50000 + b"\n")
    results.append(refusal(server.port, client_context(), "elsewhere.example"))
    results.append(refusal(server.port, client_context(), "127.0.0.2"))
    results.append(refusal(server.port, client_context("other.pem"), "localhost"))
    ask(server.port, client_context(), "localhost", b"end\n")
    server.join()
    return results, server.refused


async def tasks():
    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def client(port, n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(),
                                                       server_hostname="localhost", limit=1 << 20)
        lines = []
        for size in (1, 100, 70000):
            writer.write(b"%d " % n + b"y" * size + b"\n")
            await writer.drain()
            lines.append(len(await reader.readuntil()))
        writer.close()
        await writer.wait_closed()
        return lines

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context(), limit=1 << 20)
    port = server.sockets[0].getsockname()[1]
    answers = await asyncio.gather(*(asyncio.wait_for(client(port, n), 300) for n in range(10, 20)))
    try:
        await asyncio.open_connection("127.0.0.1", port, ssl=client_context(), server_hostname="elsewhere.example")
        refused = "nothing"
    except ssl.SSLCertVerificationError as error:
        refused = error.verify_message
    server.close()
    return answers.count([5, 104, 70004]), refused


class SecureServer(ForkingServer):
    def get_request(self):
        plain, address = super().get_request()
        return self.context.wrap_socket(plain, server_side=True), address


def web():
    """https, each connection served by a forked child, two requests on one connection."""
    with SecureServer(("127.0.0.1", 0), Hello) as server:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(path("server.pem"), path("server.key"))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        port = server.server_address[1]
        context = ssl.create_default_context(cafile=path("ca.pem"))
        answers = set()
        for _ in range(5):
            connection = http.client.HTTPSConnection("localhost", port, timeout=300, context=context)
            # The server's child has the client's socket too: the server ends the connection.
            for name, last in (("/a", "keep-alive"), ("/b", "close")):
                connection.request("GET", name, headers={"Connection": last})
                answers.add(connection.getresponse().read())
            connection.close()
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/c", context=context, timeout=300) as answer:
            answers.add(answer.read())
        try:
            urllib.request.urlopen(f"https://localhost:{port}/d", timeout=300)
        except OSError as error:
            answers.add(error.reason.reason.encode())
        server.shutdown()
        thread.join()
    return sorted(answers)


def randomness():
    """A warmed parent and its children draw different numbers, and so do the children among themselves."""
    seen = {ssl.RAND_bytes(16)}
    for _ in range(20):
        r, w = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(w, ssl.RAND_bytes(16))
            os._exit(0)
        seen.add(os.read(r, 16))
        os.waitpid(child, 0)
        os.close(r)
        os.close(w)
    seen.add(ssl.RAND_bytes(16))
    return len(seen)


def certificates():
    context = ssl.create_default_context(cafile=path("ca.pem"))
    paths = ssl.get_default_verify_paths()
    return [dict(c["subject"][0])["commonName"] for c in context.get_ca_certs()], paths.openssl_capath


if __name__ == "__main__":
    parts = {"digests": digests, "threads": threads, "asyncio": lambda: asyncio.run(tasks()), "web": web,
             "randomness": randomness, "certificates": certificates}
    for name in sys.argv[1:] or parts:
        print(name, parts[name](), flush=True)

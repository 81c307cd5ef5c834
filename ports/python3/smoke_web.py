# SPDX-License-Identifier: MIT
"""The web server of both smoke tests: each connection is served by a forked child."""
import http.server
import os
import socketserver

MAIN = os.getpid()


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"{self.path} by a child: {os.getpid() != MAIN}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class ForkingServer(socketserver.ForkingMixIn, http.server.HTTPServer):
    pass

"""Stands between a client and the server and writes down every frame, as one JSON object a line.

As a program it stands on stdio: `tap.py FRAMES honest|lie COMMAND...`. `http_tap` is the same for HTTP.

A tap that lies says a number where the outputSchema of `fhir_capabilities` has a string: a client that validates must
reject the answer.
"""

import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.parse

LIED_ABOUT = "fhir_capabilities"
# Of one frame. The server's answers stay far below.
MAX_BODY = 4 * 1024 * 1024


class Frames:
    """A file of frames. Several processes may append to it, whole lines at a time."""

    def __init__(self, path, lie):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.lock = threading.Lock()
        self.lie = lie
        self.lied_about = set()

    def record(self, sender, text, status=None):
        """Writes a frame down; gives the text to pass on."""
        if not text.strip():
            return text
        try:
            body = json.loads(text)
        except ValueError:
            body = text.decode(errors="replace")
        with self.lock:
            if self.lie and isinstance(body, dict):
                text = self.falsify(sender, body, text)
            line = json.dumps({"from": sender, "status": status, "body": body}) + "\n"
            os.write(self.file, line.encode())
        return text

    def falsify(self, sender, body, text):
        if sender == "client":
            params = body.get("params")
            if isinstance(params, dict) and params.get("name") == LIED_ABOUT:
                self.lied_about.add(json.dumps(body.get("id")))
        elif json.dumps(body.get("id")) in self.lied_about and "structuredContent" in body.get("result", {}):
            body["result"]["structuredContent"]["fhirVersion"] = 4
            return json.dumps(body).encode() + (b"\n" if text.endswith(b"\n") else b"")
        return text


def stdio(frames, command):
    """Runs the server and copies lines both ways until one side ends."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def down():
        for line in sys.stdin.buffer:
            try:
                server.stdin.write(frames.record("client", line))
                server.stdin.flush()
            except OSError:
                return
        server.stdin.close()

    # A daemon: the server may end first, and then nobody reads our standard input any more.
    threading.Thread(target=down, daemon=True).start()
    for line in server.stdout:
        sys.stdout.buffer.write(frames.record("server", line))
        sys.stdout.buffer.flush()
    return server.wait()


def http_tap(frames, upstream):
    """Starts a proxy in front of `upstream`; gives it and its URL. `shutdown()` ends it."""
    upstream = urllib.parse.urlsplit(upstream)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def log_message(self, *_):
            pass

        def forward(self):
            length = int(self.headers.get("Content-Length") or 0)
            if length > MAX_BODY:
                return self.send_error(413)
            body = self.rfile.read(length)
            frames.record("client", body)
            headers = {
                k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")
            }
            connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=60)
            try:
                connection.request(self.command, upstream.path, body, headers)
                self.relay(connection.getresponse())
            except OSError:
                # The server or the client went away: whoever is left sees the connection end.
                self.close_connection = True
            finally:
                connection.close()

        def relay(self, answer):
            events = (answer.getheader("Content-Type") or "").startswith("text/event-stream")
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            if events:
                # Without a length the stream ends with the connection.
                self.send_header("Connection", "close")
                self.close_connection = True
                self.end_headers()
                while line := answer.readline(MAX_BODY):
                    if line.startswith(b"data:"):
                        line = b"data: " + frames.record("server", line[5:].strip(), answer.status) + b"\n"
                    self.wfile.write(line)
                    self.wfile.flush()
            else:
                body = frames.record("server", answer.read(), answer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = do_DELETE = forward

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}/mcp"


if __name__ == "__main__":
    path, mode, *command = sys.argv[1:]
    sys.exit(stdio(Frames(path, mode == "lie"), command))

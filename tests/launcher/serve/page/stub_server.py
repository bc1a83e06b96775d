# SPDX-License-Identifier: Apache-2.0
"""The page before a server that answers what a test likes: slowly, wrongly, or not at all."""

import contextlib
import http.server
import json
import re
import socket
import sys
import threading

from served_job import SOURCE

PAGE = SOURCE / "runtime/server/http/page/index.html"
GATEWAY = SOURCE / "runtime/server/http/http_gateway_routes.cc"
DONE = "data: [DONE]\n\n"


def read_content_policy():
    """The policy that the real server sends, from where it is written."""
    parts = re.search(r'"Content-Security-Policy",(.*?)\}', GATEWAY.read_text(), re.DOTALL)[1]
    return "".join(re.findall(r'"([^"]*)"', parts))


CONTENT_POLICY = read_content_policy()


def chunk(text="", finish=None, **delta):
    """An event with a piece of an answer."""
    return {"choices": [{"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}]}


def block(number, step, tokens):
    """An event with the block as it is: a token is a text, or a text in a tuple where it is still masked."""
    positions = [{"masked": isinstance(token, tuple), "token_id": 1, "confidence": 0.5,
                  "text": token[0] if isinstance(token, tuple) else token} for token in tokens]
    return {"choices": [], "provisional": {"index": 0, "block": number, "step": step, "positions": positions}}


def usage(tokens, passes):
    return {"choices": [], "usage": {"completion_tokens": tokens, "forward_passes": passes}}


def answer(text):
    return [chunk(text), chunk(finish="stop"), usage(2, 1)]


class Stub:
    """Answers each question with what `plan` makes of the request's body.

    That is a list of events; a callable among them is called in between (to wait, or to raise and so cut the
    connection). Or it is (code, headers, body) of a refusal. `bodies` are the requests that came.
    """

    def __init__(self, plan=lambda body: answer("Fine."), model="stub"):
        self.plan, self.model, self.bodies, self.keys, self.port = plan, model, [], [], 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        stub = self

        class Handler(_Handler):
            server_of_test = stub

        self.server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.server.cut_connections()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"

    def questions(self):
        """What was asked last, as (role, content)."""
        return [(message["role"], message["content"]) for message in self.bodies[-1]["messages"]]


class Gate:
    """An event of a plan that waits until the test opens it."""

    def __init__(self):
        self.event = threading.Event()
        self.open = self.event.set

    def __call__(self):
        assert self.event.wait(30), "nobody opened the gate"


def cut():
    raise ConnectionAbortedError("as the test wants it")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments):
        self.connections = []
        super().__init__(*arguments)

    def get_request(self):
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def cut_connections(self):
        # Those too that the browser has opened ahead of a request.
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *arguments):
        if not isinstance(sys.exc_info()[1], OSError):  # that is a browser that has left
            super().handle_error(*arguments)


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, code, headers, body):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/":
            return self.reply(200, {"Content-Type": "text/html; charset=utf-8",
                                    "Content-Security-Policy": CONTENT_POLICY}, PAGE.read_bytes())
        if self.path != "/v1/models":
            return self.reply(404, {}, b"{}")
        model = {"id": self.server_of_test.model, "max_model_len": 2048,
                 "defaults": {"block_length": 4, "temperature": 0, "remasking_strategy": "low_confidence_dynamic"}}
        self.reply(200, {"Content-Type": "application/json"}, json.dumps({"data": [model]}).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server_of_test.bodies.append(body)
        self.server_of_test.keys.append(self.headers.get("Authorization"))
        plan = self.server_of_test.plan(body)
        if isinstance(plan, tuple):
            code, headers, error = plan
            return self.reply(code, headers, json.dumps({"error": error}).encode())
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for event in plan:
                event() if callable(event) else self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.write(DONE.encode())
        except OSError:
            self.close_connection = True

# SPDX-License-Identifier: Apache-2.0
"""Addresses, ids and probes of a served job, as clients and operators meet them."""

import http.client
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import unittest

import grpc

from served_job import BIN, MODEL, ServedJob, wait_until

GENERATE = "/sdar.v1.GenerationService/Generate"
ABORT = "/sdar.v1.GenerationService/Abort"


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def text_field(number, text):
    """A string field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(text)) + text.encode()


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def chat(server, headers=(), **fields):
    """The status, the headers and the object of an answer."""
    connection = http.client.HTTPConnection(server.http_address, timeout=60)
    body = json.dumps({"messages": [{"role": "user", "content": "Compute 11 + 16."}], **fields})
    connection.request("POST", "/v1/chat/completions", body, dict(headers))
    answer = connection.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())


class FrontTest(unittest.TestCase):
    def test_it_listens_on_names_and_ipv6_and_several_addresses(self):
        hosts = ["localhost", "127.0.0.1,127.0.0.2", "0.0.0.0"]
        if has_ipv6():
            hosts += ["::1", "[::1]", "::", "127.0.0.1,::1"]
        for host in hosts:
            with ServedJob(f"--host={host}") as server:
                address, port = server.http_address.rsplit(":", 1)
                connection = http.client.HTTPConnection(address.strip("[]"), int(port), timeout=30)
                connection.request("GET", "/livez")
                self.assertEqual(connection.getresponse().status, 200, host)
                with grpc.insecure_channel(server.grpc_address) as channel:
                    grpc.channel_ready_future(channel).result(30)

    def test_an_address_that_cannot_be_had_fails_before_the_model_is_loaded(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            for flags, words in [([f"--port={port}"], f"127.0.0.1:{port}"),
                                 ([f"--http-port={port}", "--port=0"], f"127.0.0.1:{port}"),
                                 ([f"--admin-port={port}", "--port=0", "--http-port=0"], f"127.0.0.1:{port}"),
                                 (["--host=no.such.name.invalid"], "no.such.name.invalid"),
                                 (["--host=203.0.113.1"], "203.0.113.1"),
                                 (["--host="], "--host"),
                                 (["--allowed-origins=example.org"], "--allowed-origins")]:
                # A folder that holds no model: the address is refused first.
                outcome = subprocess.run([BIN / "sdar-serve", "--model=/nowhere", *flags],
                                         capture_output=True, text=True, timeout=30)
                self.assertEqual(outcome.returncode, 2, (flags, outcome.stderr))
                self.assertIn(words, outcome.stderr)

    def test_calls_may_share_a_request_id_and_no_id_of_an_answer_is_made_twice(self):
        with ServedJob() as server:
            outcomes = []

            def ask():
                outcomes.append(chat(server, {"X-Request-Id": "mine"}, max_tokens=400, ignore_eos=True))
            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual([status for status, _, _ in outcomes], [200] * 3)
            names = {headers["X-Request-Id"] for _, headers, _ in outcomes}
            self.assertEqual(len(names), 3)
            self.assertTrue(all(re.fullmatch("mine(-[0-9a-f]{8})?", name) for name in names), names)
            ids = {body["id"] for _, _, body in outcomes}
        with ServedJob() as server:
            ids.add(chat(server, {"X-Request-Id": "mine"})[2]["id"])
        self.assertEqual(len(ids), 4)

    def test_a_request_id_over_grpc_is_as_short_as_over_http(self):
        with ServedJob() as server, grpc.insecure_channel(
                server.grpc_address, [("grpc.max_send_message_length", 20 << 20)]) as channel:
            for name in ["x" * 10_000_000, "two words", "line\nbreak"]:
                for call in [channel.unary_stream(GENERATE), channel.unary_unary(ABORT)]:
                    message = text_field(1, name)
                    with self.assertRaises(grpc.RpcError) as caught:
                        outcome = call(message, timeout=30)
                        list(outcome) if call is not None and hasattr(outcome, "__iter__") else outcome
                    self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
                    self.assertLess(len(caught.exception.details()), 200)
            self.assertLess(len(server.read_log()), 10_000)

    def test_probes_have_a_listener_that_answers_while_the_model_loads(self):
        with tempfile.TemporaryDirectory() as folder:
            admin = pathlib.Path(folder) / "admin"
            with ServedJob("--admin-port=0", f"--admin-address-file={admin}") as server:
                address = admin.read_text().strip()
                for path, code in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/v1/models", 404)]:
                    connection = http.client.HTTPConnection(address, timeout=30)
                    connection.request("GET", path)
                    self.assertEqual(connection.getresponse().status, code, path)
            wait_until(lambda: not admin.exists(), "the address file is gone")


if __name__ == "__main__":
    unittest.main()

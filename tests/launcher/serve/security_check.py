# SPDX-License-Identifier: Apache-2.0
"""TLS, client certificates and bearer tokens of a served job, over gRPC and HTTP.

The certificates are made with openssl; the server's is replaced while it serves.
"""

import http.client
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import unittest

import grpc

from served_job import BIN, MODEL, ServedJob, wait_until
from tls_files import Authority

TOKEN = "a-token-for-this-test"
MODEL_INFO = "/sdar.v1.GenerationService/GetModelInfo"
HEALTH = "/grpc.health.v1.Health/Check"


class Server(ServedJob):
    """A job that is asked with and without certificates and tokens."""

    def get(self, path, tls=None, token=None):
        """The status code; with TLS also the serial number of the server's certificate."""
        connect = http.client.HTTPConnection if tls is None else http.client.HTTPSConnection
        connection = connect(self.http_address, timeout=20, **({} if tls is None else {"context": tls}))
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            serial = None if tls is None else int(connection.sock.getpeercert()["serialNumber"], 16)
            answer = connection.getresponse()
            answer.read()
            return answer.status if tls is None else (answer.status, serial)
        finally:
            connection.close()

    def call(self, method, credentials=None, token=None):
        """The status of a gRPC call with an empty message."""
        channel = (grpc.insecure_channel(self.grpc_address) if credentials is None else
                   grpc.secure_channel(self.grpc_address, credentials))
        with channel:
            metadata = [("authorization", f"Bearer {token}")] if token else []
            try:
                channel.unary_unary(method)(b"", metadata=metadata, timeout=20)
                return grpc.StatusCode.OK
            except grpc.RpcError as error:
                return error.code()

    def client(self, *flags, **environment):
        return subprocess.run([BIN / "sdar-client", f"--server={self.grpc_address}", "--info", *flags],
                              env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)


class SecurityTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="sdar-security-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_without_a_token_only_probes_are_answered(self):
        tokens = self.folder / "tokens"
        tokens.write_text(f"# of this test\n{TOKEN}\n")
        with Server(f"--api-keys-file={tokens}") as server:
            for token, code in [(None, 401), ("a-token-that-is-wrong", 401), (TOKEN, 200)]:
                self.assertEqual(server.get("/v1/models", token=token), code)
            for path in ["/health", "/readyz", "/livez", "/startupz"]:
                self.assertEqual(server.get(path), 200, path)
            self.assertEqual(server.call(MODEL_INFO), grpc.StatusCode.UNAUTHENTICATED)
            self.assertEqual(server.call(MODEL_INFO, token="a-token-that-is-wrong"), grpc.StatusCode.UNAUTHENTICATED)
            self.assertEqual(server.call(MODEL_INFO, token=TOKEN), grpc.StatusCode.OK)
            self.assertEqual(server.call(HEALTH), grpc.StatusCode.OK)
            self.assertIn("UNAUTHENTICATED", server.client().stderr)
            self.assertEqual(server.client(SDAR_API_KEY=TOKEN).returncode, 0)
            self.assertEqual(server.client(f"--api-key-file={self.key_file()}").returncode, 0)
            self.assertNotIn(TOKEN, server.read_log())

    def key_file(self):
        path = self.folder / "key"
        path.write_text(TOKEN + "\n")
        return path

    def test_both_ends_speak_tls_and_take_a_new_certificate_while_they_serve(self):
        authority = Authority(self.folder, "authority")
        key, certificate = authority.sign("server", 1001)
        tls = ssl.create_default_context(cafile=authority.certificate)
        roots = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
        with Server(f"--tls-cert={certificate}", f"--tls-key={key}") as server:
            self.assertEqual(server.get("/livez", tls), (200, 1001))
            with self.assertRaises((http.client.HTTPException, OSError)):
                server.get("/livez")
            self.assertEqual(server.call(MODEL_INFO, roots), grpc.StatusCode.OK)
            self.assertEqual(server.call(MODEL_INFO), grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(server.client(f"--tls-ca={authority.certificate}").returncode, 0)
            self.assertNotEqual(server.client("--timeout=5").returncode, 0)
            authority.sign("server", 1002)
            wait_until(lambda: server.get("/livez", tls) == (200, 1002), "HTTP shows the new certificate")
            wait_until(lambda: self.grpc_serial(server, authority) == 1002, "gRPC shows the new certificate")
            self.assertEqual(server.call(MODEL_INFO, roots), grpc.StatusCode.OK)

    def test_files_that_break_while_it_serves_leave_the_pair_as_it_was(self):
        authority = Authority(self.folder, "authority")
        key, certificate = authority.sign("server", 1001)
        other_key, _ = authority.sign("other", 1)
        tls = ssl.create_default_context(cafile=authority.certificate)
        good_key, good_certificate = key.read_bytes(), certificate.read_bytes()
        with Server(f"--tls-cert={certificate}", f"--tls-key={key}") as server:
            for number, (path, content) in enumerate([
                    (certificate, b""), (key, b""), (certificate, b"garbage\n"), (key, b"\0" * 100),
                    (certificate, good_certificate[:len(good_certificate) // 2]), (key, other_key.read_bytes()),
                    (certificate, good_certificate + b"-----BEGIN CERTIFICATE-----\nAAAA\n"), (key, None)]):
                path.unlink() if content is None else path.write_bytes(content)
                wait_until(lambda: (server.get("/livez", tls), self.grpc_serial(server, authority)) and
                           server.read_log().count("certificates stay as they were") > number,
                           f"the log says that {path.name} is wrong")
                self.assertEqual(server.get("/livez", tls), (200, 1001))
                self.assertEqual(self.grpc_serial(server, authority), 1001)
                key.write_bytes(good_key)
                certificate.write_bytes(good_certificate)
                wait_until(lambda: (server.get("/livez", tls), self.grpc_serial(server, authority)) and
                           server.read_log().count("certificates read again") > number, "the files are right again")
            authority.sign("server", 1002)
            wait_until(lambda: server.get("/livez", tls) == (200, 1002), "HTTP shows the new certificate")
            wait_until(lambda: self.grpc_serial(server, authority) == 1002, "gRPC shows the new certificate")

    def test_sessions_are_resumed_and_ciphers_are_one_list(self):
        authority = Authority(self.folder, "authority")
        key, certificate = authority.sign("server", 1)
        own_key, own_certificate = authority.sign("client", 2)
        weak = ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256"]
        with Server(f"--tls-cert={certificate}", f"--tls-key={key}",
                    f"--tls-client-ca={authority.certificate}") as server:
            host, port = server.http_address.split(":")
            for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
                tls = ssl.create_default_context(cafile=authority.certificate)
                tls.load_cert_chain(own_certificate, own_key)
                tls.minimum_version = tls.maximum_version = version
                session = None
                for resumed in [False, True]:
                    with tls.wrap_socket(socket.create_connection((host, int(port)), 20), server_hostname=host,
                                         session=session) as connection:
                        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        self.assertIn(b"200 OK", connection.recv(100))
                        self.assertEqual(connection.session_reused, resumed, version)
                        session = connection.session
            for address in [server.http_address, server.grpc_address]:
                for cipher in weak:
                    outcome = subprocess.run(
                        ["openssl", "s_client", "-connect", address, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"],
                        input="", capture_output=True, text=True, timeout=30)
                    self.assertNotEqual(outcome.returncode, 0, (address, cipher))

    def test_tokens_that_are_revoked_end_and_a_broken_file_closes(self):
        tokens = self.folder / "tokens"
        tokens.write_text(TOKEN + "\n")
        with Server(f"--api-keys-file={tokens}") as server:
            self.assertEqual(server.get("/v1/models", token=TOKEN), 200)
            for content in ["", "another-token-for-this-test\n", "two words\n", f"{TOKEN}\ntwo words\n"]:
                tokens.write_text(content)
                wait_until(lambda: server.get("/v1/models", token=TOKEN) == 401, f"closed by {content!r}")
                self.assertEqual(server.call(MODEL_INFO, token=TOKEN), grpc.StatusCode.UNAUTHENTICATED)
                tokens.write_text(TOKEN + "\n")
                wait_until(lambda: server.get("/v1/models", token=TOKEN) == 200, "open again")
            self.assertIn("nobody is let in", server.read_log())
            tokens.chmod(0o666)
            tokens.write_text(f"{TOKEN}\n# again\n")
            wait_until(lambda: server.get("/v1/models", token=TOKEN) and
                       "everybody on this machine can write" in server.read_log(), "the log warns")

    def grpc_serial(self, server, authority):
        host, port = server.grpc_address.split(":")
        context = ssl.create_default_context(cafile=authority.certificate)
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(socket.create_connection((host, int(port)), 20),
                                 server_hostname=host) as connection:
            return int(connection.getpeercert()["serialNumber"], 16)

    def test_with_client_authorities_only_their_certificates_are_let_in(self):
        authority, stranger = Authority(self.folder, "authority"), Authority(self.folder, "stranger")
        key, certificate = authority.sign("server", 1)
        own_key, own_certificate = authority.sign("client", 2)
        strange_key, strange_certificate = stranger.sign("guest", 3)
        with Server(f"--tls-cert={certificate}", f"--tls-key={key}",
                    f"--tls-client-ca={authority.certificate}") as server:
            for pair, let_in in [((own_certificate, own_key), True), ((strange_certificate, strange_key), False),
                                 (None, False)]:
                tls = ssl.create_default_context(cafile=authority.certificate)
                chain = private = None
                if pair is not None:
                    tls.load_cert_chain(*pair)
                    chain, private = pair[0].read_bytes(), pair[1].read_bytes()
                credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), private, chain)
                status = server.call(MODEL_INFO, credentials)
                self.assertEqual(status == grpc.StatusCode.OK, let_in, pair)
                if let_in:
                    self.assertEqual(server.get("/v1/models", tls), (200, 1))
                elif pair is None:
                    self.assertEqual(server.get("/livez", tls), (200, 1))  # probes have no certificate
                    self.assertEqual(server.get("/v1/models", tls), (401, 1))
                else:
                    with self.assertRaises((http.client.HTTPException, OSError)):
                        server.get("/livez", tls)
            self.assertEqual(server.client(f"--tls-ca={authority.certificate}", f"--tls-cert={own_certificate}",
                                           f"--tls-key={own_key}").returncode, 0)

    def test_files_that_cannot_be_used_are_refused_by_flag(self):
        authority = Authority(self.folder, "authority")
        key, certificate = authority.sign("server", 1)
        other_key, _ = authority.sign("other", 2)
        empty = self.folder / "empty"
        empty.write_text("")
        for flags, words in [
                ([f"--tls-cert={certificate}"], "--tls-cert and --tls-key together"),
                ([f"--tls-client-ca={certificate}"], "--tls-client-ca: expected --tls-cert"),
                ([f"--tls-cert={certificate}", "--tls-key=/nowhere"], "--tls-key: cannot read /nowhere"),
                ([f"--tls-cert={certificate}", f"--tls-key={other_key}"], "--tls-key: "),
                ([f"--tls-cert={empty}", f"--tls-key={key}"], "--tls-cert: "),
                ([f"--api-keys-file={empty}"], "holds no token"),
                (["--api-keys-file=/nowhere"], "cannot read /nowhere")]:
            outcome = subprocess.run([BIN / "sdar-serve", f"--model={MODEL}", *flags],
                                     capture_output=True, text=True, timeout=60)
            self.assertEqual(outcome.returncode, 2, flags)
            self.assertIn(words, outcome.stderr)


if __name__ == "__main__":
    unittest.main()

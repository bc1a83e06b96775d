# SPDX-License-Identifier: Apache-2.0
"""Envoy in front of two jobs, with health checks over HTTP and gRPC. Both jobs are restarted one after the other while
clients call over HTTP and gRPC: no call fails, if --drain-delay gives the health checks time to notice.

SDAR_CALLS is how many calls there are at least; SDAR_DRAIN_DELAY=0 shows what happens without the delay."""

import collections
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import grpc
import real_parts
import yaml
from real_parts import BIN, FOLDER, MODEL, ROOT, Server, skip, wait_until

sys.path.append(str(ROOT / "proto"))
generation_pb2, generation_pb2_grpc = grpc.protos_and_services("sdar/v1/generation.proto")

ENVOY = ROOT / "build/venv-envoy/bin/envoy"
CALLS = int(os.environ.get("SDAR_CALLS", "10000"))
# Envoy asks each second, so two seconds are enough; a third is for a busy machine.
DELAY = int(os.environ.get("SDAR_DRAIN_DELAY", "3"))
CALLERS = 3  # of each kind


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Job:
    """A launched job of one rank, as a service manager has it."""

    def __init__(self, name):
        self.grpc_port, self.http_port, self.admin_port = free_ports(3)
        self.log = FOLDER / f"{name}.log"
        self.log.write_text("")
        self.server = Server("127.0.0.1", self.http_port, self.admin_port)
        self.process = None

    def start(self):
        delay = [f"--drain-delay={DELAY}"] if DELAY else []
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [BIN / "sdar-launch", "--ranks=1", "--stop-timeout=60", "--", BIN / "sdar-serve", f"--model={MODEL}",
                 "--threads=1", f"--port={self.grpc_port}", f"--http-port={self.http_port}", f"--admin-port={self.admin_port}",
                 "--log-level=warning", "--drain-timeout=20", *delay], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.server.is_ready() or self.process.poll() is not None, self.log.read_text, 60)
        assert self.process.poll() is None, self.log.read_text()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.log.read_text()


def cluster(name, ports, check, **options):
    return {
        "name": name, "type": "STATIC", "connect_timeout": "1s", "lb_policy": "ROUND_ROBIN",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports]}]},
        "health_checks": [{"timeout": "1s", "interval": "1s", "no_traffic_interval": "1s", "unhealthy_threshold": 1,
                           "healthy_threshold": 1, **check}],
        # If all are unhealthy none is asked, instead of all.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}}, **options}


def listener(name, port, target):
    route = {"match": {"prefix": "/"}, "route": {"cluster": target, "timeout": "60s"}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name, "codec_type": "AUTO",
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}
    return {"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}


class Envoy:
    """Nothing is tried again: what fails is seen."""

    def __init__(self, jobs):
        self.http_port, self.grpc_port, self.admin_port = free_ports(3)
        http2 = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}}
        settings = {
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin_port}}},
            "static_resources": {
                "listeners": [listener("http", self.http_port, "http"), listener("grpc", self.grpc_port, "grpc")],
                "clusters": [
                    cluster("http", [job.http_port for job in jobs], {"http_health_check": {"path": "/readyz", "host": "127.0.0.1"}}),
                    cluster("grpc", [job.grpc_port for job in jobs], {"grpc_health_check": {}},
                            typed_extension_protocol_options=http2)]}}
        file = FOLDER / "envoy.yaml"
        file.write_text(yaml.safe_dump(settings))
        self.log = FOLDER / "envoy.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([ENVOY, "--config-path", file, "--base-id", "77", "--concurrency", "1",
                                             "--log-level", "warning"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def healthy(self):
        """How many of the four addresses it holds for healthy."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/clusters", timeout=5) as answer:
                return answer.read().decode().count("health_flags::healthy")
        except OSError:
            return 0

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Clients:
    """Callers of both kinds until the context ends, and what became of their calls."""

    def __init__(self, envoy):
        self.envoy = envoy
        self.outcomes, self.slowest_s = collections.Counter(), 0.0
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.loop, args=(kind,)) for kind in (self.over_http, self.over_grpc)
                        for _ in range(CALLERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def loop(self, kind):
        call = kind()
        while not self.stop.is_set():
            begin = time.monotonic()
            outcome = (kind.__name__, call())
            with self.lock:
                self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
                self.outcomes[outcome] += 1
            if outcome[1] != "OK":
                time.sleep(0.01)

    def over_http(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.envoy.http_port, timeout=60)
        body = json.dumps({"prompt": "The capital of", "max_tokens": 8, "temperature": 0})

        def call():
            try:
                connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                return "OK" if answer.status == 200 else f"{answer.status} {text[:80]!r}"
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                return repr(error)
        return call

    def over_grpc(self):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        stub = generation_pb2_grpc.GenerationServiceStub(
            grpc.insecure_channel(f"127.0.0.1:{self.envoy.grpc_port}", options=options))
        request = generation_pb2.GenerateRequest(prompt="The capital of")
        request.sampling.temperature = 0
        request.stopping.max_tokens = 8

        def call():
            try:
                parts = [part.WhichOneof("event") for part in stub.Generate(request, timeout=60)]
                return "OK" if parts and parts[-1] == "finished" else f"ended with {parts[-1:]}"
            except grpc.RpcError as error:
                return f"{error.code().name} {error.details()[:80]}"
        return call


class RollingRestart(real_parts.CleanTest):
    def test_no_call_fails_while_both_jobs_are_restarted_one_after_the_other(self):
        jobs = [Job("job-a"), Job("job-b")]
        for job in jobs:
            self.addCleanup(lambda job=job: job.process and job.process.poll() is None and job.stop())
            job.start()
        envoy = Envoy(jobs)
        self.addCleanup(envoy.stop)
        wait_until(lambda: envoy.healthy() == 4, "both jobs are healthy", 20, 0.2)
        begin = time.monotonic()
        with Clients(envoy) as clients:
            time.sleep(1)
            for job in jobs:
                job.stop()
                job.start()
                time.sleep(1.5)
                wait_until(lambda: envoy.healthy() == 4, "both jobs are healthy again", 20, 0.2)
            wait_until(lambda: sum(clients.outcomes.values()) >= CALLS, "enough calls", 300, 0.2)
        seconds = time.monotonic() - begin
        ok = {kind: clients.outcomes[(kind, "OK")] for kind in ("over_http", "over_grpc")}
        failed = {outcome: number for outcome, number in clients.outcomes.items() if outcome[1] != "OK"}
        print(f"    {ok['over_http']} calls over HTTP and {ok['over_grpc']} over gRPC in {seconds:.0f} s, the slowest "
              f"{clients.slowest_s:.2f} s; {sum(failed.values())} failed; --drain-delay={DELAY}")
        self.assertEqual(failed, {})
        for number in ok.values():
            self.assertGreater(number, CALLS / 20)


if __name__ == "__main__":
    if not ENVOY.exists():
        skip(f"there is no {pathlib.Path('build/venv-envoy')}; test.sh --full makes it")
    real_parts.main("mpirun")

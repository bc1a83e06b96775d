# SPDX-License-Identifier: Apache-2.0
"""Traces of a served job, as an OpenTelemetry collector gets them over OTLP/HTTP."""

import http.server
import json
import threading
import unittest

from served_job import ServedJob, wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
QUESTION = [{"role": "user", "content": "What is the capital of Chile?"}]


class Collector:
    """Keeps the spans that it is sent."""

    def __enter__(self):
        self.spans = []
        spans = self.spans

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/traces", self.path
                for resource in body["resourceSpans"]:
                    names = {a["key"]: a["value"]["stringValue"] for a in resource["resource"]["attributes"]}
                    assert names["service.name"] == "sdar", names
                    for scope in resource["scopeSpans"]:
                        spans.extend(scope["spans"])
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def of(self, name):
        return [span for span in self.spans if span["name"] == name]


def attributes(span):
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


class TraceTest(unittest.TestCase):
    def test_a_chat_is_a_trace_below_its_callers(self):
        with Collector() as collector, ServedJob(f"--otlp-endpoint={collector.url}", ranks=2) as job:
            code, text = job.post("/v1/chat/completions", {"messages": QUESTION, "temperature": 0},
                                  {"traceparent": f"00-{TRACE}-{PARENT}-01"})
            self.assertEqual(code, 200, text)
            usage = json.loads(text)["usage"]
            wait_until(lambda: collector.of("generate"), "the spans have come")
            root = collector.of("generate")[0]
            self.assertEqual((root["traceId"], root["parentSpanId"]), (TRACE, PARENT))
            self.assertEqual(attributes(root)["gen_ai.usage.output_tokens"], str(usage["completion_tokens"]))
            self.assertEqual(attributes(root)["sdar.denoising_steps"], str(usage["denoising_steps"]))
            children = [span for span in collector.spans if span.get("parentSpanId") == root["spanId"]]
            self.assertEqual({span["name"] for span in children}, {"queue", "prefill", "block", "delivery"})
            blocks = [span for span in children if span["name"] == "block"]
            self.assertEqual(sum(int(attributes(span)["sdar.tokens"]) for span in blocks), usage["completion_tokens"])
            for span in children:
                self.assertLessEqual(int(root["startTimeUnixNano"]), int(span["startTimeUnixNano"]))
                self.assertLessEqual(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
                self.assertLessEqual(int(span["endTimeUnixNano"]), int(root["endTimeUnixNano"]))

            # Who is not sampled leaves no spans, and who has no trace begins one, which the log names.
            job.post("/v1/completions", {"prompt": "unsampled"}, {"traceparent": f"00-{TRACE}-{PARENT}-00"})
            job.post("/v1/completions", {"prompt": "alone", "max_tokens": 2})
            wait_until(lambda: len(collector.of("generate")) == 2, "the next spans have come")
            alone = collector.of("generate")[1]
            self.assertNotIn("parentSpanId", alone)
            wait_until(lambda: alone["traceId"] in job.read_log(), "the log names the trace")

    def test_a_collector_that_is_away_is_counted_and_nothing_waits(self):
        with ServedJob("--otlp-endpoint=http://127.0.0.1:1") as job:
            self.assertEqual(job.post("/v1/chat/completions", {"messages": QUESTION})[0], 200)
            wait_until(lambda: "sdar_trace_spans_dropped_total{model_name=\"sdar-tiny\"} 0"
                       not in job.get("/metrics")[0], "dropped spans are counted")
            self.assertIn("spans were not taken", job.read_log())


if __name__ == "__main__":
    unittest.main()

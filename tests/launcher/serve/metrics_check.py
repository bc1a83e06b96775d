# SPDX-License-Identifier: Apache-2.0
"""What /metrics of a served job says, read as Prometheus reads it.

metrics_check.py [QUERY...]: serves models/sdar-tiny on two ranks, asks it over HTTP, and checks the scrape
against what was asked. Every metric that the dashboard or a QUERY (PromQL) names must be in it.
"""

import json
import math
import re
import sys

from prometheus_client.parser import text_string_to_metric_families

from served_job import SOURCE, ServedJob, wait_until

AUTOSCALING = SOURCE / "deploy/helm/sdar/templates/autoscaling.yaml"
DASHBOARD = SOURCE / "deploy/helm/sdar/dashboards/sdar.json"
WORDS_OF_PROMQL = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left",
                   "group_right", "inf", "nan"}


class Job(ServedJob):
    """A job on two ranks that logs JSON."""

    def __init__(self):
        super().__init__("--log-format=json", ranks=2)

    def chat(self, question, **fields):
        """The usage of a chat; for one that is refused, the HTTP code."""
        code, text = self.post("/v1/chat/completions",
                               {"messages": [{"role": "user", "content": question}], "temperature": 0, **fields})
        if code != 200:
            return code
        if fields.get("stream"):
            events = [e.removeprefix("data: ") for e in text.split("\n\n") if e]
            assert events[-1] == "[DONE]", text
            return json.loads(events[-2])["usage"]
        return json.loads(text)["usage"]


class Scrape:
    """A parsed answer of /metrics."""

    def __init__(self, text):
        check_lines(text)
        self.families = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.families, f"{family.name} comes twice"
            self.families[family.name] = family
        self.samples = {}
        for family in self.families.values():
            assert family.documentation, f"{family.name} has no HELP"
            assert family.type in ("counter", "gauge", "histogram"), f"{family.name} is of type {family.type}"
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in self.samples, f"{key} comes twice"
                assert "model_name" in sample.labels or sample.name.startswith("process_"), f"{key} names no model"
                assert math.isfinite(sample.value) and sample.value >= 0, f"{key} is {sample.value}"
                self.samples[key] = sample.value
            if family.type == "histogram":
                check_histogram(family)

    def names(self):
        return {name for name, _ in self.samples}

    def sum(self, name, **labels):
        """Of all series of this name with these labels; there must be one."""
        found = [value for (n, series), value in self.samples.items()
                 if n == name and labels.items() <= dict(series).items()]
        assert found, f"no {name} with {labels}"
        return sum(found)


def check_lines(text):
    """What the parser forgives: one HELP and TYPE each, in front of the samples they are for."""
    assert text.endswith("\n")
    seen = set()
    current = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            assert current not in seen, f"HELP of {current} comes twice"
            seen.add(current)
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == current, f"TYPE without HELP: {line}"
        else:
            name = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line).group()
            assert name == current or re.fullmatch(re.escape(current) + "_(bucket|sum|count)", name), line


def check_histogram(family):
    by_series = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        bound = labels.pop("le", None)
        series = by_series.setdefault(tuple(sorted(labels.items())), {"buckets": []})
        if bound is None:
            series[sample.name.removeprefix(family.name)] = sample.value
        else:
            series["buckets"].append((float(bound), sample.value))
    for labels, series in by_series.items():
        bounds = [bound for bound, _ in series["buckets"]]
        counts = [count for _, count in series["buckets"]]
        where = f"{family.name}{dict(labels)}"
        assert bounds == sorted(set(bounds)) and bounds[-1] == math.inf, f"{where}: bounds {bounds}"
        assert counts == sorted(counts), f"{where}: counts {counts}"
        assert counts[-1] == series["_count"], f"{where}: +Inf is {counts[-1]}, count is {series['_count']}"
        assert series["_sum"] >= 0, where


def metrics_of(query):
    """The names of the series that a PromQL expression asks for."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\b\d[\w.]*", " ", bare)
    names = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()", bare)
    return {name for name in names if name.lower() not in WORDS_OF_PROMQL}


def dashboard_queries(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "expr":
                yield value
            else:
                yield from dashboard_queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from dashboard_queries(value)


def metrics_in_template(text):
    """What a chart's template names; at least one metric."""
    names = re.findall(r"\b(?:sdar_|vllm:)\w+", text)
    assert names, "the template names no metric"
    return names


def check_queries(scrape, queries):
    for query in queries:
        names = metrics_of(query)
        assert names, f"no metric in: {query}"
        missing = names - scrape.names()
        assert not missing, f"{sorted(missing)} are not in the scrape: {query}"


def check_asked(scrape, usages, refused):
    prompts = sum(usage["prompt_tokens"] for usage in usages)
    generated = sum(usage["completion_tokens"] for usage in usages)
    calls = len(usages)
    for prefix, requests in (("sdar_", "sdar_requests_total"), ("vllm:", "vllm:request_success_total")):
        assert scrape.sum(prefix + "prompt_tokens_total") == prompts
        assert scrape.sum(prefix + "generation_tokens_total") == generated
        ended = [scrape.sum(requests, finished_reason=reason) for reason in ("stop", "length")]
        assert sum(ended) == calls and ended[1] == 1, ended
        for histogram in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
                          "request_prompt_tokens", "request_generation_tokens"):
            assert scrape.sum(prefix + histogram + "_count") == calls, histogram
        assert scrape.sum(prefix + "request_prompt_tokens_sum") == prompts
        assert scrape.sum(prefix + "request_generation_tokens_sum") == generated
    assert scrape.sum("sdar_tokens_per_forward_pass_count") == calls
    assert scrape.sum("sdar_requests_refused_total", code="INVALID_ARGUMENT") == refused
    assert scrape.sum("sdar_requests_refused_total") == refused


def check_engine(scrape):
    """What holds of an engine that has nothing to do, after requests that none cancelled."""
    assert scrape.sum("sdar_requests_waiting") == 0
    assert scrape.sum("sdar_kv_usage_ratio") == 0
    assert scrape.sum("sdar_kv_pages", state="used") == 0 < scrape.sum("sdar_kv_pages", state="total")
    assert scrape.sum("sdar_blocks_total") == scrape.sum("sdar_denoising_steps_per_block_count") > 0
    assert scrape.sum("sdar_denoising_steps_total") == scrape.sum("sdar_denoising_steps_per_block_sum")
    assert scrape.sum("sdar_denoising_steps_total") == scrape.sum("sdar_reveals_per_step_count")
    assert scrape.sum("sdar_revealed_tokens_total") >= scrape.sum("sdar_generation_tokens_total")
    assert scrape.sum("sdar_steps_total") > scrape.sum("sdar_forward_passes_total") > 0
    assert scrape.sum("sdar_prefix_cache_queries_total") > 0
    for rank in ("0", "1"):
        assert scrape.sum("sdar_rank_heartbeat_age_seconds", rank=rank) < 5
    assert scrape.sum("sdar_info", ranks="2", dtype="bfloat16") == 1
    assert scrape.sum("sdar_healthy") == 1
    for phase in ("checkpoint", "weights", "model", "text"):
        assert scrape.sum("sdar_load_phase_seconds", phase=phase) <= scrape.sum("sdar_load_phase_seconds", phase="ready")


def check_counters_grow(before, after):
    for key, value in before.samples.items():
        if key[0].endswith(("_total", "_bucket", "_count", "_sum")):
            assert after.samples[key] >= value, f"{key} went from {value} to {after.samples[key]}"


def check_log(log):
    lines = [json.loads(line) for line in log.splitlines()]
    finished = [line for line in lines if line["message"] == "request finished"]
    assert {"time", "level", "rank", "host"} <= lines[0].keys(), lines[0]
    assert not re.search("Chile|Santiago", log), "the log repeats what was asked or answered"
    return finished


def main(queries):
    with Job() as job:
        first = Scrape(job.get("/metrics")[0])
        queries += dashboard_queries(json.loads(DASHBOARD.read_text()))
        queries += metrics_in_template(AUTOSCALING.read_text())
        check_queries(first, queries)
        # The job has warmed up, and counts no call for it.
        assert first.sum("sdar_load_phase_seconds", phase="warm_up") > 0 < first.sum("sdar_forward_passes_total")
        assert first.sum("sdar_requests_total") == first.sum("sdar_generation_tokens_total") == 0

        question = "What is the capital of Chile?"
        usages = [job.chat(question), job.chat(question, stream=True, stream_options={"include_usage": True}),
                  job.chat("Compute 11 + 16.", n=2, temperature=1, seed=1),
                  job.chat(question, max_tokens=3, ignore_eos=True)]
        assert job.chat(question, temperature=-1) == 400
        wait_until(lambda: Scrape(job.get("/metrics")[0]).sum("sdar_requests_running") == 0, "nothing runs")
        text, headers = job.get("/metrics")
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", headers
        scrape = Scrape(text)
        check_asked(scrape, usages, refused=1)
        check_engine(scrape)
        check_counters_grow(first, scrape)
        wait_until(lambda: len(check_log(job.read_log())) == len(usages), "every request is logged")
        print(f"{len(scrape.families)} families, {len(scrape.samples)} samples, {len(queries)} queries")


if __name__ == "__main__":
    main(sys.argv[1:])

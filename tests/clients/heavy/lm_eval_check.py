# SPDX-License-Identifier: Apache-2.0
"""lm-eval's local-completions, unchanged, on the tasks of lm_eval_task."""

import json
import pathlib
import shutil
import tempfile
import unittest

from chat_job import CHAT_MODEL, NAME, ChatJobTest
from program import run_program

FOLDER = pathlib.Path(__file__).resolve().parent / "lm_eval_task"
TASKS = ["sdar_choices", "sdar_generation", "sdar_rolling"]
PREFIX = "<|endoftext|>"  # what lm-eval puts before a text without a context


class LmEvalTest(ChatJobTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        scratch = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="sdar-lm-eval-")))
        arguments = {"model": NAME, "base_url": f"{cls.url}/v1/completions", "tokenizer_backend": "huggingface",
                     "tokenizer": CHAT_MODEL}
        shutil.copytree(FOLDER, scratch / "tasks")
        run_program(["lm_eval", "--model", "local-completions", "--include_path", ".", "--batch_size", 8,
                     "--model_args", ",".join(f"{name}={value}" for name, value in arguments.items()),
                     "--tasks", ",".join(TASKS), "--log_samples", "--output_path", scratch / "out"], scratch / "tasks")
        (results,) = (scratch / "out").rglob("results_*.json")
        cls.results = json.loads(results.read_text())["results"]
        cls.samples = {}
        for task in TASKS:
            (samples,) = (scratch / "out").rglob(f"samples_{task}_*.jsonl")
            cls.samples[task] = [json.loads(line) for line in samples.read_text().splitlines()]

    def post(self, path, body):
        code, text = self.job.post(path, body)
        self.assertEqual(code, 200, text)
        return json.loads(text)

    def tokens(self, text):
        return self.post("/tokenize", {"prompt": text})["tokens"]

    def score(self, context, text):
        """The likelihood of a text after a context, and whether greedy decoding would write it."""
        given = self.tokens(context)
        answer = self.post("/v1/score", {"prompt": given, "ids": self.tokens(context + text)[len(given):]})
        return answer["sum"], all(answer["greedy"])

    def test_the_likelihoods_of_choices_are_those_of_the_score_api(self):
        self.assertEqual(len(self.samples["sdar_choices"]), 10)
        for sample in self.samples["sdar_choices"]:
            for arguments, (response,) in zip(sample["arguments"].values(), sample["resps"], strict=True):
                with self.subTest(arguments):
                    likelihood, greedy = self.score(arguments["arg_0"], arguments["arg_1"])
                    self.assertAlmostEqual(float(response[0]), likelihood, places=5)
                    self.assertEqual(response[1], str(greedy))

    def test_the_likelihoods_of_whole_texts_are_those_of_the_score_api(self):
        self.assertEqual(len(self.samples["sdar_rolling"]), 5)
        for sample in self.samples["sdar_rolling"]:
            with self.subTest(sample["target"]):
                likelihood, _ = self.score(PREFIX, sample["target"])
                self.assertAlmostEqual(float(sample["resps"][0][0]), likelihood, places=5)

    def test_what_the_model_knows_is_scored_and_written_right(self):
        self.assertEqual(self.results["sdar_choices"]["acc,none"], 1)
        self.assertEqual(self.results["sdar_generation"]["exact_match,none"], 1)


if __name__ == "__main__":
    unittest.main()

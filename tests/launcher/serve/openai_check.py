# SPDX-License-Identifier: Apache-2.0
"""The openai package, unchanged, against a job on two ranks."""

import concurrent.futures
import json
import pathlib
import tempfile
import unittest

import openai

from served_job import MODEL, ServedJob

QUESTION = [{"role": "user", "content": "What is the capital of Chile?"}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city.",
                                         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}


# The model's own template knows no tools.
TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}{{ call.function.arguments | tojson }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def model_with_tools(folder):
    """The model with TEMPLATE for its chats."""
    for file in MODEL.iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((MODEL / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": TEMPLATE}))
    return folder


class OpenAiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="sdar-openai-")
        model = model_with_tools(pathlib.Path(cls.scratch.name))
        cls.job = ServedJob("--served-model-name=tiny,sdar", ranks=2, model=model)
        cls.job.__enter__()
        cls.client = openai.OpenAI(base_url=f"http://{cls.job.http_address}/v1", api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.job.__exit__()
        cls.scratch.cleanup()

    def chat(self, **fields):
        return self.client.chat.completions.create(
            **{"model": "tiny", "messages": QUESTION, "temperature": 0, **fields})

    def test_models_have_the_names_they_are_served_under(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["tiny", "sdar"])

    def test_a_chat_is_answered(self):
        answer = self.chat()
        self.assertIn("Santiago", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_a_stream_brings_the_same_text_and_at_its_end_the_usage(self):
        whole = self.chat()
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)

    def test_a_stream_that_is_closed_early_frees_its_place(self):
        stream = self.chat(stream=True, max_tokens=1900, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        self.assertIn("Santiago", self.chat().choices[0].message.content)

    def test_tools_reach_the_prompt(self):
        plain, tooled = self.chat(max_tokens=1), self.chat(max_tokens=1, tools=[TOOL])
        self.assertGreater(tooled.usage.prompt_tokens, plain.usage.prompt_tokens)
        history = [*QUESTION,
                   {"role": "assistant", "content": None, "tool_calls": [
                       {"id": "call-1", "type": "function", "function": {"name": "weather",
                                                                         "arguments": '{"city": "Santiago"}'}}]},
                   {"role": "tool", "tool_call_id": "call-1", "content": "sunny"}]
        answered = self.chat(max_tokens=1, tools=[TOOL], messages=history)
        self.assertGreater(answered.usage.prompt_tokens, tooled.usage.prompt_tokens)

    def test_logprobs_are_there_for_every_token(self):
        answer = self.chat(logprobs=True, top_logprobs=3)
        tokens = answer.choices[0].logprobs.content
        self.assertEqual("".join(token.token for token in tokens), answer.choices[0].message.content)
        for token in tokens:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.top_logprobs[0].logprob, max(top.logprob for top in token.top_logprobs))

    def test_n_samples_differ_and_repeat_for_a_seed(self):
        fields = {"n": 4, "seed": 7, "temperature": 2, "max_tokens": 16,
                  "messages": [{"role": "user", "content": "Zebras, xylophones and 7 umbrellas?"}]}
        first, second = self.chat(**fields), self.chat(**fields)
        texts = [choice.message.content for choice in first.choices]
        self.assertEqual([choice.index for choice in first.choices], [0, 1, 2, 3])
        self.assertEqual(texts, [choice.message.content for choice in second.choices])
        self.assertGreater(len(set(texts)), 1)

    def test_stop_strings_end_a_text_and_are_not_in_it(self):
        answer = self.chat(stop=["Santiago"])
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertNotIn("Santiago", answer.choices[0].message.content)
        self.assertEqual(self.chat(max_tokens=2).choices[0].finish_reason, "length")

    def test_completions_go_on_from_a_prompt(self):
        fields = {"model": "tiny", "prompt": "The capital of", "max_tokens": 8, "temperature": 0,
                  "extra_body": {"ignore_eos": True}}
        answer = self.client.completions.create(**fields)
        self.assertEqual(answer.usage.completion_tokens, 8)
        chunks = self.client.completions.create(**fields, stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), answer.choices[0].text)

    def test_the_fields_of_diffusion_go_in_the_extra_body(self):
        answer = self.chat(extra_body={"block_length": 4, "denoising_steps": 2,
                                       "remasking_strategy": "low_confidence_static"})
        self.assertTrue(answer.choices[0].message.content)

    def test_errors_are_of_the_kinds_that_the_package_knows(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "strung"}}})
        self.assertIn("response_format", str(caught.exception))
        with self.assertRaises(openai.BadRequestError):
            self.chat(temperature=-1)
        with self.assertRaises(openai.BadRequestError):
            self.chat(messages=[])
        with self.assertRaises(openai.NotFoundError):
            self.chat(model="another")

    def test_a_prompt_that_is_too_long_is_told_so_in_the_words_that_agents_know(self):
        for words in (3000, 200_000):
            with self.assertRaises(openai.BadRequestError) as caught:
                self.chat(messages=[{"role": "user", "content": "word " * words}])
            self.assertEqual(caught.exception.code, "context_length_exceeded")
            self.assertRegex(str(caught.exception), r"maximum context length is \d+ tokens")
            self.assertNotIn("max_tokens", str(caught.exception))
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(max_tokens=1_000_000)
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        self.assertIn("max_tokens is 1000000", str(caught.exception))

    def test_developers_speak_as_the_system_and_unknown_roles_are_named(self):
        as_developer, as_system = (self.chat(messages=[{"role": role, "content": "Be brief."}, *QUESTION])
                                   for role in ("developer", "system"))
        self.assertEqual(as_developer.usage.prompt_tokens, as_system.usage.prompt_tokens)
        self.assertEqual(as_developer.choices[0].message.content, as_system.choices[0].message.content)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(messages=[{"role": "critic", "content": "No."}])
        self.assertIn("'critic'", str(caught.exception))

    def test_many_clients_get_what_one_gets(self):
        alone = self.chat().choices[0].message.content
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            texts = list(pool.map(lambda _: self.chat().choices[0].message.content, range(32)))
        self.assertEqual(set(texts), {alone})


class FullQueueTest(unittest.TestCase):
    def test_a_full_queue_is_a_rate_limit_with_a_time_to_wait(self):
        with ServedJob("--max-sequences=1", "--max-waiting=1") as job, \
                openai.OpenAI(base_url=f"http://{job.http_address}/v1", api_key="none", max_retries=0) as client:
            def chat(**fields):
                return client.chat.completions.create(model="sdar-tiny", messages=QUESTION, **fields)

            def outcome(_):
                try:
                    chat()
                    return "answered"
                except openai.RateLimitError as error:
                    return int(error.response.headers["retry-after"])
            # One that has the only slot until it is left: a position a step, in large blocks.
            slow = chat(stream=True, max_tokens=1900,
                        extra_body={"ignore_eos": True, "block_length": 64, "drafts": 0,
                                    "remasking_strategy": "sequential"})
            next(iter(slow))
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                calls = [pool.submit(outcome, i) for i in range(8)]
                refused = next(call for call in concurrent.futures.as_completed(calls) if call.result() != "answered")
                slow.close()
            self.assertGreaterEqual(refused.result(), 1)
            self.assertIn("answered", [call.result() for call in calls])


class HubNameTest(unittest.TestCase):
    def test_a_model_of_the_cache_is_served_under_its_name(self):
        with tempfile.TemporaryDirectory(prefix="sdar-cache-") as cache:
            repository = pathlib.Path(cache) / "models--JetLM--SDAR-Tiny-b32"
            snapshot = repository / "snapshots/0123abcd"
            snapshot.mkdir(parents=True)
            (repository / "refs").mkdir()
            (repository / "refs/main").write_text("0123abcd")
            for file in MODEL.iterdir():
                (snapshot / file.name).symlink_to(file)
            config = json.loads((MODEL / "config.json").read_text())
            del config["block_size"]
            (snapshot / "config.json").unlink()
            (snapshot / "config.json").write_text(json.dumps(config))
            with ServedJob(model="JetLM/SDAR-Tiny-b32", under=["env", f"HF_HUB_CACHE={cache}"]) as job:
                models = json.loads(job.get("/v1/models")[0])["data"]
                self.assertEqual([model["id"] for model in models], ["JetLM/SDAR-Tiny-b32", "SDAR-Tiny-b32"])
                for name in ("JetLM/SDAR-Tiny-b32", "SDAR-Tiny-b32"):
                    code, text = job.post("/v1/chat/completions",
                                          {"model": name, "messages": QUESTION, "max_tokens": 4})
                    self.assertEqual(code, 200, text)


if __name__ == "__main__":
    unittest.main()

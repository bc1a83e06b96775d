# SPDX-License-Identifier: Apache-2.0
"""The newest openai package, unchanged."""

import asyncio
import json
import unittest

import openai
import pydantic

from chat_job import (ANSWER, NAME, OTHERS, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_PARAMETERS, WEATHER_QUESTION,
                      ChatJobTest)

MESSAGES = [{"role": "user", "content": QUESTION}]
PROMPTS = ["The capital of", "Count from 2 to"]
TOOL = {"name": "get_weather", "description": "The weather of a city.", "parameters": WEATHER_PARAMETERS}


class Person(pydantic.BaseModel):
    name: str
    age: int


class OpenAiTest(ChatJobTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settings = {"base_url": f"{cls.url}/v1", "api_key": "none"}
        cls.client = cls.enterClassContext(openai.OpenAI(**cls.settings))


class ChatsAndCompletionsTest(OpenAiTest):
    def test_models_are_listed_and_retrieved_by_name(self):
        self.assertEqual([model.id for model in self.client.models.list()], [NAME])
        self.assertEqual(self.client.models.retrieve(NAME).id, NAME)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("another")

    def chat(self, **fields):
        return self.client.chat.completions.create(**{"model": NAME, "messages": MESSAGES, **fields})

    def test_a_chat_is_answered(self):
        answer = self.chat()
        self.assertEqual(answer.choices[0].message.content, ANSWER)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_a_stream_brings_the_text_in_parts_and_then_the_usage(self):
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        parts = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
        self.assertEqual("".join(parts), ANSWER)
        self.assertGreater(len(parts), 1)
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_the_stream_of_the_package_collects_the_answer(self):
        with self.client.chat.completions.stream(model=NAME, messages=MESSAGES) as stream:
            events = [event.type for event in stream]
            answer = stream.get_final_completion()
        self.assertIn("content.delta", events)
        self.assertEqual(answer.choices[0].message.content, ANSWER)

    def test_async_calls_are_answered_together(self):
        async def ask_all():
            async with openai.AsyncOpenAI(**self.settings) as client:
                return await asyncio.gather(*(
                    client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": question}])
                    for question in OTHERS))
        answers = asyncio.run(ask_all())
        self.assertEqual([answer.choices[0].message.content for answer in answers], list(OTHERS.values()))

    def test_an_async_stream_brings_the_text(self):
        async def ask():
            async with openai.AsyncOpenAI(**self.settings) as client:
                stream = await client.chat.completions.create(model=NAME, messages=MESSAGES, stream=True)
                return [chunk.choices[0].delta.content or "" async for chunk in stream]
        self.assertEqual("".join(asyncio.run(ask())), ANSWER)

    def test_logprobs_are_those_of_the_text(self):
        tokens = self.chat(logprobs=True, top_logprobs=2).choices[0].logprobs.content
        self.assertEqual("".join(token.token for token in tokens), ANSWER)
        for token in tokens:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(token.logprob, token.top_logprobs[0].logprob)

    def test_a_tool_is_called_and_its_result_is_told(self):
        fields = {"messages": [{"role": "user", "content": WEATHER_QUESTION}],
                  "tools": [{"type": "function", "function": TOOL}]}
        called = self.chat(**fields)
        self.assertEqual(called.choices[0].finish_reason, "tool_calls")
        (call,) = called.choices[0].message.tool_calls
        self.assertEqual((call.function.name, json.loads(call.function.arguments)), ("get_weather", {"city": "Lima"}))
        fields["messages"] += [called.choices[0].message,
                               {"role": "tool", "tool_call_id": call.id, "content": WEATHER}]
        self.assertEqual(self.chat(**fields).choices[0].message.content, WEATHER_ANSWER)

    def test_an_answer_is_parsed_into_a_type(self):
        answer = self.client.chat.completions.parse(model=NAME, messages=MESSAGES, response_format=Person, max_tokens=200)
        self.assertIsInstance(answer.choices[0].message.parsed, Person)
        answer = self.client.responses.parse(model=NAME, input=QUESTION, text_format=Person, max_output_tokens=200)
        self.assertIsInstance(answer.output_parsed, Person)

    def test_a_tool_that_must_be_called_is_called(self):
        for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
            answer = self.chat(messages=[{"role": "user", "content": QUESTION}], max_tokens=100, tool_choice=choice,
                               tools=[{"type": "function", "function": TOOL}])
            for call in answer.choices[0].message.tool_calls:
                self.assertEqual(call.function.name, "get_weather")
                self.assertIsInstance(json.loads(call.function.arguments), dict)

    def test_errors_are_of_the_kinds_that_the_package_knows(self):
        for fields in ({"temperature": -1}, {"messages": []},
                       {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "strung"}}}}):
            with self.subTest(fields), self.assertRaises(openai.BadRequestError) as caught:
                self.chat(**fields)
            self.assertEqual(caught.exception.type, "invalid_request_error")
            self.assertEqual(caught.exception.param, next(iter(fields)))
        with self.assertRaises(openai.NotFoundError):
            self.chat(model="another")

    def complete(self, **fields):
        return self.client.completions.create(**{"model": NAME, "prompt": PROMPTS, "max_tokens": 6, **fields})

    def test_a_list_of_prompts_is_answered_in_its_order(self):
        alone = [self.complete(prompt=prompt).choices[0].text for prompt in PROMPTS]
        answer = self.complete()
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])
        self.assertEqual([choice.text for choice in answer.choices], alone)

    def test_the_streams_of_a_list_are_told_apart(self):
        texts = ["", ""]
        for chunk in self.complete(stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.text
        self.assertEqual(texts, [choice.text for choice in self.complete().choices])

    def test_an_echo_with_logprobs_scores_the_prompt(self):
        prompt = PROMPTS[0]
        choice = self.complete(prompt=prompt, max_tokens=0, echo=True, logprobs=1).choices[0]
        self.assertEqual(choice.text, prompt)
        self.assertEqual("".join(choice.logprobs.tokens), prompt)
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        self.assertTrue(all(logprob < 0 for logprob in choice.logprobs.token_logprobs[1:]))

    def test_an_echo_with_one_token_has_it_even_where_the_answer_is_over(self):
        prompt = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n{ANSWER}"
        choice = self.complete(prompt=prompt, max_tokens=1, echo=True, logprobs=1).choices[0]
        self.assertEqual("".join(choice.logprobs.tokens), f"{prompt}<|im_end|>")
        self.assertEqual(choice.text, prompt)


class ResponsesTest(OpenAiTest):
    TOOLS = [{"type": "function", **TOOL}]

    def respond(self, **fields):
        return self.client.responses.create(**{"model": NAME, "input": QUESTION, **fields})

    def test_a_response_is_created(self):
        answer = self.respond()
        self.assertEqual((answer.status, answer.output_text), ("completed", ANSWER))
        self.assertEqual(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens)

    def test_a_stream_has_the_events_of_the_api(self):
        events = list(self.respond(stream=True))
        self.assertEqual(events[0].type, "response.created")
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual("".join(deltas), ANSWER)
        self.assertEqual(events[-1].type, "response.completed")
        self.assertEqual(events[-1].response.output_text, ANSWER)

    def test_the_stream_of_the_package_collects_the_response(self):
        with self.client.responses.stream(model=NAME, input=QUESTION) as stream:
            stream.until_done()
            self.assertEqual(stream.get_final_response().output_text, ANSWER)

    def test_a_tool_is_called_and_its_output_is_told(self):
        history = [{"role": "user", "content": WEATHER_QUESTION}]
        called = self.respond(input=history, tools=self.TOOLS)
        (call,) = [item for item in called.output if item.type == "function_call"]
        self.assertEqual((call.name, json.loads(call.arguments)), ("get_weather", {"city": "Lima"}))
        history += [*called.output, {"type": "function_call_output", "call_id": call.call_id, "output": WEATHER}]
        self.assertEqual(self.respond(input=history, tools=self.TOOLS).output_text, WEATHER_ANSWER)

    def test_a_call_arrives_in_a_stream_too(self):
        events = list(self.respond(input=WEATHER_QUESTION, tools=self.TOOLS, stream=True))
        deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
        (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
        self.assertEqual("".join(deltas), done.arguments)
        self.assertEqual(json.loads(done.arguments), {"city": "Lima"})

    def test_a_stored_response_is_refused_by_name(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.respond(previous_response_id="resp_1")
        self.assertEqual(caught.exception.param, "previous_response_id")


if __name__ == "__main__":
    unittest.main()

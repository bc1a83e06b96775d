# SPDX-License-Identifier: Apache-2.0
"""SamplingParams and results, compared with the fields of the .proto."""

import dataclasses
import unittest

import sdar
from fake_server import finished, serving
from sdar import _requests
from sdar.v1 import generation_pb2 as pb

GROUPS = ("sampling", "stopping", "output", "scheduling")
# Another value than that of any other field where it can be, and than what absence gives.
SPECIAL = {"remasking_strategy": "entropy_bounded", "logit_bias": {5: -1.5}, "stop": ["a", "b"],
           "stop_token_ids": [3, 4], "structure": {"regex": "[ab]+"}}


def group_fields():
    """(group, field descriptor) of all fields that say how to decode."""
    for group in GROUPS:
        for field in pb.GenerateRequest.DESCRIPTOR.fields_by_name[group].message_type.fields:
            yield group, field


def value_of(number, field):
    if field.name in SPECIAL:
        return SPECIAL[field.name]
    if field.cpp_type == field.CPPTYPE_BOOL:
        return True
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return number + 0.5
    return number + 1


class ParamsTest(unittest.TestCase):
    def test_every_field_of_the_proto_reaches_the_server_and_no_other_is_there(self):
        values = {field.name: value_of(number, field) for number, (_, field) in enumerate(group_fields())}
        self.assertEqual(set(values), {field.name for field in dataclasses.fields(sdar.SamplingParams)})
        with serving([finished()]) as (fake, address), sdar.Client(address) as client:
            client.generate("a", sdar.SamplingParams(**values)).collect()
        (request,) = fake.requests
        for group, field in group_fields():
            with self.subTest(field.name):
                got = getattr(getattr(request, group), field.name)
                if field.name == "remasking_strategy":
                    self.assertEqual(got, pb.ENTROPY_BOUNDED)
                elif field.name == "structure":
                    self.assertEqual(got, pb.Structure(regex="[ab]+"))
                elif field.name == "logit_bias":
                    self.assertEqual(dict(got), values[field.name])
                elif isinstance(values[field.name], list):
                    self.assertEqual(list(got), values[field.name])
                else:
                    self.assertEqual(got, values[field.name])

    def test_what_is_left_out_is_absent_in_the_request(self):
        request = _requests.generate_request("a", sdar.SamplingParams())
        for group in GROUPS:
            self.assertEqual(getattr(request, group).ListFields(), [], group)

    def test_jetengines_names_are_names_of_the_same_fields(self):
        params = sdar.SamplingParams(topk=5, topp=0.5, dynamic_threshold=0.7, eb_threshold=0.2, stop_words=[1])
        self.assertEqual((params.top_k, params.top_p, params.confidence_threshold, params.entropy_bound,
                          params.stop_token_ids), (5, 0.5, 0.7, 0.2, [1]))
        params.topk = 6
        self.assertEqual((params.topk, params.top_k), (6, 6))
        self.assertEqual(dataclasses.replace(params, top_k=7).topk, 7)

    def test_a_field_under_both_names_is_refused(self):
        with self.assertRaisesRegex(sdar.InvalidRequest, "top_k: expected one of top_k and topk, got both"):
            sdar.SamplingParams(top_k=1, topk=1)

    def test_stop_words_that_jetengine_would_drop_are_refused(self):
        with self.assertRaisesRegex(sdar.InvalidRequest, "stop_words: "):
            sdar.SamplingParams(stop_words=[1], ignore_eos=True)

    def test_what_does_not_fit_a_field_is_refused_by_its_name(self):
        for values, message in [
            ({"top_k": -1}, r"top_k: expected an integer 0 \.\. 4294967295, got -1"),
            ({"max_tokens": 1.5}, r"max_tokens: expected an integer 0 \.\. 4294967295, got 1\.5"),
            ({"n": True}, "n: expected an integer"),
            ({"seed": 2**64}, "seed: expected an integer"),
            ({"temperature": "hot"}, "temperature: expected a number, got 'hot'"),
            ({"ignore_eos": 1}, "ignore_eos: expected True or False, got 1"),
            ({"remasking_strategy": "random"}, "remasking_strategy: expected one of sequential, low_confidence_static, "
             "low_confidence_dynamic, entropy_bounded, got 'random'"),
            ({"drafts": "many"}, "drafts: expected 'auto', 'off' or"),
            ({"stop_token_ids": [1, -2]}, r"stop_token_ids\[1\]: expected an integer"),
            ({"stop": [1]}, "stop: expected a string, got 1"),
            ({"logit_bias": [1]}, "logit_bias: expected a mapping"),
        ]:
            with self.subTest(values), self.assertRaisesRegex(sdar.InvalidRequest, message):
                _requests.generate_request("a", sdar.SamplingParams(**values))

    def test_drafts_have_words(self):
        for word, number in [("auto", -1), ("off", 0), (3, 3)]:
            request = _requests.generate_request("a", sdar.SamplingParams(drafts=word))
            self.assertEqual(request.scheduling.drafts, number)


class PromptTest(unittest.TestCase):
    def test_text_ids_and_chats_are_told_apart(self):
        self.assertEqual(_requests.generate_request("a", None).WhichOneof("input"), "prompt")
        self.assertEqual(_requests.generate_request([1, 2], None).prompt_ids.ids, [1, 2])
        self.assertEqual(_requests.generate_request((), None).WhichOneof("input"), "prompt_ids")
        chat = _requests.generate_request([{"role": "user", "content": "a"}], None).chat
        self.assertEqual((chat.messages[0].role, chat.messages[0].content), ("user", "a"))

    def test_a_message_carries_reasoning_and_tool_calls(self):
        message = {"role": "assistant", "content": None, "reasoning_content": "r", "tool_calls": [{"id": "1"}]}
        (got,) = _requests.generate_request([message], None, tools=[{"type": "function"}]).chat.messages
        self.assertEqual((got.content, got.reasoning_content, got.tool_calls_json), ("", "r", '[{"id": "1"}]'))

    def test_what_is_no_prompt_is_refused(self):
        for prompt, message in [
            (None, "prompt: expected token ids, got None"),
            (b"a", "prompt: expected token ids"),
            ([1, "a"], r"prompt\[1\]: expected an integer"),
            ("\ud800", "prompt: half of a surrogate pair at character 0"),
            ([{"role": "user", "name": "x"}], r"messages\[0\]: expected role, content, .*, got 'name'"),
            ([{"role": "user", "content": [{"type": "text"}]}], r"messages\[0\]\.content: expected a string"),
        ]:
            with self.subTest(prompt), self.assertRaisesRegex(sdar.InvalidRequest, message):
                _requests.generate_request(prompt, None)

    def test_every_option_of_a_chat_is_sent(self):
        request = _requests.tokenize_request([{"role": "user", "content": "a"}], tools=[{"type": "function"}],
                                             enable_thinking=False, add_generation_prompt=False, chat_template="rag")
        self.assertEqual({field.name for field, _ in request.chat.ListFields()},
                         {field.name for field in pb.Chat.DESCRIPTOR.fields})
        self.assertEqual(request.chat.chat_template, "rag")

    def test_options_of_a_chat_need_a_chat(self):
        with self.assertRaisesRegex(sdar.InvalidRequest, "enable_thinking: only a chat"):
            _requests.tokenize_request("a", enable_thinking=True)


class ResultsTest(unittest.TestCase):
    """A field that the .proto gets must get a name in Python."""

    def check(self, kind, message, other_names=(), own_names=()):
        fields = {field.name for field in dataclasses.fields(kind)}
        sent = {field.name for field in message.DESCRIPTOR.fields}
        self.assertEqual(fields - set(own_names), sent - set(other_names))

    def test_every_field_of_an_answer_is_in_its_result(self):
        stops = ("stop_token_id", "stop_string")
        self.check(sdar.Delta, pb.Delta, own_names=("request_id",))
        self.check(sdar.Provisional, pb.Provisional, own_names=("request_id",))
        self.check(sdar.Finished, pb.Finished, stops, ("request_id", "stop_reason"))
        self.check(sdar.Position, pb.Provisional.Position)
        self.check(sdar.TokenLogprob, pb.TokenLogprob)
        self.check(sdar.Usage, pb.Usage)
        self.check(sdar.Tokens, pb.TokenizeResponse)
        self.check(sdar.Score, pb.ScoreResponse)
        self.check(sdar.ModelInfo, pb.GetModelInfoResponse)
        self.check(sdar.Status, pb.GetStatusResponse)
        self.check(sdar.ReplicaStatus, pb.GetStatusResponse.Replica)

    def test_every_event_and_every_method_is_known(self):
        self.assertEqual({field.name for field in pb.GenerateResponse.DESCRIPTOR.oneofs_by_name["event"].fields},
                         {"delta", "provisional", "finished"})
        methods = {method.name for method in pb.DESCRIPTOR.services_by_name["GenerationService"].methods}
        self.assertEqual(methods, {"Generate", "Score", "Abort", "Tokenize", "Detokenize", "GetModelInfo", "GetStatus"})

# SPDX-License-Identifier: Apache-2.0
"""The client for threads, against a served model and against a server that answers what a test says."""

import os
import pathlib
import signal
import tempfile
import threading
import time
import unittest

import grpc

import sdar
from fake_server import Failure, delta, finished, serving
from sdar.v1 import generation_pb2 as pb
from served_job import ServedJob, wait_until
from tls_files import Authority

CHILE = [{"role": "user", "content": "What is the capital of Chile?"}]
GREEDY = sdar.SamplingParams(temperature=0, max_tokens=16)
# 2000 steps, of which a test that ends it early waits for none.
LONG = sdar.SamplingParams(temperature=0, max_tokens=2000, ignore_eos=True, drafts="off",
                           remasking_strategy="sequential")
TOKEN = "a-token-for-this-test"


class ServedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = cls.enterClassContext(ServedJob())
        cls.client = cls.enterClassContext(sdar.Client(cls.job.grpc_address, timeout=60))

    def test_a_chat_is_answered_event_by_event(self):
        params = sdar.SamplingParams(temperature=0, logprobs=2, provisional=True, remasking_strategy="sequential")
        events = list(self.client.chat(CHILE, params, request_id="by-event"))
        deltas = [event for event in events if isinstance(event, sdar.Delta)]
        self.assertIn("Santiago", "".join(one.text for one in deltas))
        for one in deltas:
            self.assertEqual([len(one.token_ids)] * 4,
                             [len(one.logprobs), len(one.entropies), len(one.steps), len(one.top)])
            for choices in one.top:
                self.assertEqual(len(choices), 2)
                self.assertGreaterEqual(choices[0].logprob, choices[1].logprob)
        blocks = [event for event in events if isinstance(event, sdar.Provisional)]
        self.assertTrue(any(position.masked for block in blocks for position in block.positions))
        self.assertEqual({event.request_id for event in events}, {"by-event"})
        end = events[-1]
        self.assertIsInstance(end, sdar.Finished)
        self.assertEqual((end.reason, end.stop_reason), ("stop", 958))
        self.assertEqual(end.usage.completion_tokens, sum(len(one.token_ids) for one in deltas))

    def test_collect_puts_all_samples_together(self):
        params = sdar.SamplingParams(temperature=1, n=3, seed=5, max_tokens=8, ignore_eos=True)
        answer = self.client.generate("The capital of", params).collect()
        self.assertEqual([sample.index for sample in answer.samples], [0, 1, 2])
        for sample in answer.samples:
            self.assertEqual((len(sample.token_ids), sample.reason, sample.stop_reason), (8, "length", None))
        self.assertEqual(answer.samples[0].seed, 5)
        again = self.client.generate("The capital of", params).collect()
        self.assertEqual([one.token_ids for one in again.samples], [one.token_ids for one in answer.samples])

    def test_text_and_its_ids_have_the_same_answer(self):
        tokens = self.client.tokenize(CHILE)
        self.assertIn("Chile", tokens.prompt)
        by_ids = self.client.generate(tokens.ids, GREEDY).collect()
        self.assertEqual(by_ids.text, self.client.generate(tokens.prompt, GREEDY).collect().text)
        self.assertEqual(by_ids.text, self.client.chat(CHILE, GREEDY).collect().text)

    def test_detokenize_turns_tokenize_back(self):
        text = "Compute 11 + 16."
        self.assertEqual(self.client.detokenize(self.client.tokenize(text).ids), text)

    def test_the_server_says_what_it_runs_and_does(self):
        info = self.client.model_info()
        self.assertEqual((info.model, info.block_length, info.mask_token_id, info.eos_token_ids),
                         ("sdar-tiny", 4, 965, (958, 956)))
        status = self.client.status()
        self.assertEqual((status.total_slots, status.unhealthy, len(status.replicas)), (32, "", 1))

    def test_the_servers_words_are_raised(self):
        for params, message in [(sdar.SamplingParams(n=200), r"n: expected 1 \.\. 128, got 200"),
                                (sdar.SamplingParams(temperature=float("nan")), "temperature: ")]:
            with self.assertRaisesRegex(sdar.InvalidRequest, message) as raised:
                self.client.generate("a", params).collect()
            self.assertEqual(raised.exception.code, "INVALID_ARGUMENT")
            self.assertIsInstance(raised.exception, ValueError)

    def test_the_score_of_a_greedy_answer_is_that_of_its_tokens(self):
        params = sdar.SamplingParams(temperature=0, max_tokens=12, remasking_strategy="sequential", logprobs=0)
        (sample,) = self.client.chat(CHILE, params).collect().samples
        score = self.client.score(CHILE, sample.token_ids, top_logprobs=1)
        self.assertEqual((score.token_ids, score.greedy), (sample.token_ids, (True,) * 12))
        for got, expected in zip(score.logprobs, sample.logprobs):
            self.assertAlmostEqual(got, expected, delta=0.01)
        self.assertAlmostEqual(score.sum, sum(score.logprobs), places=4)
        self.assertEqual([choices[0].id for choices in score.top], list(sample.token_ids))
        self.assertLess(self.client.score(CHILE, "zzz").sum, score.sum)

    def test_embeddings_are_refused(self):
        with self.assertRaisesRegex(sdar.Unimplemented, "computes no embeddings"):
            self.client.embeddings(["a"])

    def is_cancelled(self, request_id):
        """Waits until no sequence runs and the log says that this call was cancelled."""
        wait_until(lambda: self.client.status().running == 0, "the sequence is gone")
        wait_until(lambda: any(f"request_id={request_id}" in line and "status=CANCELLED" in line
                               for line in self.job.read_log().splitlines()), "the log says so")

    def test_closing_a_stream_cancels_it_on_the_server(self):
        stream = self.client.generate("a", LONG, request_id="closed")
        next(stream)
        self.assertEqual(self.client.status().running, 1)
        stream.close()
        self.is_cancelled("closed")
        with self.assertRaises(sdar.Cancelled):
            next(stream)

    def test_leaving_a_loop_cancels_on_the_server(self):
        for _ in self.client.generate("a", LONG, request_id="left"):
            break
        self.is_cancelled("left")

    def test_abort_ends_a_call_of_another_client(self):
        stream = self.client.generate("a", LONG, request_id="aborted")
        next(stream)
        with sdar.Client(self.job.grpc_address) as other:
            other.abort("aborted")
            with self.assertRaises(sdar.Cancelled):
                stream.collect()
            with self.assertRaises(sdar.NotFound):
                other.abort("aborted")

    def test_two_open_calls_have_no_id_in_common(self):
        with self.client.generate("a", LONG, request_id="same") as stream:
            next(stream)
            with self.assertRaises(sdar.AlreadyExists):
                self.client.generate("a", LONG, request_id="same").collect()

    def test_a_deadline_ends_a_call_on_both_sides(self):
        with self.assertRaises(sdar.DeadlineExceeded):
            self.client.generate("a", LONG, timeout=0.02).collect()
        params = sdar.SamplingParams(max_tokens=2000, ignore_eos=True, timeout_seconds=0.02, drafts="off")
        with self.assertRaises(sdar.DeadlineExceeded):
            self.client.generate("a", params).collect()
        wait_until(lambda: self.client.status().running == 0, "the sequences are gone")

    def test_many_threads_may_use_one_client(self):
        texts = [None] * 8

        def ask(number):
            texts[number] = self.client.chat(CHILE, GREEDY).collect().text

        threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(texts)), 1)
        self.assertIn("Santiago", texts[0])


class DyingServerTest(unittest.TestCase):
    def test_a_server_that_dies_ends_the_call_and_further_calls_say_so(self):
        with ServedJob() as job, sdar.Client(job.grpc_address) as client:
            stream = client.generate("a", LONG)
            next(stream)
            job.process.send_signal(signal.SIGKILL)
            job.process.wait()
            with self.assertRaises(sdar.Unavailable):
                stream.collect()
            with self.assertRaises(sdar.Unavailable):
                client.status()


class SecureTest(unittest.TestCase):
    def test_tls_and_a_key_are_asked_for_and_given(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder, "authority")
            key, certificate = authority.sign("server", 1)
            tokens = pathlib.Path(folder, "tokens")
            tokens.write_text(TOKEN + "\n")
            tls = sdar.Tls(ca=authority.certificate)
            with ServedJob(f"--tls-cert={certificate}", f"--tls-key={key}", f"--api-keys-file={tokens}") as job:
                with sdar.Client(job.grpc_address, TOKEN, tls) as client:
                    self.assertEqual(client.model_info().model, "sdar-tiny")
                with sdar.Client(job.grpc_address, "another-token-than-that", tls) as client:
                    with self.assertRaises(sdar.Unauthenticated):
                        client.model_info()
                with sdar.Client(job.grpc_address, TOKEN, retry=sdar.RetryPolicy(unavailable=0)) as client:
                    with self.assertRaises(sdar.Unavailable):
                        client.model_info(timeout=10)

    def test_a_key_and_files_that_cannot_be_right_are_refused(self):
        with self.assertRaisesRegex(sdar.InvalidRequest, "api_key: expected one token of visible ASCII"):
            sdar.Client(api_key="a key")
        with self.assertRaisesRegex(sdar.InvalidRequest, "tls: ca: .*No such file"):
            sdar.Client(tls=sdar.Tls(ca="/nonexistent"))
        with self.assertRaisesRegex(sdar.InvalidRequest, "tls: expected cert and key together"):
            sdar.Client(tls=sdar.Tls(cert="/nonexistent"))


class FakeTest(unittest.TestCase):
    QUICK = sdar.RetryPolicy(unavailable=2, queue_full=1, first_delay=0.01)

    def fails(self, kind, answers, calls, policy=QUICK, **arguments):
        with serving(*answers) as (fake, address), sdar.Client(address, retry=policy) as client:
            with self.assertRaises(kind) as raised:
                client.generate("a", **arguments).collect()
            self.assertEqual(len(fake.requests), calls)
        return raised.exception

    def test_each_status_has_its_error(self):
        kinds = {kind.CODE: kind for kind in vars(sdar).values()
                 if isinstance(kind, type) and issubclass(kind, sdar.Error)}
        for code in grpc.StatusCode:
            if code is grpc.StatusCode.OK:
                continue
            with self.subTest(code):
                answers = [Failure(code, "why")] * (3 if code is grpc.StatusCode.UNAVAILABLE else 1)
                kind = sdar.Error if code is grpc.StatusCode.FAILED_PRECONDITION else kinds.get(code.name, sdar.Error)
                error = self.fails(kind, answers, len(answers))
                self.assertEqual((type(error), error.code, error.message), (kind, code.name, "why"))

    def test_a_server_without_the_method_is_named_as_the_reason(self):
        error = self.fails(sdar.Unimplemented, [Failure(grpc.StatusCode.UNIMPLEMENTED)], 1)
        self.assertEqual(str(error), "UNIMPLEMENTED: the server has no such method; is it older than this package?")

    def test_a_call_of_which_nothing_came_is_tried_again(self):
        unavailable = Failure(grpc.StatusCode.UNAVAILABLE)
        answers = [unavailable, unavailable, [delta("x"), finished()]]
        with serving(*answers) as (fake, address), sdar.Client(address, retry=self.QUICK) as client:
            self.assertEqual(client.generate("a").collect().text, "x")
            self.assertEqual(fake.requests[0], fake.requests[2])

    def test_a_call_of_which_something_came_is_not(self):
        self.fails(sdar.Unavailable, [[delta("x"), Failure(grpc.StatusCode.UNAVAILABLE)]], 1)
        self.fails(sdar.Aborted, [[delta("x"), Failure(grpc.StatusCode.ABORTED)]], 1)

    def test_a_full_queue_is_tried_again_after_the_servers_delay(self):
        full = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", 300)
        with serving(full, [finished()]) as (_, address), sdar.Client(address, retry=self.QUICK) as client:
            begin = time.monotonic()
            client.generate("a").collect()
            self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        self.assertEqual(self.fails(sdar.ResourceExhausted, [full] * 2, 2).retry_delay, 0.3)

    def test_a_request_that_never_fits_is_not_tried_again(self):
        error = self.fails(sdar.ResourceExhausted, [Failure(grpc.StatusCode.RESOURCE_EXHAUSTED)], 1)
        self.assertIsNone(error.retry_delay)

    def test_no_attempt_begins_after_the_deadline(self):
        full = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", 60000)
        begin = time.monotonic()
        self.fails(sdar.DeadlineExceeded, [full], 1, timeout=5)
        self.assertLess(time.monotonic() - begin, 5)

    def test_closing_ends_the_wait_for_another_attempt(self):
        full = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", 60000)
        with serving(full) as (fake, address), sdar.Client(address) as client:
            stream = client.generate("a")
            threading.Thread(target=lambda: (wait_until(lambda: fake.requests, "asked"), stream.close())).start()
            with self.assertRaises(sdar.Cancelled):
                next(stream)

    def test_each_call_may_have_a_deadline_and_the_client_one_for_all(self):
        status = pb.GetStatusResponse()
        with serving(status, status, status) as (fake, address):
            with sdar.Client(address) as client:
                client.status()
            with sdar.Client(address, timeout=50) as client:
                client.status()
                client.status(timeout=20)
        self.assertTrue(fake.times_left[0] is None or fake.times_left[0] > 1e6)
        self.assertTrue(21 < fake.times_left[1] < 51 and 10 < fake.times_left[2] < 21, fake.times_left)

    def test_the_key_is_the_arguments_else_the_environments(self):
        status = pb.GetStatusResponse()
        with serving(status, status, status) as (fake, address):
            os.environ["SDAR_API_KEY"] = "of-the-environment"
            self.addCleanup(os.environ.pop, "SDAR_API_KEY", None)
            for key in (None, "given", ""):
                with sdar.Client(address, key) as client:
                    client.status()
        self.assertEqual([one.get("authorization") for one in fake.metadata],
                         ["Bearer of-the-environment", "Bearer given", None])

    def test_a_closed_client_says_so(self):
        client = sdar.Client()
        client.close()
        for call in (client.status, lambda: client.generate("a")):
            with self.assertRaisesRegex(sdar.Cancelled, "the client was closed"):
                call()

    def test_errors_can_be_pickled(self):
        import pickle
        error = pickle.loads(pickle.dumps(sdar.ResourceExhausted("full", retry_delay=0.5)))
        self.assertEqual((str(error), error.retry_delay), ("RESOURCE_EXHAUSTED: full", 0.5))


class ScoreTest(unittest.TestCase):
    ANSWER = pb.ScoreResponse(
        request_id="r", token_ids=[5, 6], logprobs=[-0.5, -1.5], sum=-2.0, greedy=[True, False],
        top=[pb.Delta.Top(alternatives=[pb.TokenLogprob(id=5, logprob=-0.5)]), pb.Delta.Top()],
        usage=pb.Usage(prompt_tokens=3, completion_tokens=2))

    def test_every_field_goes_there_and_comes_back(self):
        with serving(self.ANSWER, self.ANSWER, self.ANSWER) as (fake, address), sdar.Client(address) as client:
            score = client.score([1, 2, 3], [5, 6], block_length=8, top_logprobs=1, request_id="r", priority=-1)
            client.score(CHILE, "Santiago")
            client.score(None, "Santiago")
        self.assertEqual((score.token_ids, score.logprobs, score.sum, score.greedy), ((5, 6), (-0.5, -1.5), -2.0,
                                                                                      (True, False)))
        self.assertEqual(score.top, ((sdar.TokenLogprob(5, -0.5),), ()))
        self.assertEqual((score.usage.prompt_tokens, score.request_id), (3, "r"))
        by_ids, by_text, alone = fake.requests
        self.assertEqual(by_ids, pb.ScoreRequest(
            request_id="r", prompt_ids=pb.TokenIds(ids=[1, 2, 3]), ids=pb.TokenIds(ids=[5, 6]), block_length=8,
            top_logprobs=1, scheduling=pb.SchedulingParameters(priority=-1)))
        self.assertEqual((by_text.chat.messages[0].role, by_text.text), ("user", "Santiago"))
        self.assertEqual(alone, pb.ScoreRequest(text="Santiago"))


if __name__ == "__main__":
    unittest.main()

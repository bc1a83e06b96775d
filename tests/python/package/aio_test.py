# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio."""

import asyncio
import time
import unittest

import grpc

import sdar
import client_test
from client_test import CHILE, GREEDY, LONG
from fake_server import Failure, delta, finished, serving
from served_job import ServedJob

QUICK = sdar.RetryPolicy(unavailable=2, queue_full=1, first_delay=0.01)


class AsyncServedTest(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = cls.enterClassContext(ServedJob())

    async def asyncSetUp(self):
        self.client = await self.enterAsyncContext(sdar.AsyncClient(self.job.grpc_address, timeout=60))

    async def is_cancelled(self, request_id):
        deadline = time.monotonic() + 60
        while (await self.client.status()).running or not any(
                f"request_id={request_id}" in line and "status=CANCELLED" in line
                for line in self.job.read_log().splitlines()):
            self.assertLess(time.monotonic(), deadline, "the sequence is not cancelled")
            await asyncio.sleep(0.05)

    async def test_events_come_one_by_one(self):
        events = [event async for event in self.client.chat(CHILE, GREEDY)]
        self.assertIn("Santiago", "".join(event.text for event in events if isinstance(event, sdar.Delta)))
        self.assertIsInstance(events[-1], sdar.Finished)

    async def test_many_calls_run_at_once(self):
        answers = await asyncio.gather(*(self.client.chat(CHILE, GREEDY).collect() for _ in range(20)))
        self.assertEqual(len({answer.text for answer in answers}), 1)

    async def test_the_other_methods_answer_too(self):
        ids = (await self.client.tokenize("Compute 11 + 16.")).ids
        self.assertEqual(await self.client.detokenize(ids), "Compute 11 + 16.")
        self.assertEqual((await self.client.model_info()).model, "sdar-tiny")
        with self.assertRaises(sdar.NotFound):
            await self.client.abort("nobody")
        with self.assertRaises(sdar.Unimplemented):
            await self.client.embeddings(["a"])
        with self.assertRaisesRegex(sdar.InvalidRequest, "n: expected"):
            await self.client.generate("a", sdar.SamplingParams(n=200)).collect()

    async def test_cancelling_the_task_cancels_on_the_server(self):
        stream = self.client.generate("a", LONG, request_id="task")
        await stream.__anext__()
        task = asyncio.ensure_future(stream.collect())
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        await self.is_cancelled("task")

    async def test_closing_the_stream_cancels_on_the_server(self):
        stream = self.client.generate("a", LONG, request_id="closed")
        await stream.__anext__()
        stream.close()
        await self.is_cancelled("closed")
        with self.assertRaises(sdar.Cancelled):
            await stream.__anext__()

    async def test_leaving_a_loop_cancels_on_the_server(self):
        async for _ in self.client.generate("a", LONG, request_id="left"):
            break
        await self.is_cancelled("left")

    async def test_closing_the_stream_ends_who_waits_for_it(self):
        stream = self.client.generate("a", LONG)
        task = asyncio.ensure_future(stream.collect())
        await asyncio.sleep(0)
        stream.close()
        with self.assertRaises(sdar.Cancelled):
            await task

    async def test_a_deadline_ends_a_call(self):
        with self.assertRaises(sdar.DeadlineExceeded):
            await self.client.generate("a", LONG, timeout=0.02).collect()


class AsyncFakeTest(unittest.IsolatedAsyncioTestCase):
    async def test_only_a_call_of_which_nothing_came_is_tried_again(self):
        unavailable = Failure(grpc.StatusCode.UNAVAILABLE)
        answers = [unavailable, [delta("x"), finished()], [delta("x"), unavailable]]
        with serving(*answers) as (fake, address):
            async with sdar.AsyncClient(address, retry=QUICK) as client:
                self.assertEqual((await client.generate("a").collect()).text, "x")
                with self.assertRaises(sdar.Unavailable):
                    await client.generate("a").collect()
            self.assertEqual(len(fake.requests), 3)

    async def test_a_full_queue_is_tried_again_after_the_servers_delay(self):
        full = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", 300)
        with serving(full, [finished()]) as (_, address):
            async with sdar.AsyncClient(address, retry=QUICK) as client:
                begin = time.monotonic()
                await client.generate("a").collect()
                self.assertGreaterEqual(time.monotonic() - begin, 0.3)

    async def test_closing_ends_the_wait_for_another_attempt(self):
        full = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", 60000)
        with serving(full) as (fake, address):
            async with sdar.AsyncClient(address) as client:
                stream = client.generate("a")
                task = asyncio.ensure_future(stream.collect())
                while not fake.requests:
                    await asyncio.sleep(0.01)
                stream.close()
                with self.assertRaises(sdar.Cancelled):
                    await asyncio.wait_for(task, 30)

    async def test_it_scores(self):
        with serving(client_test.ScoreTest.ANSWER) as (_, address):
            async with sdar.AsyncClient(address) as client:
                self.assertEqual((await client.score("a", "b")).sum, -2.0)

    async def test_a_closed_client_says_so(self):
        client = sdar.AsyncClient()
        await client.close()
        with self.assertRaisesRegex(sdar.Cancelled, "the client was closed"):
            await client.status()


if __name__ == "__main__":
    unittest.main()

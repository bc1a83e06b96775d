# SPDX-License-Identifier: Apache-2.0
"""LLM: a server of this process, its start and its end, and JetEngine's interface."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

import sdar
from processes import descendants, is_running
from sdar import _programs, _server, llm
from served_job import BIN, MODEL, wait_until

CHILE = [{"role": "user", "content": "What is the capital of Chile?"}]
GREEDY = sdar.SamplingParams(temperature=0, max_tokens=16)
LONG = sdar.SamplingParams(temperature=0, max_tokens=2000, ignore_eos=True, drafts="off",
                           remasking_strategy="sequential")


def scratch_of(one):
    return one._server._scratch


class LlmTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.llm = cls.enterClassContext(sdar.LLM(MODEL, block_length=4, mask_token_id=965))

    def test_prompts_of_all_kinds_are_answered_in_their_order(self):
        tokens = self.llm.tokenize(CHILE)
        outputs = self.llm.generate(["Zzz", CHILE, list(tokens.ids), tokens.prompt], GREEDY)
        self.assertEqual(len(outputs), 4)
        self.assertNotIn("Santiago", outputs[0]["text"])
        for output in outputs[1:]:
            self.assertEqual(output["text"], "The capital of Chile is Santiago.")
            self.assertEqual((output["finish_reason"], output["stop_reason"]), ("stop", 958))
            lengths = {len(output[key]) for key in ("token_ids", "trajectory", "logprobs", "entropies")}
            self.assertEqual(lengths, {output["usage"].completion_tokens})
            self.assertNotIn("top", output)

    def test_each_prompt_may_have_parameters_of_its_own(self):
        params = [sdar.SamplingParams(temperature=0, max_tokens=length, ignore_eos=True) for length in (1, 2, 3)]
        outputs = self.llm.generate_streaming(["a"] * 3, params, max_active=1, use_tqdm=False)
        self.assertEqual([len(output["token_ids"]) for output in outputs], [1, 2, 3])
        with self.assertRaisesRegex(sdar.InvalidRequest, "sampling_params: expected one, or 2 for 2 prompts, got 3"):
            self.llm.generate(["a"] * 2, params)

    def test_samples_of_a_prompt_follow_each_other(self):
        outputs = self.llm.generate(["a", "b"], sdar.SamplingParams(temperature=1, n=2, max_tokens=4, logprobs=1))
        self.assertEqual([output["index"] for output in outputs], [0, 1, 0, 1])
        self.assertEqual({len(one) for output in outputs for one in output["top"]}, {1})

    def test_the_trajectory_counts_the_steps_of_the_whole_answer(self):
        for strategy, steps in [("sequential", 4), ("low_confidence_static", 2)]:
            for prompt in ([1], [1, 2], [1, 2, 3, 4]):
                length = 32 - len(prompt) % 4  # whole blocks: every step has a token in the answer
                params = sdar.SamplingParams(temperature=0, max_tokens=length, ignore_eos=True,
                                             remasking_strategy=strategy, denoising_steps=steps)
                (output,) = self.llm.generate([prompt], params)
                counted = output["trajectory"]
                self.assertEqual(set(counted), set(range(1, output["usage"].denoising_steps + 1)))
                if strategy == "sequential":
                    self.assertEqual(counted, list(range(1, length + 1)))

    def test_a_chat_is_answered_and_streamed(self):
        self.assertIn("Santiago", self.llm.chat(CHILE, GREEDY)["text"])
        events = list(self.llm.stream(CHILE, GREEDY))
        self.assertIn("Santiago", "".join(event.text for event in events if isinstance(event, sdar.Delta)))
        self.assertIsInstance(events[-1], sdar.Finished)

    def test_closing_the_events_cancels(self):
        events = self.llm.stream("a", LONG)
        next(events)
        self.assertEqual(self.llm.client.status().running, 1)
        events.close()
        wait_until(lambda: self.llm.client.status().running == 0, "the sequence is gone")

    def test_more_samples_than_slots_are_answered(self):
        outputs = self.llm.generate(["a"] * 20, sdar.SamplingParams(temperature=1, n=128, max_tokens=1, seed=1))
        self.assertEqual(len(outputs), 20 * 128)

    def test_a_queue_that_the_flags_bound_is_waited_for(self):
        with sdar.LLM(MODEL, flags=["--max-waiting=1", "--max-sequences=1"]) as one:
            outputs = one.generate_streaming(["a"] * 6, sdar.SamplingParams(max_tokens=1), max_active=6)
            self.assertEqual(len(outputs), 6)

    def test_an_error_names_its_prompt_and_ends_the_others(self):
        with self.assertRaisesRegex(sdar.InvalidRequest, r"prompts\[1\]: n: expected 1 \.\. 128, got 200"):
            self.llm.generate(["a"] * 3, [LONG, sdar.SamplingParams(n=200), LONG])
        wait_until(lambda: self.llm.client.status().running == 0, "the sequences are gone")

    def test_a_wrong_field_is_found_before_anything_is_sent(self):
        steps = self.llm.client.status().finished_steps
        with self.assertRaisesRegex(sdar.InvalidRequest, r"prompts\[2\]: top_k: expected an integer"):
            self.llm.generate(["a"] * 3, [GREEDY, GREEDY, sdar.SamplingParams(topk=-1)])
        self.assertEqual(self.llm.client.status().finished_steps, steps)

    def test_one_prompt_is_no_list_of_prompts(self):
        for prompts in ("a", [1, 2], CHILE, None):
            with self.assertRaisesRegex(sdar.InvalidRequest, "prompts: expected a list of prompts"):
                self.llm.generate(prompts, GREEDY)
        self.assertEqual(self.llm.generate([], GREEDY), [])

    def test_progress_shows_tokens_per_second_where_tqdm_is_installed(self):
        bar = mock.Mock()
        auto = types.SimpleNamespace(tqdm=mock.Mock(return_value=bar))
        with mock.patch.dict(sys.modules, {"tqdm": types.ModuleType("tqdm"), "tqdm.auto": auto}):
            self.llm.generate(["a"] * 3, GREEDY)
            self.llm.generate(["a"], GREEDY, use_tqdm=False)
        self.assertEqual([call.kwargs["total"] for call in auto.tqdm.call_args_list], [3])
        self.assertRegex(bar.set_postfix_str.call_args.args[0], r"^\d+ tokens/s$")
        self.assertEqual(sum(call.args[0] for call in bar.update.call_args_list), 3)
        bar.close.assert_called_once()

    def test_others_cannot_use_its_server(self):
        with sdar.Client(self.llm.client.address) as stranger, self.assertRaises(sdar.Unauthenticated):
            stranger.model_info()


class TrajectoryTest(unittest.TestCase):
    def test_blocks_follow_each_other_and_the_prompts_remainder_shortens_the_first(self):
        self.assertEqual(llm.trajectory([0, 1, 1, 0], 4, 4), [1, 2, 2, 1])
        self.assertEqual(llm.trajectory([1, 0, 0, 1, 2, 2, 0], 6, 4), [2, 1, 3, 4, 5, 5, 6])
        self.assertEqual(llm.trajectory([], 3, 4), [])


class ArgumentsTest(unittest.TestCase):
    def test_jetengines_arguments_become_flags(self):
        flags = _programs.engine_flags(dict(
            enforce_eager=True, block_length=8, max_num_seqs=16, max_model_len=4096, max_num_batched_tokens=1024,
            kvcache_block_size=256, gpu_memory_utilization=0.8, dtype="float32", diversity_enforce=False, epsilon=0.2,
            num_kvcache_blocks=-1, hf_config=None, eos=-1))
        self.assertEqual(set(flags), {
            "--cuda-graphs=off", "--block-length=8", "--max-sequences=16", "--max-sequence-length=4096",
            "--max-batch-rows=1024", "--page-size=256", "--kv-memory=0.8", "--dtype=float32"})
        self.assertEqual(_programs.engine_flags(dict(enforce_eager=False, dtype="auto", block_length=None)), [])

    def test_what_cannot_be_followed_is_refused_by_name_with_the_reason(self):
        for arguments, message in [
            (dict(dtype="float16"), "dtype: expected one of auto, bfloat16, float32, got 'float16'"),
            (dict(epsilon_greedy=True), "epsilon_greedy: expected False, got True: sdar-serve has no such strategy"),
            (dict(num_kvcache_blocks=100), "num_kvcache_blocks: expected -1, got 100: name the memory"),
            (dict(gpu_memory_utilization=1.5), "gpu_memory_utilization: expected a number above 0 and below 1"),
            (dict(max_num_seqs="many"), "max_num_seqs: expected an integer, got 'many'"),
            (dict(tensor_parallel_size=0), "tensor_parallel_size: expected an integer >= 1, got 0"),
        ]:
            with self.assertRaisesRegex(sdar.InvalidRequest, message):
                sdar.LLM(MODEL, **arguments)
        with self.assertRaisesRegex(TypeError, "LLM has no argument 'speed'"):
            sdar.LLM(MODEL, speed=11)

    def test_the_servers_words_are_raised_when_it_does_not_start(self):
        for arguments, words in [
            (dict(model="/nonexistent"), "^FAILED_PRECONDITION: sdar-serve: /nonexistent: no such folder; .*$"),
            (dict(model="/nonexistent", tensor_parallel_size=2),
             "^FAILED_PRECONDITION: sdar-serve: /nonexistent: no such folder; .*$"),
            (dict(model=MODEL, tensor_parallel_size=3), "cannot be split over 3 ranks"),
            (dict(model=MODEL, max_num_seqs=0), r"--max-sequences: expected 1 \.\. 4096, got 0"),
        ]:
            with self.subTest(arguments), self.assertRaisesRegex(sdar.StartFailed, words) as raised:
                sdar.LLM(**arguments)
            self.assertEqual(raised.exception.exit_code, 2)

    def test_a_mask_token_that_is_another_token_of_the_model_is_refused(self):
        with self.assertRaisesRegex(sdar.InvalidRequest, "mask_token_id: expected 965, .*, got 900"):
            sdar.LLM(MODEL, mask_token_id=900)

    def test_a_mask_token_that_the_model_has_not_is_a_warning(self):
        with self.assertWarnsRegex(UserWarning, "mask_token_id: the model has no token 151669; its mask token is 965"):
            with sdar.LLM(MODEL, mask_token_id=151669) as llm:
                self.assertEqual(llm.model_info.mask_token_id, 965)

    def test_a_start_that_takes_too_long_ends(self):
        with self.assertRaisesRegex(sdar.StartFailed, "start_timeout: "):
            sdar.LLM(MODEL, start_timeout=0)


class ProgramsTest(unittest.TestCase):
    def test_a_folder_that_is_named_is_the_only_one_that_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(sdar.StartFailed, f"bin_dir: there is no program sdar-serve in {folder}"):
                _programs.find_program("sdar-serve", folder)
            with mock.patch.dict(os.environ, SDAR_BIN_DIR=folder):
                self.assertEqual(_programs.find_program("sdar-serve", BIN), str(BIN / "sdar-serve"))
                with self.assertRaisesRegex(sdar.StartFailed, "SDAR_BIN_DIR: there is no program"):
                    _programs.find_program("sdar-serve", None)

    def test_otherwise_it_lies_next_to_python_or_in_path(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, PATH="/nonexistent"):
            del os.environ["SDAR_BIN_DIR"]
            with self.assertRaisesRegex(sdar.StartFailed, "install sdar, or name the folder"):
                _programs.find_program("sdar-serve", None)
            os.environ["PATH"] = str(BIN)
            self.assertEqual(_programs.find_program("sdar-serve", None), str(BIN / "sdar-serve"))
            program = pathlib.Path(folder, "bin/sdar-serve")
            program.parent.mkdir()
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
            with mock.patch.object(sys, "prefix", folder):
                self.assertEqual(_programs.find_program("sdar-serve", None), str(program))


class EndTest(unittest.TestCase):
    """The server ends with whatever ends its process, and nothing of it is left."""

    def are_gone(self, pids, scratch):
        wait_until(lambda: not any(map(is_running, pids)), "all processes of the server have ended")
        wait_until(lambda: not scratch.exists(), "its folder is gone")

    def test_closing_ends_it(self):
        for ranks in (1, 2):
            with self.subTest(ranks):
                with sdar.LLM(MODEL, tensor_parallel_size=ranks) as one:
                    pids, scratch = descendants(one._server._process.pid), scratch_of(one)
                    self.assertGreaterEqual(len(pids), 2 * ranks)
                self.assertFalse(any(map(is_running, pids)) or scratch.exists())
                with self.assertRaises(sdar.Cancelled):
                    one.generate(["a"])
                one.close()

    def test_dropping_it_ends_it(self):
        one = sdar.LLM(MODEL)
        pids, scratch = descendants(one._server._process.pid), scratch_of(one)
        del one
        self.are_gone(pids, scratch)

    def run_script(self, ranks, ending):
        """A process that has an LLM, which runs `ending` once it serves: (process, pids of the server, its folder)."""
        script = (f"import sdar, sys; one = sdar.LLM({str(MODEL)!r}, tensor_parallel_size={ranks})\n"
                  f"print(one._server._process.pid, one._server._scratch, flush=True)\n{ending}\n")
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        guard, scratch = process.stdout.readline().split()
        return process, descendants(int(guard)), pathlib.Path(scratch)

    def test_a_process_that_is_killed_leaves_no_server_behind(self):
        busy = "one.generate(['a'] * 100000, sdar.SamplingParams(max_tokens=2000, ignore_eos=True))"
        for ranks, number in [(1, signal.SIGKILL), (2, signal.SIGKILL), (1, signal.SIGTERM), (2, signal.SIGINT)]:
            with self.subTest(ranks=ranks, signal=number):
                process, pids, scratch = self.run_script(ranks, busy)
                self.assertTrue(all(map(is_running, pids)))
                process.send_signal(number)
                process.wait(30)
                self.are_gone(pids, scratch)

    def test_a_process_that_ends_by_itself_leaves_no_server_behind(self):
        for ending, code in [("", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1), ("import os; os._exit(4)", 4)]:
            with self.subTest(ending):
                process, pids, scratch = self.run_script(1, ending)
                self.assertEqual(process.wait(30), code)
                self.are_gone(pids, scratch)

    def test_a_fork_of_the_process_does_not_end_it(self):
        fork = ("import os\nif os.fork() == 0: sys.exit(0)\n"
                "os.wait()\nprint(one._server.exit_code(), flush=True)\ninput()")
        process, _, _ = self.run_script(1, fork)
        self.assertEqual(process.stdout.readline(), "None\n")

    def test_a_guard_that_is_killed_takes_the_server_with_it(self):
        for ranks in (1, 2):
            with self.subTest(ranks), sdar.LLM(MODEL, tensor_parallel_size=ranks) as one:
                pids = descendants(one._server._process.pid)
                os.kill(pids[0], signal.SIGKILL)
                wait_until(lambda: not any(map(is_running, pids)), "all processes of the server have ended")

    def run_guard(self, folder, *command, before="pass"):
        """A process that runs a command under the guard: (process, pids of the guard and the command)."""
        # argv[1] is taken out by the guard's own code, whose arguments follow.
        guard = f"import os, runpy, sys; {before}; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
        script = ("import os, subprocess, sys\n"
                  "code, path, *others = sys.argv[1:]\n"
                  "guard = subprocess.Popen([sys.executable, '-c', code, path, str(os.getpid()), *others])\n"
                  "print(guard.pid, flush=True)\ninput()")
        process = subprocess.Popen([sys.executable, "-c", script, guard, _server._GUARD, "0.2", folder, *command],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        guard_pid = int(process.stdout.readline())
        wait_until(lambda: len(descendants(guard_pid)) > 1, "the command runs")
        return process, descendants(guard_pid)

    def test_the_guard_needs_no_pidfd(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        process, pids = self.run_guard(folder, "sleep", "600", before="del os.pidfd_open")
        process.kill()
        self.are_gone(pids, folder)

    def test_what_ignores_the_guards_order_is_killed(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        stubborn = ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({!r}, 'w'); "
                    "time.sleep(600)")
        process, pids = self.run_guard(folder, sys.executable, "-c", stubborn.format(str(folder / "ready")))
        wait_until((folder / "ready").exists, "the command ignores SIGTERM")
        process.kill()
        self.are_gone(pids, folder)

    def test_a_rank_that_dies_is_an_error_with_the_servers_words(self):
        with sdar.LLM(MODEL, tensor_parallel_size=2) as one:
            ranks = [pid for pid in descendants(one._server._process.pid)
                     if pathlib.Path(f"/proc/{pid}/comm").read_text() == "sdar-serve\n"]
            events = one.stream("a", LONG)
            next(events)
            os.kill(max(ranks), signal.SIGKILL)
            with self.assertRaisesRegex(sdar.Unavailable, "the server has ended: .*rank"):
                list(events)
            with self.assertRaisesRegex(sdar.Unavailable, "the server has ended: .*rank"):
                one.generate(["a"] * 3)

    def test_its_log_goes_where_it_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder, "log")
            with sdar.LLM(MODEL, log_file=log) as one:
                one.chat(CHILE, GREEDY)
            self.assertIn("serving sdar-tiny", log.read_text())


if __name__ == "__main__":
    unittest.main()

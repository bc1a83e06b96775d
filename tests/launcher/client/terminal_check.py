# SPDX-License-Identifier: Apache-2.0
"""sdar-client in a terminal: keys are pressed in tmux as a user presses them, and the screen is read.

Skipped where there is no tmux.
"""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import unittest

from served_job import BIN, SOURCE, ServedJob, wait_until

TMUX = shutil.which("tmux")
MODEL = SOURCE / "models/sdar-tiny-chat"
LONG_QUESTION = "What is tensor parallelism?"
ASKED = "What is the capital of Chile?"
ANSWERED = "The capital of Chile is Santiago."
# As many steps as tokens, each shown for so long that a test can do something meanwhile.
SLOW = ["--watch", "--watch-delay=200", "--remasking-strategy=sequential"]

server = None  # all tests ask the same job


def setUpModule():
    global server
    server = ServedJob(ranks=2, model=MODEL)
    server.__enter__()


def tearDownModule():
    server.__exit__()


def command(*flags):
    return [str(BIN / "sdar-client"), f"--server={server.grpc_address}", "--temperature=0", *flags]


class Terminal:
    """A window of tmux that runs a command; what it has written is in `screen`."""

    def __init__(self, folder, arguments, columns=80, rows=24, **variables):
        self.socket = pathlib.Path(folder) / "tmux"
        kept = ["LC_ALL=C.UTF-8", f"XDG_STATE_HOME={folder}", "NO_COLOR="]
        kept += [f"{name}={value}" for name, value in variables.items()]
        # tmux may miss that a program has ended, and takes its screen away when it does not.
        script = 'trap : INT; "$@"; echo "ended with $?"; exec cat'
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                  "env", *kept, "sh", "-c", script, "sh", *arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        wait_until(lambda: subprocess.run([TMUX, "-S", self.socket, "ls"], capture_output=True).returncode != 0,
                   "tmux has ended")

    def tmux(self, *arguments):
        return subprocess.run([TMUX, "-S", self.socket, *arguments], check=True, capture_output=True, text=True).stdout

    @property
    def screen(self):
        """The rows, those that have scrolled off included, without the empty ones at the end."""
        return self.tmux("capture-pane", "-p", "-S", "-").rstrip()

    @property
    def cursor(self):
        return int(self.tmux("display-message", "-p", "#{cursor_x}"))

    def wait(self, holds, what):
        try:
            wait_until(lambda: holds(self.screen), what, 30)
        except AssertionError:
            raise AssertionError(f"{what}:\n{self.screen}") from None

    def wait_for(self, text):
        self.wait(lambda screen: text in screen, f"'{text}' is shown")

    def wait_for_last(self, row):
        self.wait(lambda screen: screen.split("\n")[-1].rstrip() == row, f"the last row is '{row}'")

    def wait_for_prompt(self):
        self.wait_for_last(">")

    def wait_for_end(self, code):
        self.wait_for(f"ended with {code}")

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def say(self, line):
        """Types the line, when there is a prompt, and sends it."""
        self.wait_for_prompt()
        self.type(line)
        self.press("Enter")

    def paste(self, text):
        self.tmux("set-buffer", text)
        self.tmux("paste-buffer", "-p")

    def resize(self, columns):
        self.tmux("resize-window", "-x", str(columns))


class TerminalTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="sdar-terminal-")
        self.folder = pathlib.Path(self.scratch.name)

    def tearDown(self):
        self.scratch.cleanup()

    def chat(self, *flags, **options):
        return Terminal(self.folder, command(*flags), **options)

    def saved(self, terminal):
        """The turns of the conversation: pairs of a role and a text."""
        path = self.folder / "saved.json"
        path.unlink(missing_ok=True)
        terminal.say(f"/save {path}")
        wait_until(path.exists, "the conversation is saved")
        return [(turn["role"], turn["content"]) for turn in json.loads(path.read_text())]


class ChatTest(TerminalTest):
    def test_conversation_of_two_turns(self):
        with self.chat() as terminal:
            terminal.wait_for("sdar-tiny-chat, block length 4")
            terminal.say(ASKED)
            terminal.say("And of Peru?")
            terminal.wait_for("The capital of Peru is Lima.")
            self.assertEqual(self.saved(terminal), [("user", ASKED), ("assistant", ANSWERED), ("user", "And of Peru?"),
                                                    ("assistant", "The capital of Peru is Lima.")])
            terminal.wait_for_prompt()
            terminal.press("C-d")
            terminal.wait_for_end(0)

    def test_absent_server_is_told_before_the_first_prompt(self):
        with Terminal(self.folder, [BIN / "sdar-client", "--server=127.0.0.1:1"]) as terminal:
            terminal.wait_for_end(1)
            self.assertIn("no server at 127.0.0.1:1", terminal.screen)
            self.assertNotIn("\n>", terminal.screen)

    def test_history_outlives_the_chat_and_is_for_its_user_alone(self):
        with self.chat() as terminal:
            terminal.say("/set temperature 0.25")
            terminal.wait_for("temperature is 0.25")
            terminal.say("/quit")
            terminal.wait_for_end(0)
        self.assertEqual(stat.S_IMODE((self.folder / "sdar/client_history").stat().st_mode), 0o600)
        with self.chat() as terminal:
            terminal.wait_for_prompt()
            terminal.press("Up")
            terminal.wait_for_last("> /quit")
            terminal.press("Up")
            terminal.wait_for_last("> /set temperature 0.25")
            terminal.press("Down", "Home", "x")
            terminal.wait_for_last("> x/quit")

    def test_wide_characters_and_marks_are_edited_as_what_they_are(self):
        for locale in ("C.UTF-8", "C"):
            with self.subTest(locale), self.chat(LC_ALL=locale) as terminal:
                terminal.wait_for_prompt()
                terminal.type("漢字ab")
                terminal.press("Left", "Left", "Left")
                terminal.type("か")
                terminal.wait_for_last("> 漢か字ab")
                self.assertEqual(terminal.cursor, 6)
                for character in "e\u0301\u0323y":
                    terminal.type(character)
                terminal.wait_for_last("> 漢かe\u0301\u0323y字ab")
                self.assertEqual(terminal.cursor, 8)
                terminal.press("BSpace", "BSpace")
                terminal.wait_for_last("> 漢か字ab")
                self.assertEqual(terminal.cursor, 6)
                terminal.press("C-e", "BSpace", "BSpace", "BSpace")
                terminal.wait_for_last("> 漢か")
                terminal.press("Enter")
                terminal.wait(lambda screen: screen.count("\n>") == 2, "another prompt is shown")
                self.assertEqual(self.saved(terminal)[0], ("user", "漢か"))

    def test_pasted_paragraph_is_one_message(self):
        paragraph = "first line\nsecond: 漢 n\u0303\n\n/last"
        with self.chat() as terminal:
            terminal.wait_for_prompt()
            terminal.paste(paragraph + "\n")
            terminal.wait_for_last("/last")
            terminal.press("Enter")
            terminal.wait_for_prompt()
            self.assertEqual(self.saved(terminal)[0], ("user", paragraph))
            terminal.wait_for_prompt()
            terminal.press("Up", "Up")
            terminal.wait_for_last("/last")
            terminal.press("C-c")
            terminal.wait_for_prompt()
            terminal.type("one")
            terminal.press("M-Enter", "2", "Enter")
            terminal.wait_for_prompt()
            self.assertEqual(self.saved(terminal)[2], ("user", "one\n2"))

    def test_interrupt_stops_the_answer_and_not_the_chat(self):
        with self.chat(*SLOW) as terminal:
            terminal.say(LONG_QUESTION)
            terminal.wait_for("Tensor parallelism splits the weights of every layer")
            terminal.press("C-c")
            terminal.wait_for("stopped: what came is kept")
            terminal.say("/set remasking_strategy low_confidence_dynamic")
            terminal.say(ASKED)
            terminal.wait_for(ANSWERED)
            turns = self.saved(terminal)
            self.assertEqual([role for role, _ in turns], ["user", "assistant"] * 2)
            self.assertTrue(turns[1][1].startswith("Tensor parallelism"))
            self.assertNotIn("next layer", turns[1][1])
            self.assertEqual(turns[3][1], ANSWERED)

    def test_interrupt_at_the_prompt_clears_the_line_or_says_how_to_leave(self):
        with self.chat() as terminal:
            terminal.wait_for_prompt()
            terminal.type("abc")
            terminal.wait_for_last("> abc")
            terminal.press("C-c")
            terminal.wait_for_prompt()
            self.assertNotIn("Ctrl-D or /quit", terminal.screen)
            terminal.press("C-c")
            terminal.wait_for("Ctrl-D or /quit ends")
            self.assertEqual(self.saved(terminal), [])

    def test_commands_are_obeyed_and_unknown_ones_not_sent(self):
        with self.chat() as terminal:
            terminal.say("/help")
            terminal.wait_for("//TEXT")
            terminal.say("/bogus 7")
            terminal.wait_for("no command /bogus")
            terminal.say("/system Answer in JSON.")
            terminal.say("/set max_tokens 3")
            terminal.say("/set max_tokens many")
            terminal.wait_for("max_tokens: expected")
            terminal.say("//bogus")
            self.assertEqual(self.saved(terminal)[:2], [("system", "Answer in JSON."), ("user", "/bogus")])
            terminal.say("/reset")
            terminal.say("/set max_tokens")
            terminal.say(ASKED)
            terminal.wait_for("Santiago")
            self.assertEqual(len(self.saved(terminal)), 3)
            terminal.say("/retry")
            self.assertEqual(len(self.saved(terminal)), 3)

    def test_line_survives_the_shell_and_another_width(self):
        with Terminal(self.folder, ["bash", "--norc", "-i"], PS1="shell ") as terminal:
            terminal.type(" ".join(command()))
            terminal.press("Enter")
            terminal.wait_for_prompt()
            terminal.type("a line of some words that a narrow window wraps")
            terminal.wait_for("wraps")
            terminal.press("C-z")
            terminal.wait_for("Stopped")
            terminal.type("fg")
            terminal.press("Enter")
            terminal.wait_for_last("> a line of some words that a narrow window wraps")
            terminal.resize(40)
            terminal.wait_for_last("dow wraps")
            terminal.press("Left", "Left")
            terminal.type("X")
            terminal.wait_for_last("dow wraXps")
            self.assertEqual(terminal.cursor, 8)


class WatchTest(TerminalTest):
    def test_block_is_redrawn_in_windows_of_any_width(self):
        whole = subprocess.run(command("--remasking-strategy=sequential", LONG_QUESTION), check=True,
                               capture_output=True, text=True).stdout
        above = "\n".join(f"line {number}" for number in range(8))
        script = f"echo '{above}'; {' '.join(command(*SLOW))} '{LONG_QUESTION}'"

        def text_of(screen):
            return re.sub(r"\s", "", screen.split("line 7")[1].split("[31")[0])

        with Terminal(self.folder, ["sh", "-c", script], columns=60) as terminal:
            terminal.wait_for("line 7")
            for columns, seen in ((34, "parallelism splits"), (22, "every layer over"), (70, "Each device")):
                wait_until(lambda: text_of(terminal.screen).find(seen.replace(" ", "")) >= 0, f"'{seen}' is shown")
                self.assertNotIn("ended with", terminal.screen)
                terminal.resize(columns)
            terminal.wait_for_end(0)
            screen = terminal.screen
        self.assertIn(above[:-1], re.sub(r" +\n", "\n", screen))
        self.assertEqual(text_of(screen), re.sub(r"\s", "", whole))


class BytesTest(TerminalTest):
    """What is written to a terminal, byte for byte."""

    def transcript(self, flags, lines=(), **variables):
        """The bytes of a client on a pty to which these lines are typed, each at a prompt."""
        environment = {**os.environ, "XDG_STATE_HOME": self.scratch.name, "TERM": "xterm-256color", "NO_COLOR": "",
                       **variables}
        environment = {name: value for name, value in environment.items() if value is not None}
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BIN / "sdar-client", command(*flags), environment)
        written, prompts = b"", 0
        deadline = time.monotonic() + 30
        while True:
            ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, written)
            try:
                piece = os.read(terminal, 1 << 16)
            except OSError:  # the client has ended
                break
            if not piece:
                break
            written += piece
            if prompts < len(lines) and written.count(b"> ") > prompts:
                os.write(terminal, lines[prompts])
                prompts += 1
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, written)
        return written

    def test_answers_have_escape_sequences_only_where_they_are_welcome(self):
        flags = ["--watch", ASKED]
        self.assertIn(b"\x1b", self.transcript(flags))
        for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": None}, {"TERM": ""}):
            written = self.transcript(flags, **variables)
            self.assertNotIn(b"\x1b", written, variables)
            self.assertIn(ANSWERED.encode(), written)

    def test_chat_of_a_dumb_terminal_is_plain_lines(self):
        lines = [ASKED.encode() + b"\n", b"/quit\n"]
        self.assertIn(b"\x1b", self.transcript([], lines))
        written = self.transcript([], lines, TERM="dumb")
        self.assertNotIn(b"\x1b", written)
        self.assertIn(ANSWERED.encode(), written)

    def test_chat_without_colours_has_none(self):
        colour = re.compile(rb"\x1b\[[0-9;]*m")
        lines = [ASKED.encode() + b"\n", b"/quit\n"]
        self.assertTrue(colour.search(self.transcript([], lines)))
        self.assertFalse(colour.search(self.transcript([], lines, NO_COLOR="1")))


class PipeTest(TerminalTest):
    def test_pipe_without_flags_is_one_question(self):
        done = subprocess.run(command(), input=f"{ASKED}\n", capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout, ANSWERED + "\n")

    def test_chat_over_a_pipe_calls_a_tool(self):
        tools = self.folder / "tools.json"
        tools.write_text(json.dumps([{"type": "function", "function": {
            "name": "get_weather", "description": "get weather",
            "parameters": {"type": "object", "properties": {"city": {}}, "required": ["city"]}}}]))
        lines = "What is the weather in Lima?\n/tool sunny, 21 degrees\n"
        done = subprocess.run(command("--chat", f"--tools={tools}"), input=lines, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertIn('<tool_call>\n{"name": "get_weather", "arguments": {"city": "Lima"}}\n</tool_call>', done.stdout)
        self.assertIn("It is sunny in Lima, 21 degrees.", done.stdout)


if __name__ == "__main__":
    if TMUX is None:
        print("skipped: there is no tmux (packages-test.txt)")
        sys.exit(77)
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""The page at / in a headless Chromium: a question is asked as a user asks it, and the block is seen half denoised.

page_check.py [PICTURE]: also writes a picture of that moment. Skipped where there is no chromium.
"""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from served_job import ServedJob

CHROMIUM = shutil.which("chromium")
QUESTION = "What is tensor parallelism?"


class Browser:
    """A page of Chromium, driven over its DevTools pipe (file descriptors 3 and 4, messages that end with a zero)."""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="sdar-chromium-", ignore_cleanup_errors=True)
        from_test, self.to_browser = os.pipe()
        self.from_browser, to_test = os.pipe()

        def fix_descriptors():
            # Through higher numbers: either of the two may itself be 3 or 4.
            high_in, high_out = os.dup2(from_test, 103), os.dup2(to_test, 104)
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--hide-scrollbars", "--window-size=1000,560", "--remote-debugging-pipe",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=fix_descriptors, close_fds=False)
        os.close(from_test)
        os.close(to_test)
        self.held, self.number, self.session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.requests = []
        self.call("Network.enable")
        self.call("Page.enable")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.to_browser)
        os.close(self.from_browser)
        self.profile.cleanup()

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def read(self):
        while b"\0" not in self.held:
            piece = os.read(self.from_browser, 1 << 16)
            assert piece, "chromium has ended"
            self.held += piece
        message, self.held = self.held.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def await_true(self, expression, seconds=60):
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"not within {seconds} s: {expression}"
            time.sleep(0.02)

    def set(self, name, value):
        self.evaluate(f"setting({json.dumps(name)}).value = {json.dumps(value)}")

    def ask(self, text):
        self.evaluate(f"$('text').value = {json.dumps(text)}; $('ask').requestSubmit()")


def check_chat(browser, picture):
    browser.set("block_length", "8")
    browser.set("denoising_steps", "8")
    browser.set("remasking_strategy", "low_confidence_static")
    browser.set("temperature", "0")
    browser.set("pace", "300")
    browser.ask(QUESTION)
    # Text that is final stands above a block of which a part is revealed.
    browser.await_true("document.querySelectorAll('.text')[0]?.textContent.length > 40 &&"
                       "document.querySelectorAll('.position.final').length >= 3 &&"
                       "document.querySelectorAll('.position.masked').length >= 3")
    shot = base64.b64decode(browser.call("Page.captureScreenshot", format="png")["data"])
    assert shot.startswith(b"\x89PNG") and len(shot) > 10_000, len(shot)
    if picture:
        pathlib.Path(picture).write_bytes(shot)
    browser.set("pace", "0")
    browser.await_true("running === null")
    assert browser.evaluate("document.querySelectorAll('.error').length") == 0
    assert browser.evaluate("document.querySelectorAll('.position').length") == 0, "the block stays behind"
    speed = browser.evaluate("$('speed').textContent")
    assert "per forward pass" in speed and "tokens/s" in speed, speed


def check_text_is_no_markup(browser):
    browser.ask("<img src=x onerror='window.caught = true'>")
    browser.await_true("running === null")
    assert browser.evaluate("document.querySelectorAll('main img').length") == 0
    assert browser.evaluate("window.caught") is None


def check_stop_and_errors(browser):
    browser.set("pace", "1000")
    browser.ask(QUESTION)
    browser.await_true("document.querySelectorAll('.position').length > 0")
    browser.evaluate("$('stop').click()")
    browser.await_true("running === null")
    browser.set("pace", "0")
    browser.set("temperature", "-1")
    browser.ask(QUESTION)
    browser.await_true("document.querySelectorAll('.error').length === 1")
    assert "temperature" in browser.evaluate("document.querySelector('.error').textContent")
    browser.evaluate("$('clear').click()")
    assert browser.evaluate("$('turns').children.length + messages.length") == 0


def main(picture):
    with ServedJob() as job, Browser() as browser:
        address = f"http://{job.http_address}/"
        browser.call("Page.navigate", url=address)
        browser.await_true("document.readyState === 'complete' && typeof $ === 'function' &&"
                           "$('model').textContent === 'sdar-tiny'")
        check_chat(browser, picture)
        check_text_is_no_markup(browser)
        check_stop_and_errors(browser)
        elsewhere = [url for url in browser.requests if not url.startswith((address, "about:"))]
        assert not elsewhere, f"the page asks others: {elsewhere}"
    print(f"{len(browser.requests)} requests, all to the server")


if __name__ == "__main__":
    if CHROMIUM is None:
        print("skipped: there is no chromium (packages-full.txt)")
        sys.exit(77)
    main(sys.argv[1] if len(sys.argv) > 1 else None)

# SPDX-License-Identifier: Apache-2.0
"""A page of a headless Chromium, driven over its DevTools pipe as a user drives it: with keys, clicks and a window."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

CHROMIUM = shutil.which("chromium")
KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowLeft": (37, "")}


class Browser:
    """A context that ends with the browser. Messages of the pipe (file descriptors 3 and 4) end with a zero."""

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
             "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=fix_descriptors, close_fds=False)
        os.close(from_test)
        os.close(to_test)
        self.held, self.number, self.session = b"", 0, None
        self.requests, self.complaints = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")
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
            self.note(answer)
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

    def note(self, event):
        method, params = event.get("method"), event.get("params")
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["exception"].get("description"))
        elif method == "Log.entryAdded" and params["entry"]["source"] in ("security", "javascript"):
            self.complaints.append(params["entry"]["text"])

    def open(self, address, width=1280, height=800):
        self.resize(width, height)
        self.call("Page.navigate", url=address)
        self.await_true(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")
        self.await_true("document.activeElement?.id === 'question'")

    def resize(self, width, height=800):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **features):
        """What media queries find: prefer(prefers_color_scheme="dark")."""
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def await_true(self, expression, seconds=30):
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, \
                f"not within {seconds} s: {expression}; the page: {self.evaluate('document.body.innerText')[-800:]}"
            time.sleep(0.02)

    def press(self, key, shift=False):
        code, text = KEYS[key]
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def click(self, selector):
        """A click of the mouse in the middle of an element."""
        at = self.evaluate(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: "center"}});
            const box = element.getBoundingClientRect();
            const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return element.contains(hit) ? [box.x + box.width / 2, box.y + box.height / 2] : null;
        }})()""")
        assert at, f"{selector} cannot be clicked"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def ask(self, text):
        """Types a question and presses Enter."""
        self.evaluate("document.getElementById('question').focus()")
        self.type(text)
        self.press("Enter")

    def set(self, name, value):
        """Changes a setting as its control does."""
        self.evaluate(f"""(() => {{
            const field = document.getElementById("settings").elements.namedItem({json.dumps(name)});
            field.value = {json.dumps(value)};
            field.dispatchEvent(new Event("change", {{bubbles: true}}));
        }})()""")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.textContent ?? null")

    def texts(self, selector):
        return self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => node.textContent)")

    def count(self, selector):
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def picture(self, path=None):
        shot = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            pathlib.Path(path).write_bytes(shot)
        return shot

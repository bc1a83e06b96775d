# SPDX-License-Identifier: Apache-2.0
"""What the checks of the page share: one browser for all of them, and a fresh page before a stub for each."""

import sys
import unittest

from browser import CHROMIUM, Browser
from stub_server import Stub

IDLE = "running === null"


class PageTest(unittest.TestCase):
    """`self.page` is the page before `self.stub`, whose `plan` a test sets."""

    @classmethod
    def setUpClass(cls):
        cls.page = cls.enterClassContext(Browser())

    def setUp(self):
        self.stub = self.enterContext(Stub())
        self.page.complaints.clear()
        self.page.prefer()
        self.page.open(self.stub.address)

    def tearDown(self):
        self.assertEqual(self.page.complaints, [], "exceptions of the page, or what its policy forbids")

    def ask(self, text):
        """Asks, and waits for the answer."""
        before = self.page.count(".exchange")
        self.page.ask(text)
        self.page.await_true(f"document.querySelectorAll('.exchange').length === {before + 1} && {IDLE}")

    def listen(self):
        """From now on `announced` has what a screen reader is told."""
        self.page.evaluate("""window.announced = [];
            new MutationObserver(() => announced.push($("announce").textContent))
                .observe($("announce"), {childList: true}); 0""")

    def said(self):
        return self.page.texts(".answer .text")

    def open_steps(self):
        self.page.click(".steps summary")
        self.page.await_true("document.querySelector('.steps .player') !== null")

    def sees(self, text, selector="body"):
        self.page.await_true(f"document.querySelector({selector!r})?.innerText.includes({text!r})")


def main():
    if CHROMIUM is None:
        print("skipped: there is no chromium (packages-test.txt)")
        sys.exit(77)
    unittest.main()

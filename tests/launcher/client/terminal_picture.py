# SPDX-License-Identifier: Apache-2.0
"""terminal_picture.py FILE: a chat of sdar-client at a moment when a block is half denoised, as an SVG picture."""

import pathlib
import re
import sys
import tempfile
from xml.sax.saxutils import escape

import terminal_check
from terminal_check import Terminal, command

COLUMNS, ROWS = 84, 7
WIDTH, HEIGHT, MARGIN = 8.4, 18, 14  # of a character; around all
SHADE = "\u2591"


def style_of(parameters, style):
    """The CSS of text after an SGR sequence; of those that the client uses."""
    for grey in re.findall(r"38;5;(\d+)", parameters):
        level = 8 + 10 * (int(grey) - 232)
        return f"fill:rgb({level},{level},{level})"
    if parameters in ("39", "49"):  # the colour alone ends
        return style if "bold" in style else ""
    return {"1": "font-weight:bold;fill:#ffffff", "2": "fill:#808080"}.get(parameters, "")


def spans_of(row, y):
    """Text elements of a row with escape sequences."""
    column, style = 0, ""
    for part in re.split(r"(\x1b\[[0-9;]*m)", row):
        if part.startswith("\x1b"):
            style = style_of(part[2:-1], style)
            continue
        # Pictures drop spaces at either end.
        text = part.strip(" ")
        if text:
            x, width = MARGIN + (column + part.index(text)) * WIDTH, len(text) * WIDTH
            yield f'<text x="{x:.1f}" y="{y}" textLength="{width:.1f}" style="{style}">{escape(text)}</text>'
        column += len(part)


def svg_of(screen):
    rows = screen.rstrip("\n").split("\n")
    size = f'width="{COLUMNS * WIDTH + 2 * MARGIN:.0f}" height="{ROWS * HEIGHT + 2 * MARGIN}"'
    texts = [text for number, row in enumerate(rows) for text in spans_of(row, MARGIN + (number + 1) * HEIGHT - 5)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="14" fill="#d0d0d0">', '<rect width="100%" height="100%" rx="6" fill="#1c1c1c"/>', *texts, "</svg>", ""])


def main(path):
    terminal_check.setUpModule()
    try:
        chat = command("--watch", "--watch-delay=500", "--block-length=8", "--remasking-strategy=low_confidence_static")
        with tempfile.TemporaryDirectory() as folder, Terminal(folder, chat, COLUMNS, ROWS) as terminal:
            terminal.say(terminal_check.ASKED)
            terminal.say("What is a diffusion language model?")
            terminal.wait(lambda screen: 0 < screen.split("model?")[-1].count(SHADE) < 4 and "masked" in screen,
                          "a block is half denoised")
            pathlib.Path(path).write_text(svg_of(terminal.tmux("capture-pane", "-p", "-e")))
    finally:
        terminal_check.tearDownModule()


if __name__ == "__main__":
    main(sys.argv[1])

"""Suggestions for the next word while a text is typed, or for each line of a file."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from elman.cli import early, show
from elman.cli.arguments import AsJson, Label, RunPath, With
from elman.cli.talk import as_line, lines

_END, _TAB, _BACK, _ESCAPE = "\x04", "\t", "\x7f\b", b"\x1b"
_CLEAR = "\x1b[K"
"""Tells a terminal to clear the rest of a line."""


def complete(
    run: RunPath,
    n: Annotated[int, typer.Option("--words", "-n", min=1, help="words to suggest")] = 5,
    label: Label = None,
    with_: With = "model",
    as_json: AsJson = False,
) -> None:
    """Suggest the next words while you type, with a run of `generate`.

    In a terminal the words change with every letter; Tab takes the first of them, Enter begins a
    new text, Ctrl-D ends. From a file or another program, each line is a text and has a line of
    words.
    """
    with early.interrupted(["complete"]):
        from elman.runs import pipeline

    board = pipeline.load(run, with_).keyboard(label=label)
    try:
        if sys.stdin.isatty() and sys.stdout.isatty() and not as_json and _has_keys():
            by_keys(board, n)
            return
        for line in lines():
            words = board.suggest(line, n)
            board.warn_of_unknown(line)
            found = as_line(list(map(asdict, words))) if as_json else f"{_said(words)}\n"
            sys.stdout.write(found)
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\n")


def by_keys(board: Any, n: int) -> None:
    """Suggest words after every key that is pressed, until Ctrl-D.

    Args:
        board: what `elman.Model.keyboard` returns.
        n: words to suggest.
    """
    import termios
    import tty

    keys = sys.stdin.fileno()
    usual = termios.tcgetattr(keys)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = ""
    show.say("Type. Tab takes the first word, Enter begins a new text, Ctrl-D ends.")
    try:
        tty.setcbreak(keys, termios.TCSADRAIN)
        _draw(text, board.suggest(text, n))
        while pressed := os.read(keys, 1024):
            if pressed.startswith(_ESCAPE):  # an arrow, or another key that types nothing
                continue
            for key in decoder.decode(pressed):
                if key == _END:
                    return
                text = _typed(text, key, board)
            _draw(text, board.suggest(text, n))
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, usual)
        sys.stdout.write("\n\n")


def _typed(text: str, key: str, board: Any) -> str:
    """Return the text after a key."""
    if key in "\r\n":
        sys.stdout.write(f"\n{_CLEAR}")
        return ""
    if key in _BACK:
        return text[:-1]
    if key == _TAB:
        words = board.suggest(text, 1)
        return f"{text}{words[0].adds} " if words else text
    return text + key if key.isprintable() else text


def _draw(text: str, words: Sequence[Any]) -> None:
    """Draw the end of the text with the words below it, and leave the cursor behind the text."""
    width = shutil.get_terminal_size().columns - 1
    shown = text[-width:]
    ahead = f"\x1b[{len(shown)}C" if shown else ""
    below = _said(words)[:width]
    sys.stdout.write(f"\r{_CLEAR}{shown}\n{_CLEAR}{below}\x1b[1A\r{ahead}")
    sys.stdout.flush()


def _said(words: Sequence[Any]) -> str:
    """Return words with their probabilities in one line, also those that hold line breaks."""
    return "  ".join(f"{'⏎'.join(word.text.splitlines())} {word.probability:.1%}" for word in words)


def _has_keys() -> bool:
    """Tell whether single keys can be read here, which not every system allows."""
    from importlib.util import find_spec

    return find_spec("termios") is not None

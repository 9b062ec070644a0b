"""Talking with a run: a dialogue in the terminal, or an answer a line."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from elman.cli import early, show
from elman.cli.arguments import AsJson, Options, RunPath, With, options_given
from elman.errors import InputError

_HELP = """/n-best [N]  the N best answers to what was said last, with their scores (5)
/why         where the model looked for each word of its last answer
/reset       begin a new dialogue
/help        this list
/quit        end, as Ctrl-D does"""
_N_BEST = 5
_PLAIN = " .:*#"
"""Shades for where the others cannot be written."""


def chat(
    run: RunPath, with_: With = "model", set_: Options = None, as_json: AsJson = False
) -> None:
    """Talk with a run of `translate` that was trained on dialogues.

    What was said before is carried along, as many turns as in training. In a terminal /help lists
    what else can be typed; from a file or another program each line is answered by a line.
    """
    options = options_given(set_)
    with early.interrupted(["chat"]):
        from elman.runs import pipeline

    talk(pipeline.load(run, with_).chat(**options), as_json)


def talk(dialogue: Any, in_json: bool) -> None:
    """Answer each line until the input ends.

    In a terminal a mistake is told and the dialogue goes on, and in JSON too, where it is the
    answer of its line. Of other lines that come from a file or another program, a mistake ends it.

    Args:
        dialogue: what `elman.Model.chat` returns.
        in_json: print a JSON object for each answer.
    """
    by_hand = sys.stdin.isatty() and sys.stdout.isatty()
    if by_hand:
        show.say("Say something. /help lists what else can be typed, Ctrl-D ends.")
    try:
        for number, line in enumerate(_typed() if by_hand else lines(), 1):
            try:
                if line.strip() == "/quit":
                    break
                sys.stdout.write(_answer(dialogue, line, in_json, by_hand))
                sys.stdout.flush()
            except InputError as wrong:
                if in_json:
                    sys.stdout.write(as_line({"error": str(wrong)}))
                    sys.stdout.flush()
                    continue
                if not by_hand:
                    raise InputError(str(wrong), file="standard input", row=number) from None
                show.error(str(wrong))
    except KeyboardInterrupt:
        sys.stderr.write("\n")


def _answer(dialogue: Any, line: str, in_json: bool, by_hand: bool) -> str:
    """Return what is printed for a line, with its end."""
    text = line.strip()
    if text.startswith("/"):
        return _told(dialogue, *text[1:].split(), in_json=in_json)
    if not text and by_hand:
        return ""
    said = dialogue.say(text) if text else ""
    return as_line({"said": text, "answer": said}) if in_json else f"{said}\n"


def _told(dialogue: Any, verb: str = "", *rest: str, in_json: bool) -> str:
    """Return what is printed for what begins with a stroke."""
    if verb == "n-best" and len(rest) < 2 and all(map(str.isdecimal, rest)):
        found = dialogue.n_best(int(rest[0]) if rest else _N_BEST)
        if in_json:
            listed = [{"answer": one.text, "score": one.score} for one in found]
            return as_line({"n_best": listed})
        return "".join(f"{one.score:8.3f}  {one.text}\n" for one in found)
    if verb == "why" and not rest:
        width = shutil.get_terminal_size().columns
        shades = () if _can_write("░▒▓█") else (_PLAIN,)
        drawn = dialogue.why(width, *shades)
        return as_line({"why": drawn}) if in_json else f"{drawn}\n"
    if verb == "reset" and not rest:
        dialogue.reset()
        return as_line({"reset": True}) if in_json else ""
    if verb == "help":
        return as_line({"help": _HELP}) if in_json else f"{_HELP}\n"
    raise InputError(f"There is no /{' '.join([verb, *rest])}.", fix="/help lists what there is.")


def lines() -> Iterator[str]:
    """Yield the lines of standard input without their ends.

    Raises:
        InputError: a line is not UTF-8.
    """
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise InputError("not UTF-8.", file="standard input", row=number) from None


def _typed() -> Iterator[str]:
    """Yield lines that are typed, with the keys of an editor where Python has them."""
    with contextlib.suppress(ImportError):  # not on every system; lines are typed without it
        import readline  # noqa: F401
    while True:
        try:
            yield input("> ")
        except EOFError:
            sys.stdout.write("\n")
            return
        except UnicodeDecodeError:
            show.error("That was not UTF-8.")


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def as_line(value: Any) -> str:
    """Return a value as JSON in a line."""
    return json.dumps(value, ensure_ascii=False) + "\n"

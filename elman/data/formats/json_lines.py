"""JSON: an object a line, objects one after another, or one array of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.data import files
from elman.data.formats import json_columns
from elman.data.nested import as_column
from elman.data.table import Origin, Table, build
from elman.data.turn_names import SPEAKER, plain
from elman.data.turns import NoTurns, conversation, is_conversation, named, usual
from elman.errors import InputError

_SEVERAL = ("conversations", "dialogues", "dialogs", "chats", "calls")
"""Names of a list of whole conversations."""


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read JSON objects: keys become columns; a key that an object lacks is a missing value.

    The keys of an object within an object become columns too, named after the way to them.

    Texts with spans of characters become the columns `tokens` and `tags`; see `tagged_json`. A
    line that is a list of texts or of utterances is a conversation, in the column `turns`; a list
    of a moment and numbers gives the columns `time` and `value`. A file
    `.json` that is an array of texts, or a text in a line, gives the column `text`.
    """
    import pandas as pd

    from elman.data.formats import exported_chats, label_studio, prodigy, squad, tagged_json

    held = {path: [*zip(*records(path, encoding), strict=True)] for path in dict.fromkeys(paths)}
    empty = next((path for path, read in held.items() if not read), None)
    if empty is not None:
        raise InputError("The file is empty.", file=empty)
    # Whether a row may have several labels is settled for all files.
    listed = any(prodigy.several(rows) for _, rows in held.values())
    questions = {name for _, rows in held.values() for name in label_studio.listed(rows)}
    found: list[dict[str, Any]] = []
    origins, notes, left_out = [], [], []
    for path, (lines, read) in held.items():
        numbers, rows = [*lines], [*read]
        if (choices := label_studio.chosen(rows, questions)) is not None:
            count = len(rows)
            kept, rows = choices
            numbers = [numbers[place] for place in kept]
            notes.append(f"{path.name} is an export of Label Studio with choices.")
            if len(kept) < count:
                left = count - len(kept)
                left_out.append(f"{left:,} of {count:,} texts were left out: not annotated.")
        if (accepted := prodigy.answered(rows, listed)) is not None:
            kept, rows, said = accepted
            if not kept:
                raise InputError("No line was accepted in Prodigy.", file=path)
            numbers = [numbers[place] for place in kept]
            notes.append(f"{path.name} holds lines of Prodigy.")
            left_out += said
        squad.refuse(rows, path)
        if (spoken := exported_chats.chats(rows)) is not None:
            rows = spoken.rows
            if not rows:
                raise InputError("Nobody wrote a message in these chats.", file=path)
            numbers = [*range(1, len(rows) + 1)]
            notes.append(f"{path.name} is an export of {spoken.program}.")
            left_out += spoken.left_out
        if len(rows) == 1 and (folded := _unfolded(rows[0], path)) is not None:
            rows, note = folded
            numbers = [*range(1, len(rows) + 1)]
            notes.append(f"{path.name} is one object: {note}.")
        if len(rows) > 1 and files.suffix(path) == ".json" and _all_texts(rows):
            notes.append(
                f"{path.name} holds texts alone, a row each (one conversation is written "
                '[["Hello.", "Hi."]]).'
            )
        found += rows
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    if not any(found):
        raise InputError("The objects have no named values.", file=paths[0])
    found = [_with_whole_texts(record) for record in found]
    unwrapped = [label_studio.unwrapped(record) for record in found]
    if all(map(tagged_json.has_spans, unwrapped)) or any(map(tagged_json.marks_spans, unwrapped)):
        return tagged_json.read(paths, columns=columns, types=types, encoding=encoding)
    names = list(dict.fromkeys(name for record in found for name in record))
    frame = pd.DataFrame(
        {name: as_column([record.get(name) for record in found]) for name in names}
    )
    meta = {"notes": notes} if notes else {}
    meta |= {"left_out": left_out} if left_out else {}
    return build(frame, origins, columns=columns, types=types, meta=meta)


def _with_whole_texts(record: dict[str, Any]) -> dict[str, Any]:
    """Return an object whose texts in parts, with links and the like among them, are whole.

    Telegram writes messages so, and interfaces of language models.

    >>> _with_whole_texts({"text": ["see ", {"type": "link", "text": "x.org"}, "!"]})
    {'text': 'see x.org!'}
    """
    parts = {name: value for name, value in record.items() if _is_text_in_parts(value)}
    return record | {
        name: "".join(part if isinstance(part, str) else part["text"] for part in value)
        for name, value in parts.items()
    }


def _is_text_in_parts(value: Any) -> bool:
    """Tell whether a list holds pieces of one text, each bare or an object with type and text."""
    if not isinstance(value, list) or not any(isinstance(part, dict) for part in value):
        return False
    return all(
        isinstance(part, str)
        or (
            isinstance(part, dict)
            and isinstance(part.get("text"), str)
            and isinstance(part.get("type"), str)
            and named(part, SPEAKER) is None
        )
        for part in value
    )


def _all_texts(rows: Sequence[dict[str, Any]]) -> bool:
    return all(list(row) == ["text"] and isinstance(row["text"], str) for row in rows)


def _unfolded(record: dict[str, Any], path: Path) -> tuple[list[dict[str, Any]], str] | None:
    """Return the rows of a file that is one object, and how they stand in it; None where the object
    is a row itself.

    Rows stand under one name, `{"data": [{…}, …]}`, or as lists or objects (`json_columns`).
    """
    lists = [
        name
        for name, value in record.items()
        if isinstance(value, list) and len(value) > 1 and all(isinstance(v, dict) for v in value)
    ]
    for name, value in record.items():
        several = isinstance(value, list) and bool(value) and plain(name) in _SEVERAL
        if several and all(isinstance(one, list) for one in value):
            return [{"turns": one} for one in value], f"its conversations are those under {name!r}"
    if any(usual(name) and is_conversation(name, record[name]) for name in lists):
        return None  # the file is one conversation
    if len(lists) == 1:
        return record[lists[0]], f"its rows are those under {lists[0]!r}"
    return json_columns.rows_of(record, path)


def records(path: Path, encoding: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield objects, each with its row; see `values`.

    Raises:
        InputError: as `values`, or a value is no object with named values.
    """
    for number, value in values(path, encoding):
        record = _object(value, path, number)
        within = record.get("rasa_nlu_data")
        if isinstance(within, dict) and isinstance(within.get("common_examples"), list):
            for count, one in enumerate(within["common_examples"], 1):
                yield count, _object(one, path, count)
        elif (pairs := _of_annotator(record)) is not None:
            for count, one in enumerate(pairs, 1):
                if one is not None:  # a line that was not looked at
                    yield count, _object(one, path, count)
        else:
            yield number, record


def values(path: Path, encoding: str | None = None) -> Iterator[tuple[int, Any]]:
    """Yield what stands in each line, each with its row: the line on which it begins.

    A file of a value a line is read line by line, any other as a whole; an array that is all of a
    file gives what stands in it. Where several values of an array stand on one line, and no others
    do, the row is the number in the array.

    Raises:
        InputError: a line or a value is not JSON.
    """
    lines = files.lines(path, encoding)
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    alone = True  # nothing was read before
    one = next(numbered, None)
    while one is not None:
        number, line = one
        try:
            value = json.loads(line)
        except ValueError as error:
            if alone and _goes_on(line, error):
                yield from _whole("".join(["\n" * (number - 1) + line, *lines]), path)
                return
            raise InputError(
                f"The line is not JSON ({getattr(error, 'msg', error)}).",
                file=path,
                row=number,
                fix="Correct or remove the line.",
            ) from None
        except RecursionError:
            raise _too_deep(path, number) from None
        one = next(numbered, None)
        # A line of texts is a conversation; a file called .json that is one array holds a row each.
        of_texts = bool(value) and isinstance(value, list) and all(map(_is_text, value))
        of_texts = of_texts and files.suffix(path) != ".json"
        if alone and one is None and isinstance(value, list) and not of_texts:
            yield from _whole(line, path, number)
            return
        alone = False
        yield number, value


def _too_deep(path: Path, row: int) -> InputError:
    return InputError(
        "Lists or objects stand within each other more deeply than can be read.",
        file=path,
        row=row,
        fix="Correct or remove it.",
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _goes_on(line: str, error: ValueError) -> bool:
    """Say whether a line only begins an array or an object, and so far is right."""
    end = len(line.rstrip())
    return line.lstrip()[:1] in ("[", "{") and getattr(error, "pos", 0) >= end


def _whole(text: str, path: Path, first: int = 1) -> Iterator[tuple[int, Any]]:
    """Yield the values of an array, or that stand one after another, over any number of lines."""
    decode = json.JSONDecoder().raw_decode
    skipped = re.compile(r"[\s,]*")
    at = len(text) - len(text.lstrip())
    array = text.startswith("[", at)
    at = at + 1 if array else at
    on_a_line = array and "\n" not in text[at:].strip().removesuffix("]").strip()
    number, counted, before = first, 0, 0
    while True:
        start = at
        begin = skipped.match(text, at)
        assert begin is not None
        at = begin.end()
        number, counted = number + text.count("\n", counted, at), at
        row = before + 1 if on_a_line and before else number
        if text.count(",", start, at) > 1 or (at == len(text) and array):
            what = "The array does not end" if at == len(text) else "There are two commas"
            raise InputError(f"{what}.", file=path, row=row, fix="Fetch or write it again.")
        if at == len(text):
            return
        if array and text[at] == "]":
            if text[at + 1 :].strip():
                raise InputError("Something follows the array.", file=path, row=number)
            return
        try:
            value, at = decode(text, at)
        except ValueError as error:
            at_line = first + text.count("\n", 0, getattr(error, "pos", 0))
            raise InputError(
                f"The object that begins here is not JSON ({getattr(error, 'msg', error)}, line "
                f"{at_line}).",
                file=path,
                row=row,
                fix="Correct or remove it.",
            ) from None
        except RecursionError:
            raise _too_deep(path, row) from None
        if on_a_line and before == 0:
            follows = skipped.match(text, at)
            assert follows is not None
            on_a_line = "," in follows[0]  # a value by itself has its line
            row = 1 if on_a_line else number
        before += 1
        yield row, value


def _object(record: Any, path: Path, number: int) -> dict[str, Any]:
    """Return what is to be an object with named values; a conversation by itself has the name
    `turns`, a text `text`.

    Raises:
        InputError: it is something else, or holds all rows under one name.
    """
    if _is_pair_of_spacy(record):
        text, about = record
        return {"text": text, **about}
    if (dated := json_columns.of_moment(record)) is not None:
        return dated
    if isinstance(record, list) and any(isinstance(one, str | list | dict) for one in record):
        try:
            return {"turns": conversation(record)}
        except NoTurns as error:
            if any(isinstance(one, str) for one in record):
                raise InputError(
                    str(error), file=path, row=number, fix="Write a list of texts."
                ) from None
    if isinstance(record, str) and record.strip():
        return {"text": record}
    if not isinstance(record, dict):
        raise InputError(
            f"Here stands {_called(record)}, not an object with named values.",
            file=path,
            row=number,
            fix='Write {"name": value, ...} for each row.',
        )
    return record


def _of_annotator(record: dict[str, Any]) -> list[Any] | None:
    """Return the texts of a file of the annotator for spaCy, {"classes": …, "annotations": …}."""
    pairs = record.get("annotations")
    if not isinstance(record.get("classes"), list) or not isinstance(pairs, list):
        return None
    there = [one for one in pairs if one is not None]
    return pairs if there and all(map(_is_pair_of_spacy, there)) else None


def _is_pair_of_spacy(value: Any) -> bool:
    """Tell whether a value is a text and its entities, as training data of spaCy 2 have them.

    >>> _is_pair_of_spacy(["to Oslo", {"entities": [[3, 7, "city"]]}])
    True
    """
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        return False
    return isinstance(value[1], dict) and bool({"entities", "cats"} & set(value[1]))


def _called(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")

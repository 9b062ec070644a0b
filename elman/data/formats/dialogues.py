"""Dialogues in text: a line each as DailyDialog writes them, `__eou__` after each utterance; or an
utterance a line, and a blank line between dialogues.

Columns after a tab hold a number for the dialogue, or one for each utterance.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from elman.data import files
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.data.turns import END, Conversation, Turn, before_colons
from elman.errors import InputError

_LOOKED_AT = 200
"""Lines of a file by which its form is known."""
_TOP = 8
_OF_MAIL = re.compile(r"(From|To|Cc|Subject|Date|Message-ID|Received|Reply-To):\s", re.IGNORECASE)
"""Begins a line at the top of an e-mail."""
_SPEAKERS = ("A", "B")
_TOPICS = (
    *("ordinary life", "school life", "culture and education", "attitude and emotion"),
    *("relationship", "tourism", "health", "work", "politics", "finance"),
)
_ACTS = ("inform", "question", "directive", "commissive")
_EMOTIONS = ("none", "anger", "disgust", "fear", "happiness", "sadness", "surprise")


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read dialogues of two speakers in turn, and the columns after a tab where there are any.

    Three columns of a topic from 1 to 10, acts from 1 to 4 and emotions from 0 to 6 are those of
    DailyDialog, and get their names. Other columns are `column 2` and so on, of tokens where some
    cell has several.

    Where `columns` are `turns` alone, what stands after a tab is not looked at.

    Raises:
        InputError: a line has no utterance, or lines have unequal numbers of columns.
    """
    import pandas as pd

    alone = columns is not None and set(columns) == {"turns"}
    cells: list[Conversation] = []
    rest: list[list[list[str]]] = []
    origins, places = [], []
    for path in paths:
        numbers = []
        for number, line in enumerate(files.lines(path, encoding), 1):
            if not line.strip():
                continue
            text, *others = line.rstrip("\n").split("\t")
            others = [] if alone else others
            if rest and len(others) != len(rest[0]):
                raise InputError(
                    f"The line has {len(others)} columns after the dialogue; the first one has "
                    f"{len(rest[0])}.",
                    file=path,
                    row=number,
                    fix="Write as many in each line, with a tab before each.",
                )
            cells.append(_dialogue(text, path, number))
            rest.append([other.split() for other in others])
            numbers.append(number)
            places.append((path, number))
        if not numbers:
            raise InputError("The file is empty.", file=path)
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    frame = pd.DataFrame({"turns": objects(list(cells))})
    known: dict[str, Kind] = {"turns": "turns"}
    notes = [
        f"A line is a dialogue, {END} ends an utterance, and two speakers take turns: "
        f"{' and '.join(_SPEAKERS)}."
    ]
    if rest[0] and all(rest):
        of_daily = _of_daily(rest)
        names = list(of_daily or (f"column {place}" for place in range(2, len(rest[0]) + 2)))
        for place, name in enumerate(names):
            found = [row[place] for row in rest]
            empty = next((row for row, value in enumerate(found) if not value), None)
            if empty is not None:
                raise InputError(
                    f"The {name} of this dialogue is missing.",
                    file=places[empty][0],
                    row=places[empty][1],
                    fix="Write it, or take the line out.",
                )
            if of_daily is not None:
                words, least = of_daily[name]
                found = [[words[int(code) - least] for code in value] for value in found]
            single = all(len(value) == 1 for value in found) and (
                of_daily is None or name == "topic"
            )
            frame[name] = pd.Series(
                [value[0] for value in found] if single else objects(found), dtype=object
            )
            known[name] = "category" if single else "tokens"
        if of_daily is not None:
            notes.append(
                "The columns after the dialogue are those of DailyDialog (topic, acts, emotions); "
                "their numbers were given their names."
            )
    return build(frame, origins, known=known, columns=columns, types=types, meta={"notes": notes})


def _dialogue(text: str, path: Path, number: int) -> Conversation:
    said = [one.strip() for one in text.split(END)]
    if not said[-1]:
        said.pop()  # the last utterance has its mark too
    if not said:
        raise InputError(
            "The dialogue has no utterance.",
            file=path,
            row=number,
            fix="Write one before the mark, or take the line out.",
        )
    return Conversation(
        Turn(_SPEAKERS[place % len(_SPEAKERS)], one) for place, one in enumerate(said)
    )


def in_lines(path: Path, encoding: str | None = None) -> str | None:
    """Return how the utterances of a text file stand: "marks", "lines", or None where it has
    none."""
    head = list(itertools.islice(files.lines(path, encoding), _LOOKED_AT))
    if any(END in line for line in head):
        return "marks"
    full = [bool(line.strip()) for line in head]
    groups = [len(list(run)) for filled, run in itertools.groupby(full) if filled]
    return "lines" if len(groups) > 1 and max(groups) > 1 else None


def names_speakers(path: Path, encoding: str | None = None) -> bool:
    """Tell whether most lines of a text file begin with one of two speakers or more."""
    head = itertools.islice(files.lines(path, encoding), _LOOKED_AT)
    said = before_colons([" ".join(line.split()) for line in head if line.strip()])
    named = [one.speaker for one in said if one.speaker]
    return 2 * len(named) > len(said) and 1 < len(set(named)) < len(named)


def read_lines(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read an utterance a line, and a blank line between dialogues; nobody is named, or each
    before a colon.

    Raises:
        InputError: a file is empty.
    """
    cells: list[Conversation] = []
    origins = []
    notes = ["A line is an utterance; a blank line stands between dialogues."]
    for path in paths:
        filled = [
            (n, line) for n, line in enumerate(files.lines(path, encoding), 1) if line.strip()
        ]
        if not filled:
            raise InputError("The file is empty.", file=path)
        if sum(_OF_MAIL.match(line) is not None for _, line in filled[:_TOP]) > 1:
            raise InputError(
                "This is an e-mail; the messages that it quotes are not read as a dialogue.",
                file=path,
                fix="Give a table with a row for each message: conversation, speaker, text.",
            )
        numbers = [number for number, _ in filled]
        texts = [" ".join(line.split()) for _, line in filled]
        said = before_colons(texts)
        if 2 * sum(bool(one.speaker) for one in said) > len(said):
            notes.append(f"In {path.name} the speaker stands before a colon.")
        else:
            said = [Turn("", text) for text in texts]
        # A dialogue begins where a line does not follow the one before it.
        begins = [
            place for place, n in enumerate(numbers) if place == 0 or numbers[place - 1] + 1 < n
        ]
        ends = [*begins[1:], len(said)]
        cells += [Conversation(said[i:j], numbers[i:j]) for i, j in zip(begins, ends, strict=True)]
        firsts = [numbers[place] for place in begins]
        origins.append(Origin(path, len(firsts), firsts.__getitem__))
    return table_of(cells, origins, columns, types, notes)


def table_of(
    cells: Sequence[Conversation],
    origins: Sequence[Origin],
    columns: Sequence[str] | None,
    types: Mapping[str, str] | None,
    notes: Sequence[str] = (),
) -> Table:
    """Return conversations as the column `turns` of a table; `columns` and `types` as `build`."""
    import pandas as pd

    frame = pd.DataFrame({"turns": objects(list(cells))})
    meta = {"notes": list(notes)} if notes else {}
    known: dict[str, Kind] = {"turns": "turns"}
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def _of_daily(
    rest: Sequence[Sequence[Sequence[str]]],
) -> dict[str, tuple[tuple[str, ...], int]] | None:
    """Return the names of DailyDialog's columns, with the words of each and its first number."""
    if len(rest[0]) != 3:
        return None
    known = {"topic": (_TOPICS, 1), "acts": (_ACTS, 1), "emotions": (_EMOTIONS, 0)}
    for place, (words, least) in enumerate(known.values()):
        codes = {code for row in rest for code in row[place]}
        if not codes <= {str(least + k) for k in range(len(words))}:
            return None
    return known if all(len(row[0]) == 1 for row in rest) else None

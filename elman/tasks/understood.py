"""Words for what was understood of a person's data, said before the first step of training.

A run with a wrong reading is worse than one that fails. So each task says in a few lines how the
files were read, what was taken for what and why, what was left out, and how it was split; and in
plain words where the reading is doubtful.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from elman.data import numerals, transcripts
from elman.data.kinds import MISSING
from elman.data.stand_ins import stand_in_words, stand_ins
from elman.data.turns import Conversation
from elman.modalities import MODALITIES
from elman.tasks.answers import ANSWERS
from elman.writing import written

if TYPE_CHECKING:
    from elman.data import Table
    from elman.data.splitting import Duplicates
    from elman.tasks.reading.examples import Examples
    from elman.tasks.reading.layout import Layout

_WIDE = 100
"""Characters of a line of words at most; a longer list is cut and says so."""
_TEXTS = {
    "first": ("the words of each line after its label", "the first word of each line"),
    "before tab": ("the text of each line after the tab", "the text of each line before the tab"),
    "after tab": ("the text of each line before the tab", "the text of each line after the tab"),
}
"""The input and the answer of plain text, by the place of the label."""
_MANY_CLASSES = 1000
_FEW_A_CLASS = 5
"""Examples of a class, in the mean, below which so many classes are doubtful."""
_MANY_A_CLASS = 10
"""Examples of a class, in the mean, beside which one alone may be a slip."""
_SHARED = 0.01
"""Share of a part that stands in an earlier part too, from which it is a doubt."""
_SHORT = 3
"""Words of a text, at most, that is a name rather than something to read."""
_NO_CLASS = frozenset(
    word.casefold() for word in (*MISSING - {""}, "unknown", "unk", "none of these", "missing")
)
"""Names of a class that may say that there is none."""
_ID = re.compile(r"[A-Za-z]{0,4}[-_#]?\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Understood:
    """The reading of a person's data, in words.

    Attributes:
        lines: pairs of a word (read, input, answer, split) and what is to be said of it.
        doubts: what a person should look at, a sentence or two each.
    """

    lines: list[tuple[str, str]]
    doubts: list[str]

    def __str__(self) -> str:
        width = max((len(word) for word, _ in self.lines), default=0)
        said = [f"{word:<{width}}  {text}" for word, text in self.lines]
        return "\n".join([*said, *(f"Doubtful: {doubt}" for doubt in self.doubts)])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"lines": [list(pair) for pair in self.lines], "doubts": list(self.doubts)}


class Column(NamedTuple):
    """A column of a table: its kind, its empty cells, and what it was used for."""

    name: str
    kind: str
    missing: int
    use: str


def columns_of(table: Table, layout: Layout) -> list[Column]:
    """Return each column of a table with what it was used for."""
    uses: dict[str, str] = dict.fromkeys(layout.inputs, "input")
    uses |= dict.fromkeys(layout.answers, "answer")
    for name, use in ((layout.group, "group"), (layout.time, "order of steps")):
        if name is not None:
            uses[name] = use
    return [
        Column(name, kind, int(table.frame[name].isna().sum()), uses.get(name, "left out"))
        for name, kind in table.kinds.items()
    ]


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names joined by commas; of many only the first, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown: list[str] = []
    length = 0
    for name in names:
        length += len(name) + 2
        if len(shown) == most or (shown and length > _WIDE):
            break
        shown.append(shorter(name, 60))
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def shorter(text: str, most: int = 70) -> str:
    """Return a text on one line, cut with an ellipsis where it is too long.

    >>> shorter("one two", most=5)
    'one t…'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "…"


def input_words(layout: Layout, given: Mapping[str, Any]) -> str:
    """Return where a sequence was found, and why there."""
    of, many = layout.modality, listed(layout.inputs)
    if layout.labels in _TEXTS:
        return f"{_TEXTS[layout.labels][0]}, as {of}"
    if layout.each is not None:
        return f"each {layout.each}, as {of}"
    if layout.form == "cell":
        usual = getattr(MODALITIES[of], "usual", ())
        why = "by its name" if layout.inputs[0].casefold() in usual else f"the one column of {of}"
        return f"column {layout.inputs[0]!r}, as {of} ({_why(given, 'text', why)})"
    count = len(layout.inputs)
    left = "all columns of numbers that are left" if _of_numbers(layout) else "the column of words"
    why = _why(given, "columns", left)
    if layout.form == "row":
        what = "the numbers of a row" if of == "number" else "the numbers of a row, a step each"
        return f"{what}, as {of}: {count} column{'s' * (count > 1)}, {many} ({why})"
    if hasattr(MODALITIES[of], "transcript"):
        why = _why(given, "columns", "by their names")
    order = f"in the order of {layout.time!r}" if layout.time else "in the order of the file"
    rows = f"the rows of each {layout.group!r}" if layout.group else "all rows as one sequence"
    return f"{rows}, {order}, as {of}; a step is {many} ({why})"


def _of_numbers(layout: Layout) -> bool:
    kinds = MODALITIES[layout.modality].kinds
    return not kinds or "series" in kinds


def answer_words(layout: Layout, given: Mapping[str, Any], word: str) -> str:
    """Return which columns hold the answer, and why those."""
    if layout.labels in _TEXTS:
        first = layout.labels == "first" and word == "set of labels"
        return "the first words of each line" if first else _TEXTS[layout.labels][1]
    if layout.labels == "file":
        return "the name of the file or of its folder"
    several = len(layout.answers) > 1
    names = listed([repr(name) for name in layout.answers])
    why = f"by {'their names' if several else 'its name'}, or as the only one that can be a {word}"
    each = ", one for each step" if layout.aligned else ""
    return f"column{'s' * several} {names}{each} ({_why(given, 'target', why)})"


def _why(given: Mapping[str, Any], setting: str, found: str) -> str:
    return f"as {setting} says" if given.get(setting) else found


def left_out(columns: Sequence[Column], reasons: Mapping[str, str]) -> str | None:
    """Return the columns that nothing is learnt from and why, or None where there are none."""
    names = [
        f"{c.name} ({reasons.get(c.name, f'{c.kind}, neither input nor answer')})"
        for c in columns
        if c.use == "left out" or (c.use == "order of steps" and c.name in reasons)
    ]
    return listed(names) if names else None


def class_words(counts: Mapping[str, int]) -> str:
    """Return the number of classes and how often each comes, the commonest first.

    >>> class_words({"neg": 3, "pos": 5})
    '2 classes: pos 5, neg 3'
    """
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return f"{len(counts)} classes: {listed([f'{name} {count:,}' for name, count in ordered])}"


def many(count: int, unit: str) -> str:
    """Return a number with its unit, which is given in the plural.

    >>> many(2, "steps"), many(1, "steps")
    ('2 steps', '1 step')
    """
    return f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"


def shown_cell(encoded: Any, decoded: Any, unit: str) -> str:
    """Return a sequence as the model reads it: its text, or its first numbers."""
    if isinstance(decoded, str | Conversation):
        return repr(shorter(str(decoded).replace("\n", " / ")))
    if isinstance(decoded, list) and all(isinstance(word, str) for word in decoded):
        return repr(shorter(" ".join(decoded)))
    numbers = np.asarray(encoded)
    flat = numbers.reshape(-1)
    first = ", ".join(written(value, 3) for value in flat[:5].tolist())
    more = ", …" if len(flat) > 5 else ""
    if numbers.ndim < 2:
        return f"{first}{more}"
    steps, each = many(len(numbers), unit), many(numbers[:1].size, "numbers")
    return f"{steps} of {each}, scaled: {first}{more}"


def shown_answer(answer: Any) -> str:
    """Return an answer in a few words; of steps the first few."""
    if isinstance(answer, list):
        head = " ".join(shown_answer(one) for one in answer[:8])
        return head + (" …" if len(answer) > 8 else "")
    if isinstance(answer, tuple):
        return (
            "(none)" if not answer else " ".join(shown_answer(one) for one in answer if one != "")
        )
    return (
        written(float(answer))
        if isinstance(answer, float | np.floating)
        else shorter(str(answer), 40)
    )


def doubts_of_classes(labels: Sequence[str], found: Examples) -> list[str]:
    """Return doubts about classes: those named like files, and too many of them."""
    counts, doubts = Counter(labels), []
    files = {file for file, _ in map(found.where, range(len(found)))}
    stems = {file.stem for file in files if file is not None}
    if len(stems) > 1 and set(counts) == stems:
        doubts.append(
            f"each class is named like a file ({listed(sorted(stems), 4)}), so a model learns to "
            "tell the files apart. If the labels stand inside the files, name their column "
            "with --set target=NAME."
        )
    if len(counts) > _MANY_CLASSES or len(labels) < _FEW_A_CLASS * len(counts) > 2 * _FEW_A_CLASS:
        mean = len(labels) / len(counts)
        doubts.append(
            f"there are {len(counts):,} classes with {mean:.1f} examples each in the mean. If "
            "these are no classes, name another column with --set target=NAME."
        )
    return doubts


def doubts_of_absent(counts: Mapping[str, int], parts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a doubt where a class of training is in another part never, though that is large.

    Args:
        counts: class → examples of training.
        parts: other parts → the classes of their examples.
    """
    doubts = []
    total = sum(counts.values())
    for part, labels in parts.items():
        there = set(labels)
        absent = [
            name
            for name, count in counts.items()
            if name not in there and count / total * len(labels) >= _FEW_A_CLASS
        ]
        if absent:
            named = listed([f"{name!r} ({counts[name]:,} examples)" for name in absent], 4)
            doubts.append(
                f"{named} of train {'are' if len(absent) > 1 else 'is'} never in {part}: is it a "
                f"class? If not, take its examples out of train."
            )
    return doubts


def doubts_of_no_class(counts: Mapping[str, int]) -> list[str]:
    """Return a doubt where a class is called as if an example had none, such as N/A or unknown.

    >>> len(doubts_of_no_class({"pos": 3, "neg": 3, "N/A": 1})), doubts_of_no_class({"yes": 1})
    (1, [])
    """
    found = [name for name in counts if name.strip().casefold() in _NO_CLASS]
    if not found or len(counts) - len(found) < 2:
        return []
    named = listed([f"{name!r} ({counts[name]:,})" for name in found], 4)
    return [
        f"{named} {'are' if len(found) > 1 else 'is'} learnt as a class like the others. If it "
        "says that the class is not known, take those rows out; if it says that an example is "
        f"of no class, set outside={quote(found[0])}."
    ]


def doubts_of_one_example(counts: Mapping[str, int], parts: Mapping[str, Examples]) -> list[str]:
    """Return a doubt where a class has one example, and the others have many.

    Args:
        counts: class → examples of all parts.
        parts: part → its examples.
    """
    once = [name for name, count in counts.items() if count == 1]
    if not once or sum(counts.values()) < _MANY_A_CLASS * len(counts):
        return []
    places = (
        found.where((found.answers or []).index(once[0]))
        for found in parts.values()
        if once[0] in (found.answers or [])
    )
    file, row = next(places)
    where = f"row {row}" if file is None else f"{file.name}, row {row}"
    one = len(once) == 1
    return [
        f"{'class' if one else f'{len(once):,} classes, such as'} {once[0]!r} ({where}) "
        f"{'has' if one else 'have'} one example{'' if one else ' each'}, by which nothing can be "
        "both learnt and judged. Correct the label if it is a slip, or take the row out."
    ]


def doubts_of_inputs(layout: Layout, cells: Sequence[Any]) -> list[str]:
    """Return doubts about what is read: ids, or short texts where numbers beside them are not."""
    texts = [cell if isinstance(cell, str) else None for cell in cells[:1000]]
    there = [text.strip() for text in texts if text is not None]
    named = [text for text in there if _ID.fullmatch(text)]
    if len(texts) >= 3 and len(named) >= 0.9 * len(texts):
        return [
            f"column {layout.inputs[0]!r} looks like ids ({listed(named, 3)}), from which nothing "
            "can be learnt about new ones. Name the column to read with --set text=NAME, or the "
            "numbers with --set columns=[A,B,…]."
        ]
    unread = [name for name, why in layout.left_out.items() if why.startswith("number, ")]
    short = sum(len(text.split()) <= _SHORT for text in there)
    if len(unread) < 2 or not there or short < 0.9 * len(there):
        return []
    return [
        f"the texts of column {layout.inputs[0]!r} are read, and the numbers beside them are not "
        f"({listed(unread, 6)}). Set columns=[{','.join(unread[:6])}] if those are what is to be "
        "learnt from."
    ]


def doubts_of_numbers(table: Table, layout: Layout) -> list[str]:
    """Return doubts about columns of strings that are like numbers: read so, as text, or left out.

    Args:
        table: of training.
        layout: where its sequences and answers stand.
    """
    doubts = []
    for name, kind in table.kinds.items():
        if kind not in ("text", "category") or name in (layout.group, layout.time):
            continue
        cells = table.frame[name].fillna("").astype(str).str.strip()
        if name in layout.inputs and layout.form != "cell" and _of_numbers(layout):
            place = int(np.argmax(cells.str.match(r"[-+]?0\d")))
            doubts.append(
                f"column {name!r} is read as numbers ({cells.iloc[place]!r} in row "
                f"{table.where(place)[1]}). If it holds names, leave it out with "
                "--set columns=[A,B,…]."
            )
            continue
        found = numerals.with_units(cells, MISSING)
        if found is not None and name not in layout.answers:
            use = "read as text" if name in layout.inputs else "left out"
            doubts.append(
                f"column {name!r} is {use}, for its numbers have something behind them "
                f"({cells.iloc[found]!r} in row {table.where(found)[1]}). Write the numbers alone "
                "if they are to be learnt from."
            )
    return doubts


def doubts_of_marks(table: Table, layout: Layout) -> list[str]:
    """Return doubts about numbers of input or answer that look like marks of a missing value."""
    fixes = dict.fromkeys(layout.answers, "take out its rows")
    if layout.form != "cell" and _of_numbers(layout):
        fixes |= dict.fromkeys(layout.inputs, "take out its rows, or write there what is likely")
    doubts = []
    for name, fix in fixes.items():
        if table.kinds[name] != "number":
            continue
        values = table.numbers(name, allow_missing=True)
        for mark in stand_ins(values, codes=name in layout.answers):
            doubts.append(stand_in_words(mark, name, f"row {table.where(mark.first)[1]}", fix))
    return doubts


def doubts_of_times(table: Table, layout: Layout) -> list[str]:
    """Return a doubt where rows of one sequence have the same time."""
    if layout.form != "long" or layout.time is None:
        return []
    names = [name for name in (layout.group, layout.time) if name is not None]
    again = table.frame.duplicated(names).to_numpy() & table.frame[layout.time].notna().to_numpy()
    if not again.any():
        return []
    row = int(np.argmax(again))
    many, their = (
        (f"{again.sum():,} rows have", "their") if again.sum() > 1 else ("1 row has", "its")
    )
    of = f" of {their} {layout.group!r}" if layout.group else ""
    whose = f"{table.labels(layout.group)[row]!r}, " if layout.group else ""
    return [
        f"{many} the same {layout.time!r} as another row{of} (the first: "
        f"{whose}row {table.where(row)[1]}), and stay in the order of the file. Take out what "
        "stands there twice."
    ]


def doubts_of_answers(table: Table, layout: Layout, given: Mapping[str, Any]) -> list[str]:
    """Return a doubt where the answer was found by its name and another column may be it too.

    Args:
        table: of training.
        layout: where its sequences and answers stand.
        given: the settings; nothing is doubtful where they name the answer.
    """
    if given.get("target"):
        return []
    kind = table.kinds[layout.target]
    others = []
    for name, why in layout.left_out.items():
        if table.kinds[name] != kind or not why.startswith(f"{kind}, "):
            continue
        usual = name.rpartition(".")[2].casefold().strip() in ANSWERS
        within = False
        if layout.aligned and layout.group is not None and kind == "category":
            within = bool(
                (table.frame.groupby(table.names(layout.group))[name].nunique() > 1).any()
            )
        if name not in layout.answers and (usual or within):
            others.append(name)
    if not others:
        return []
    one = len(others) == 1
    return [
        f"column {layout.target!r} is taken for the answer, and {listed(list(map(repr, others)))} "
        f"may be {'it' if one else 'one'} as well. Say which with --set target={quote(others[0])} "
        f"or --set target={quote(layout.target)}."
    ]


def doubts_of_utterances(table: Table, layout: Layout) -> list[str]:
    """Return doubts about rows that are utterances: read alone, or in no order of their times."""
    there = transcripts.transcript_of(table, taken=layout.answers)
    if there is None:
        return []
    if layout.form == "cell" and layout.inputs == (there.text,):
        return [
            f"each utterance is read alone, for {layout.target!r} differs within most of "
            f"{there.group!r}. `elman train tag` reads utterances along their conversation."
        ]
    if not hasattr(MODALITIES[layout.modality], "transcript"):
        return []
    return transcripts.unread_times(table, there._replace(time=layout.time))


def doubts_of_parts(shared: Duplicates, sizes: Mapping[str, int], what: str) -> list[str]:
    """Return one doubt of all parts with examples that also stand in an earlier part."""
    found = [
        f"{count:,} of {sizes[later]:,} {what} of {later} stand in {earlier} too"
        for (earlier, later), count in shared.counts.items()
        if count > _SHARED * max(1, sizes.get(later, 0))
    ]
    if not found:
        return []
    return [
        f"{'; '.join(found)}: the scores flatter. Take them out, or keep what is alike in one part "
        "with --set together=NAME, a column that names it."
    ]


def doubts_of_owners(parts: Mapping[str, Mapping[str, Sequence[str]]], drawn: bool) -> list[str]:
    """Return a doubt for each column of whom examples belong to, where the same stand in two parts.

    Args:
        parts: part → column → the owner of each example.
        drawn: whether the parts were drawn here, so that a setting could part them.
    """
    doubts = []
    for name, owners in parts["train"].items():
        known = set(owners)
        for part in ("test", "valid"):
            there = parts.get(part, {}).get(name, ())
            count = sum(owner in known for owner in there)
            if count > _SHARED * len(there):
                remedy = (
                    f"Keep each in one part with --set together={quote(name)}." if drawn else ""
                )
                doubts.append(
                    f"{count:,} of {len(there):,} examples of {part} have a {name!r} that train "
                    f"has too, so the score says little about a new one. {remedy}".strip()
                )
                break
    return doubts


def overlap_words(shared: int, total: int, what: str) -> str | None:
    """Return what to say beside a score where data were seen in training, else None.

    >>> overlap_words(2, 3, "rows")
    '2 of these 3 rows were trained or chosen on by this run, so the score flatters.'
    """
    if not shared:
        return None
    return (
        f"{shared:,} of these {total:,} {what} were trained or chosen on by this run, so the "
        "score flatters."
    )

"""Ask which column is the label, where one of words was found and one of numbers may be it too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING

from elman.errors import InputError
from elman.tasks import called
from elman.tasks.answers import ANSWERS

if TYPE_CHECKING:
    from elman.data import Table

_MOST = 10
"""Whole numbers of so many values at most may be grades or codes of classes."""
_EACH = 5
"""Rows of a value, in the mean, from which numbers of few values may be classes."""
_OUTCOMES = re.compile(
    r"((is|has|was|will)[\W_]?)?"
    r"(churn|default|purchase|convert|cancel|return|approve|admit|readmit|relapse|attack|fail"
    r"|click|pass|detect|abandon|renew|retain|subscribe|respond|recover|die|leave)(e?d|s|r|ing)?"
    r"|(is|has|was|will)[\W_].+"
    r"|surviv(ed|al)|died|dead|death|mortality|disease|diagnos(is|ed)|sick|ill|fault(y)?|failure"
    r"|alarm|ok|good|bad|anomal(y|ous)|abnormal|outlier|fraud(ulent)?|spam|toxic|bought|sold"
    r"|conversion|won|win|winner|passed|helpful|useful|result|response|success(ful)?|hit|left"
    r"|accepted|rejected|exited|attrition|deposit|event|positive|relevant|correct",
    re.IGNORECASE,
)
_NO_OUTCOMES = re.compile(
    r"(.*[\W_])?(year|month|day|hour|minute|second|week|weekday|dow|quarter|season|time|date|age"
    r"|fold|split|part|train|test|valid|batch|epoch|rank|order|len|length|size|count|visits?"
    r"|trials?|rounds?|rep|reps|lat|lon)|(n|num|nr|no|number|count)[\W_].+",
    re.IGNORECASE,
)


def check_label(table: Table, found: Sequence[str], free: Sequence[str], word: str) -> None:
    """Refuse to take the only column of words for the label where numbers may be it as well.

    Those are whole numbers of few values in the last column, or of two values in one that is called
    like an outcome. A column that is called like a label is taken.

    Args:
        table: typed columns.
        found: the columns of the answer, as they were guessed.
        free: columns that could be the answer.
        word: what the answer is called.

    Raises:
        InputError: naming both columns and the setting.
    """
    name = found[0]
    if len(found) > 1 or table.kinds[name] != "category":
        return
    if name.rpartition(".")[2].casefold().strip() in ANSWERS:
        return
    rivals = [other for other in free if other != name and _may_be_label(table, other)]
    if not rivals:
        return
    other = rivals[-1]
    owner = ""
    if called.an_owner(name) or called.an_id(name):
        owner = (
            f" If {name!r} says whom a row belongs to, set beside target={quote(other)} "
            f"group={quote(name)} where its rows are the steps of a sequence, or "
            f"together={quote(name)} where each row stands alone."
        )
    raise InputError(
        f"It is not clear which column holds the {word}: {name!r} ({_values(table, name)}) or "
        f"{other!r} ({_values(table, other)}).",
        file=table.source,
        fix=f"Say it with --set target={quote(other)} or --set target={quote(name)}.{owner}",
    )


def _values(table: Table, name: str) -> str:
    """Return the commonest values of a column in words."""
    counts = table.frame[name].value_counts()
    shown = ", ".join(
        f"{value:g}" if table.kinds[name] == "number" else str(value)[:20]
        for value in counts.index[:3]
    )
    return shown + (", …" if len(counts) > 3 else "")


def _may_be_label(table: Table, name: str) -> bool:
    """Tell whether a column of numbers may be codes of classes, by its values, name and place."""
    if table.kinds[name] != "number" or called.an_id(name) or called.owns(table, name):
        return False
    values = _few(table, name)
    if values is None:
        return False
    plain = name.strip()
    if len(values) == 2 and _OUTCOMES.fullmatch(plain):
        return True
    if name != list(table.kinds)[-1] or _NO_OUTCOMES.fullmatch(plain):
        return False
    # Among columns of the same values, such as answers to questions, the last one is none of its
    # own.
    others = [n for n, kind in table.kinds.items() if kind == "number" and n != name]
    return 2 * sum(_few(table, other) == values for other in others) <= len(others)


def _few(table: Table, name: str) -> list[float] | None:
    """Return the values of a column of few whole numbers that follow each other; else None."""
    cells = table.frame[name]
    values = sorted(cells.dropna().unique().tolist())
    if not 2 <= len(values) <= min(_MOST, len(cells) // _EACH):
        return None
    whole = all(float(value).is_integer() for value in values)
    near = len(values) == 2 or values[-1] - values[0] == len(values) - 1
    return values if whole and near else None

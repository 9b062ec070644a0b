"""The export of Prodigy: texts that somebody accepted, rejected or passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

ACCEPT = "accept"
REJECT = "reject"
LEFT_OUT = (REJECT, "ignore")
"""Answers that say that a line is no example."""
_OF_ITSELF = ("options", "accept", "answer", "config", "meta")
"""Names of what Prodigy writes beside a text and its label."""


def wrote(record: Mapping[str, Any]) -> bool:
    """Tell whether an object is a line of Prodigy's about a whole text, with a label or choices."""
    answered = record.get("answer") in (ACCEPT, *LEFT_OUT)
    labelled = isinstance(record.get("label"), str) or isinstance(record.get("accept"), list)
    return answered and labelled and isinstance(record.get("text"), str)


def several(records: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether these are lines of Prodigy of which one has several choices."""
    chosen = [record.get("accept") for record in records if isinstance(record, Mapping)]
    found = any(isinstance(one, list) and len(one) > 1 for one in chosen)
    return found and all(map(wrote, records))


def answered(
    records: Sequence[Mapping[str, Any]], listed: bool
) -> tuple[list[int], list[dict[str, Any]], list[str]] | None:
    """Return the lines that were accepted as rows, or None where these are no lines of Prodigy.

    A row has the text and its `label`: that of the line, or what was chosen.

    Args:
        records: all objects of a file.
        listed: labels are lists, since somewhere more than one was chosen.

    Returns:
        The places of the lines that are kept, their rows, and in sentences what was left out.

    >>> line = {"text": "so", "options": [], "accept": ["GOOD"], "answer": "accept"}
    >>> answered([line, line | {"answer": "ignore"}], False)[:2]
    ([0], [{'text': 'so', 'label': 'GOOD'}])
    """
    if not records or not all(map(wrote, records)):
        return None
    choices = any("accept" in record for record in records)
    chosen = [record.get("accept") for record in records]
    kept, rows = [], []
    left = Counter(str(record["answer"]) for record in records)
    for place, record in enumerate(records):
        labels = [record["label"]] if not choices else [str(one) for one in chosen[place] or []]
        if record["answer"] != ACCEPT or not (labels or listed):
            left["no choice"] += record["answer"] == ACCEPT
            continue
        kept.append(place)
        rest = {n: v for n, v in record.items() if n not in _OF_ITSELF and not n.startswith("_")}
        rows.append(rest | {"label": labels if listed else labels[0]})
    told = [f"{left[one]:,} with the answer {one!r}" for one in LEFT_OUT if left[one]]
    told += [f"{left['no choice']:,} without a choice"] if left["no choice"] else []
    said = []
    if told:
        said.append(f"Of {len(records):,} lines of Prodigy were left out: {', '.join(told)}.")
    every = {str(record.get("label")) for record in records}
    if not choices and len(every) == 1 and left[REJECT]:
        only = every.pop()
        said.append(
            f"A line that was rejected says only that its text is not {only!r}: to learn that, "
            f"write the lines as a table with the columns text and label, {only!r} and 'other'."
        )
    return kept, rows, said

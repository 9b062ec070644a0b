"""The export of Prodigy: texts that somebody accepted, rejected or passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

ACCEPT = "accept"
LEFT_OUT = ("reject", "ignore")
"""Answers that say that a line is no example."""
_OF_ITSELF = ("options", "accept", "answer", "config", "meta")
"""Names of what Prodigy writes beside a text and its label."""


def wrote(record: Mapping[str, Any]) -> bool:
    """Tell whether an object is a line of Prodigy's about a whole text, with a label or choices."""
    answered = record.get("answer") in (ACCEPT, *LEFT_OUT)
    labelled = isinstance(record.get("label"), str) or isinstance(record.get("accept"), list)
    return answered and labelled and isinstance(record.get("text"), str)


def answered(
    records: Sequence[Mapping[str, Any]],
) -> tuple[list[int], list[dict[str, Any]], list[str]] | None:
    """Return the lines that were accepted as rows, or None where these are no lines of Prodigy.

    A row has the text and its `label`: that of the line, or what was chosen, in a list where more
    than one was chosen in some line.

    Args:
        records: all objects of a file.

    Returns:
        The places of the lines that are kept, their rows, and in sentences what was left out.

    >>> line = {"text": "so", "options": [], "accept": ["GOOD"], "answer": "accept"}
    >>> answered([line, line | {"answer": "ignore"}])[:2]
    ([0], [{'text': 'so', 'label': 'GOOD'}])
    """
    if not records or not all(map(wrote, records)):
        return None
    choices = any("accept" in record for record in records)
    chosen = [record.get("accept") for record in records]
    several = any(isinstance(one, list) and len(one) > 1 for one in chosen)
    kept, rows = [], []
    left = Counter(str(record["answer"]) for record in records)
    for place, record in enumerate(records):
        labels = [record["label"]] if not choices else [str(one) for one in chosen[place] or []]
        if record["answer"] != ACCEPT or not (labels or several):
            left["no choice"] += record["answer"] == ACCEPT
            continue
        kept.append(place)
        rest = {n: v for n, v in record.items() if n not in _OF_ITSELF and not n.startswith("_")}
        rows.append(rest | {"label": labels if several else labels[0]})
    told = [f"{left[one]:,} with the answer {one!r}" for one in LEFT_OUT if left[one]]
    told += [f"{left['no choice']:,} without a choice"] if left["no choice"] else []
    said = ["The lines are of Prodigy."]
    if told:
        said.append(f"Of {len(records):,} lines were left out: {', '.join(told)}.")
    return kept, rows, said

"""The export of Label Studio: tasks, each with spans or choices for a text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

TEXT = ("text", "sentence")
"""Names of a text."""


def wrote(record: Mapping[str, Any]) -> bool:
    """Tell whether an object is a task of Label Studio's export."""
    return isinstance(record.get("data"), dict) and isinstance(record.get("annotations"), list)


def annotation(record: Mapping[str, Any]) -> list[Any] | None:
    """Return the results of the first annotation that was not cancelled, or None."""
    kept = _kept(record)
    return kept[0] if kept else None


def several(tasks: Sequence[tuple[Path, int, Mapping[str, Any]]]) -> tuple[list[str], list[str]]:
    """Return in words that tasks have several annotations, and a doubt where they differ.

    Args:
        tasks: each the file, the row and the object.
    """
    annotated, found, differing = 0, 0, []
    for path, row, record in tasks:
        if not wrote(record):
            continue
        kept = _kept(record)
        annotated += bool(kept)
        if len(kept) < 2:
            continue
        found += 1
        if any(_marked(one) != _marked(kept[0]) for one in kept[1:]):
            differing.append((path, row))
    if not found:
        return [], []
    told = f"{found:,} of {annotated:,} texts have several annotations; the first of each was taken"
    if not differing:
        return [f"{told}; they mark the same spans."], []
    path, row = differing[0]
    return [f"{told}; in {len(differing):,} they mark different spans."], [
        f"annotations of {len(differing):,} of {annotated:,} texts mark different spans (the first "
        f"in {path.name}, row {row}), and only the first annotation of each text is learnt. "
        "Decide between them in Label Studio and export again, or cancel those that do not count."
    ]


def _kept(record: Mapping[str, Any]) -> list[list[Any]]:
    """Return the results of each annotation that was not cancelled."""
    alone = [one for one in record["annotations"] if isinstance(one, dict)]
    results = [one.get("result") for one in alone if not one.get("was_cancelled")]
    return [one for one in results if isinstance(one, list)]


def _spans(results: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what has places in a text; relations and choices have none."""
    values = [one.get("value") for one in results if isinstance(one, dict)]
    return [value for value in values if isinstance(value, dict) and "start" in value]


def _marked(results: Sequence[Any]) -> list[str]:
    """Return the spans of an annotation in an order of their own, to compare them with others."""
    return sorted(
        str([value.get(name) for name in ("start", "end", "labels")]) for value in _spans(results)
    )


def unwrapped(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object of Label Studio's export as a text with spans; any other as it is.

    >>> value = {"start": 3, "end": 7, "labels": ["city"]}
    >>> task = {"data": {"text": "to Oslo"}, "annotations": [{"result": [{"value": value}]}]}
    >>> unwrapped(task)["text"], unwrapped(task)["spans"] == [value]
    ('to Oslo', True)
    """
    if not wrote(record):
        return record
    data = record["data"]
    texts = [name for name, value in data.items() if isinstance(value, str)]
    named = [name for name in TEXT if name in texts] or texts
    spans = _spans(annotation(record) or [])
    text = {"text": data[named[0]]} if len(named) == 1 or set(named) & set(TEXT) else {}
    return {**text, "spans": spans, "id": record.get("id")}


def listed(records: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the questions of which some task has several choices."""
    made = _choices(records) or []
    return {name for choices in made for name, some in choices.items() if len(some) > 1}


def chosen(
    records: Sequence[Mapping[str, Any]], several: Collection[str]
) -> tuple[list[int], list[dict[str, Any]]] | None:
    """Return the tasks for which a choice was made as rows, or None where these are none.

    A row has the data of its task, and each choice under the name that its question has.

    Args:
        records: all objects of a file.
        several: questions of which each answer is a list.

    Returns:
        The places of the tasks with a choice, and their rows. A task with spans makes it None, for
        then the texts are tagged.

    >>> result = {"from_name": "mood", "type": "choices", "value": {"choices": ["good"]}}
    >>> task = {"data": {"text": "so"}, "annotations": [{"result": [result]}]}
    >>> chosen([task, {"data": {"text": "no"}, "annotations": []}], ())
    ([0], [{'text': 'so', 'mood': 'good'}])
    """
    made = _choices(records)
    kept = [place for place, choices in enumerate(made or ()) if choices]
    if made is None or not kept:
        return None
    return kept, [
        records[place]["data"]
        | {name: some if name in several else some[0] for name, some in made[place].items() if some}
        for place in kept
    ]


def _choices(records: Sequence[Mapping[str, Any]]) -> list[dict[str, list[str]]] | None:
    """Return what was chosen in each task, by question; None where no text has choices
    alone."""
    if not records or not all(map(wrote, records)):
        return None
    made: list[dict[str, list[str]]] = []
    for record in records:
        results = [one for one in annotation(record) or [] if isinstance(one, Mapping)]
        values = [one.get("value") for one in results]
        if any(isinstance(value, Mapping) and "start" in value for value in values):
            return None
        made.append({})
        for one, value in zip(results, values, strict=True):
            if isinstance(value, Mapping) and isinstance(value.get("choices"), list):
                name = str(one.get("from_name", "label"))
                made[-1].setdefault(name, []).extend(map(str, value["choices"]))
    return made

"""The export of Label Studio: tasks, each with annotations of a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT = ("text", "sentence")
"""Names of a text."""


def wrote(record: Mapping[str, Any]) -> bool:
    """Tell whether an object is a task of Label Studio's export."""
    return isinstance(record.get("data"), dict) and isinstance(record.get("annotations"), list)


def annotation(record: Mapping[str, Any]) -> list[Any] | None:
    """Return the results of the first annotation that was not cancelled, or None."""
    for one in record["annotations"]:
        if isinstance(one, dict) and not one.get("was_cancelled"):
            results = one.get("result")
            return results if isinstance(results, list) else None
    return None


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
    # Relations and choices have no value with places.
    values = [one.get("value") for one in annotation(record) or [] if isinstance(one, dict)]
    spans = [value for value in values if isinstance(value, dict) and "start" in value]
    text = {"text": data[named[0]]} if len(named) == 1 or set(named) & set(TEXT) else {}
    return {**text, "spans": spans, "id": record.get("id")}

"""Training data of Rasa in YAML: intents with examples, in which entities stand in brackets."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from elman.data.formats import tagged_json
from elman.data.table import Table
from elman.errors import InputError

_ENTITY = re.compile(r"\[([^\[\]]+)\](?:\(([^()]*)\)|(\{[^{}]*\}))")
_FIX = 'Write `- to [Oslo](city)`, or `- to [Oslo]{"entity": "city"}`.'


def nlu_of(root: yaml.Node | None) -> yaml.SequenceNode | None:
    """Return the list of intents in a file of Rasa, or None where it has none."""
    found = _named(root).get("nlu")
    return found if isinstance(found, yaml.SequenceNode) else None


def table_of(
    held: Mapping[Path, yaml.SequenceNode],
    columns: Sequence[str] | None,
    types: Mapping[str, str] | None,
) -> Table:
    """Return the examples of all intents as texts with spans and a label.

    Raises:
        InputError: an entity cannot be read, or begins or ends inside a word.
    """
    records = []
    left: Counter[str] = Counter()
    for path, root in held.items():
        for node in root.value:
            about = _named(node)
            name = about.get("intent")
            if not isinstance(name, yaml.ScalarNode):
                left[next(iter(about), "entries without a name")] += 1
                continue
            for number, line in _examples(about.get("examples")):
                records.append((path, number, _record(line, path, number) | {"intent": name.value}))
    table = tagged_json.table_of(records, list(held), columns, types)
    table.meta["notes"].append("Training data of Rasa: an example of an intent is a text.")
    if left:
        told = ", ".join(f"{what} {count:,}" for what, count in left.items())
        table.meta["left_out"].append(f"Left out, no examples of an intent: {told}.")
    return table


def _named(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {name.value: value for name, value in node.value if isinstance(name, yaml.ScalarNode)}


def _examples(node: yaml.Node | None) -> list[tuple[int, str]]:
    """Return the examples of an intent, each with its line."""
    if isinstance(node, yaml.SequenceNode):
        texts = [_named(one).get("text", one) for one in node.value]
        return [
            (text.start_mark.line + 1, text.value.strip().removeprefix("- ").strip())
            for text in texts
            if isinstance(text, yaml.ScalarNode) and text.value.strip()
        ]
    if not isinstance(node, yaml.ScalarNode):
        return []
    begin = node.start_mark.line + 2  # below the line of the mark |
    lines = enumerate(node.value.split("\n"), begin)
    return [(n, line.strip()[1:].strip()) for n, line in lines if line.strip().startswith("-")]


def _record(line: str, path: Path, number: int) -> dict[str, Any]:
    """Return a text without its brackets, and the entities that stood in them."""
    text, at, entities = "", 0, []
    for found in _ENTITY.finditer(line):
        text += line[at : found.start()]
        label = (found[2] or "").partition(":")[0].strip()
        if found[3] is not None:
            try:
                label = str(json.loads(found[3])["entity"])
            except (ValueError, KeyError):
                raise InputError(
                    f"{found[0]!r} is no entity.", file=path, row=number, fix=_FIX
                ) from None
        if not label:
            raise InputError(f"{found[0]!r} names no entity.", file=path, row=number, fix=_FIX)
        entities.append([len(text), len(text) + len(found[1]), label])
        text += found[1]
        at = found.end()
    return {"text": text + line[at:], "entities": entities}

"""Dialogues in YAML: lists of turns, alone or under `conversations` as ChatterBot has them; and the
intents of Rasa (`rasa`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from elman.data import files
from elman.data.formats import rasa
from elman.data.formats.dialogues import table_of
from elman.data.table import Origin, Table
from elman.data.turn_names import CONVERSATIONS, SPEAKER, TEXT, key, plain
from elman.data.turns import Conversation, Turn
from elman.errors import InputError


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read the dialogues of each file as the column `turns`, or the training data of Rasa.

    Only the nodes are looked at: no object is ever made of what the file says, and `No` is a word.

    Raises:
        InputError: it is not YAML, or holds something else; the message has the line.
    """
    cells: list[Conversation] = []
    origins = []
    roots = {path: _root(path, encoding) for path in paths}
    intents = {path: nlu for path, root in roots.items() if (nlu := rasa.nlu_of(root))}
    if intents:
        table = rasa.table_of(intents, columns, types)
        others = [path.name for path in roots if path not in intents]
        if others:
            table.meta["left_out"].append(f"Left out, files without intents: {', '.join(others)}.")
        return table
    for path, root in roots.items():
        found = _dialogues(root, path)
        firsts = [cell.lines[0] if cell.lines else 1 for cell in found]
        cells += found
        origins.append(Origin(path, len(found), firsts.__getitem__))
    return table_of(cells, origins, columns, types)


def _root(path: Path, encoding: str | None) -> yaml.Node | None:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root: yaml.Node | None = yaml.compose(files.whole(path, encoding), Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise InputError(
            f"The file is not sound YAML ({error.problem}).",
            file=path,
            row=None if mark is None else mark.line + 1,
            fix="Put quotes around a turn that holds a colon, or begins with a mark.",
        ) from None
    except yaml.YAMLError as error:
        raise InputError(
            f"The file is not sound YAML ({str(error).splitlines()[0][:80]}).", file=path
        ) from None
    return root


def _dialogues(root: yaml.Node | None, path: Path) -> list[Conversation]:
    if isinstance(root, yaml.MappingNode):
        under = _values(root)
        root = next((under[name] for name in CONVERSATIONS if name in under), None)
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        raise InputError(
            "The file holds no list of dialogues.",
            file=path,
            fix="Write them under `conversations:`, each a list of turns.",
        )
    if all(isinstance(node, yaml.ScalarNode) or _is_turn(node) for node in root.value):
        return [_turns(root, path)]
    return [_turns(node, path) for node in root.value]


def _values(node: yaml.MappingNode) -> dict[str, yaml.Node]:
    return {
        plain(name.value): value for name, value in node.value if isinstance(name, yaml.ScalarNode)
    }


def _is_turn(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and key(_values(node), TEXT) is not None


def _turns(node: yaml.Node, path: Path) -> Conversation:
    if isinstance(node, yaml.ScalarNode):  # one turn alone among dialogues
        return Conversation([Turn("", node.value)], [node.start_mark.line + 1])
    if isinstance(node, yaml.MappingNode):
        under = _values(node)
        node = next((under[name] for name in CONVERSATIONS if name in under), node)
    if not isinstance(node, yaml.SequenceNode):
        raise InputError(
            "Here stands no list of turns.",
            file=path,
            row=node.start_mark.line + 1,
            fix="Write `- - Hello.` and below it `  - Hi.`",
        )
    lines = [one.start_mark.line + 1 for one in node.value]
    return Conversation((_turn(one, path) for one in node.value), lines)


def _turn(node: yaml.Node, path: Path) -> Turn:
    if isinstance(node, yaml.ScalarNode):
        return Turn("", node.value)  # as it is written: `No` is a word here, not a truth value
    if isinstance(node, yaml.MappingNode):
        under = _values(node)
        found = [under.get(str(key(under, names))) for names in (SPEAKER, TEXT)]
        who, text = (one.value if isinstance(one, yaml.ScalarNode) else None for one in found)
        if text is not None:
            return Turn((who or "").strip(), text)
    raise InputError(
        "A turn is no text.",
        file=path,
        row=node.start_mark.line + 1,
        fix="Put quotes around a turn that holds a colon.",
    )

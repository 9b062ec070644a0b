"""How pairs were read and shared out, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.translate import dialogues
from elman.tasks.understood import Understood, shorter

if TYPE_CHECKING:
    from elman.data.formats.pairs import Pairs
    from elman.tasks.translate.corpus import Part
    from elman.tasks.translate.symbols import Piece
    from elman.tasks.translate.task import Translate

_SHARED = 0.01
"""Share of a part that stands in an earlier part too, from which it is a doubt."""


def understood_of(task: Translate) -> Understood:
    """Return how the pairs of a task were read and shared out, and what a symbol is."""
    parts, symbols = task._parts, task.symbols
    sizes = {part: len(found) for part, found in parts.items()}
    lines = [pair for pair in task._lines if pair[0] != "split"]
    counts = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
    lines.insert(1, ("pairs", f"{counts}; {dict(task._lines)['split']}"))
    ours, theirs = symbols.source, symbols.target
    many = f"{len(ours):,} for both sides"
    if not symbols.joint:
        many = f"{len(ours):,} of sources, {len(theirs):,} of targets"
    units = symbols.units
    made_of = units[0] if units[0] == units[1] else f"{units[0]} and {units[1]}"
    lines.append(("symbols", f"{made_of}; {many}"))
    sources, targets = task._of("train")
    for word, unit, rows, most in (
        ("sources", units[0], [one.ids for one in sources], symbols.max_source),
        ("targets", units[1], targets, symbols.max_target),
    ):
        lengths = np.array([len(row) for row in rows])
        cut = int((lengths == most).sum())
        said = f"{lengths.min()} to {lengths.max()} {unit}"
        said += f" (median {int(np.median(lengths))})"
        lines.append((word, f"{said}{f', {cut:,} cut' if cut else ''}"))
    for part in parts:
        if part != "train" and (unknown := _unknown(task, part)):
            lines.append((f"in {part}", f"{unknown:.2%} of symbols are unknown"))
    train = parts["train"]
    first = f"{shorter(train.source[0])!r} → {shorter(train.target[0])!r}"
    lines.append(("the first", first))
    doubts = list(task._doubts)
    doubts += [
        f"{count:,} of {sizes[later]:,} pairs of {later} stand in {earlier} too: the scores "
        "flatter. Take them out."
        for (earlier, later), count in task.shared.counts.items()
        if count > _SHARED * sizes[later]
    ]
    return Understood(lines, doubts)


def _unknown(task: Translate, part: str) -> float:
    """Return the share of unknown symbols of a part."""
    sources, targets = task._of(part)
    pairs = (
        *((one.ids, task.symbols.source.unk) for one in sources),
        *((ids, task.symbols.target.unk) for ids in targets),
    )
    total = sum(len(ids) for ids, _ in pairs)
    return sum(int((ids == unk).sum()) for ids, unk in pairs) / max(1, total)


def split_words(given: dict[str, Any], drawn: str, parts: dict[str, Part]) -> str:
    """Return how pairs were shared out to the parts."""
    said = [f"{part} as given" for part in given if part != "train"]
    said += [drawn] if drawn else []
    if "valid" not in parts:
        said.append("none held out to choose the best step")
    return "; ".join(said)


def metric_words(set_by_hand: bool, metric: str) -> str:
    """Return the headline score and why it is that one."""
    if set_by_hand:
        return f"{metric}, as set"
    if metric == "recall_at_1":
        return "recall_at_1, for these are dialogues, in which many answers are right"
    if metric == "perplexity":
        return "perplexity, for these are dialogues, and too few to choose replies from"
    if metric == "accuracy":
        return "accuracy of whole targets, for these are lists of symbols"
    if metric == "rouge1":
        return "rouge1, for the targets are much shorter than the sources, as summaries are"
    return "bleu, for the targets are about as long as the sources, as translations are"


def lists_words(units: tuple[Piece, Piece], pairs: Pairs) -> list[str]:
    """Return how lists, and texts whose symbols stand between blanks, are read."""
    said = []
    for side, name, unit in zip(("source", "target"), pairs.names, units, strict=True):
        if unit == "symbols":
            what = "each entry of a list" if side in pairs.listed else "what stands between blanks"
            said.append(f"In {name!r} {what} is a symbol.")
        elif side in pairs.listed:
            said.append(f"Lists in {name!r} are read as texts of {unit}, a blank between entries.")
    return said


def choice_words(test: Part, seed: int) -> str:
    """Return how replies are chosen from others, in words."""
    choice = dialogues.choice(test, seed)
    if choice is None:
        return (
            f"the test part has fewer than {dialogues.REPLIES} different replies that are not "
            "of one dialogue, so none is chosen from others"
        )
    return (
        f"the true one is to be told from {dialogues.REPLIES - 1} of other dialogues of the "
        f"test part, for {len(choice.rows):,} contexts (seed {seed})"
    )

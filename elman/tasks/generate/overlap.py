"""Documents, or long lines, that stand in several parts or were seen before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from elman.data import duplicates
from elman.data.seen import hashes_of
from elman.tasks.generate.corpus import Documents
from elman.tasks.generate.sharing import documents_in
from elman.tasks.growing import met_words
from elman.tasks.understood import overlap_words

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate

# Duplicates are looked for in memory.
LOOKED_AT = 20_000_000
_FEW = 0.05
"""Part of the long lines that any two texts of one kind may share."""


def compared(part: Documents, whole: bool) -> list[str]:
    """Return what is looked for in other parts: whole documents, or long lines."""
    return list(part.whole()) if whole else _long_lines(part.texts())


def _long_lines(texts: Iterator[str]) -> list[str]:
    return [line for text in texts for line in text.splitlines() if len(line.strip()) >= 40]


def duplicates_in(task: Generate) -> str:
    """Documents, or long lines of one document, that stand in more than one part."""
    if sum(tokens.predicted for tokens in task._tokens.values()) > LOOKED_AT:
        return "not looked for in a text of this size"
    many = task.documents > 1
    texts = {name: compared(part, many) for name, part in task._parts.items()}
    found = duplicates(texts)
    what = "documents" if many else "lines of 40 characters or more"
    return (
        "; ".join(
            f"{count:,} {what} of {later} are also in {earlier}"
            for (earlier, later), count in found.counts.items()
            if count
        )
        or f"no {what} in more than one part"
    )


def doubts_of_given(task: Generate) -> list[str]:
    """Return a doubt about parts that were given by themselves and hold what is trained on.

    Parts of one text that was cut by position repeat lines of it as any text does.
    """
    if sum(tokens.predicted for tokens in task._tokens.values()) > LOOKED_AT:
        return []
    many, train = task.documents > 1, task._parts["train"]
    given = {n: part for n, part in task._parts.items() if part.sources is not train.sources}
    if not given:
        return []
    texts = {name: compared(part, many) for name, part in {"train": train, **given}.items()}
    found = duplicates(texts)
    what = "documents" if many else "lines of 40 characters or more"
    said = [
        f"{count:,} of {len(texts[later]):,} {what} of {later} stand in {earlier} too"
        for (earlier, later), count in found.counts.items()
        if count > _FEW * len(texts[later])
    ]
    return [f"{'; '.join(said)}: the scores flatter. Take them out."] if said else []


def doubts_of_met(task: Generate, old: Generate) -> list[str]:
    """Return doubts where the new test part was learnt before, or the old one is learnt now."""
    if old.seen is None or task.seen is None:
        return []
    many = task.documents > 1
    met = old.seen.shared(hashes_of(compared(task._parts["test"], many)))
    missed = 0
    if "test" in old._parts:
        asked = hashes_of(compared(old._parts["test"], many))
        missed = task.seen.shared(asked) - old.seen.shared(asked)
    return met_words(met, max(0, missed), "documents" if many else "long lines")


def overlap_with(task: Generate, data: Any) -> str | None:
    """Return how much of `data` was trained on or chosen on, or None."""
    if task.seen is None:
        return None
    found = documents_in(data, task.settings, task.labels)
    values = compared(found, task.documents > 1)
    what = "documents" if task.documents > 1 else "lines of 40 characters or more"
    return overlap_words(task.seen.shared(hashes_of(values)), len(values), what)

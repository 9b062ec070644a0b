"""A look at written answers themselves: faults of decoding that a score does not name.

Each share of the outputs stands beside the same share of the references, for people repeat
themselves too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from elman.data.seen import key_of
from elman.errors import InputError

#: Words of an n-gram that should not stand twice in one output.
REPEATED = 3
#: Commonest outputs that count as generic.
COMMONEST = 10
#: An output stops early where it is shorter, for its source, than all but this share of the
#: references, and than half of their median.
SHORT = 0.025
#: An output share is sick where it exceeds the references' by so much, and by so many times.
APART, TIMES = 0.05, 2.0
#: Outputs at least that a warning is about.
FEWEST = 3

CURES: dict[str, str] = {
    "repeats": "forbid repeated n-grams when decoding, or train with coverage",
    "generic": "train for longer, give more turns of context, or sample instead of beam search",
    "copies": "train for longer; look for pairs whose target is its source",
    "short": "raise the length penalty, or set a minimum length",
    "endless": "raise the maximum length, or forbid repeated n-grams",
    "unknown": "use subwords, a larger vocabulary, or copying from the source",
}
"""A cure of each fault, in words; a task gives the names of its settings instead."""
_SAID = {
    "repeats": f"repeat a sequence of {REPEATED} words",
    "generic": f"are among the {COMMONEST} commonest outputs",
    "copies": "copy their source whole",
    "short": "stop early: for their source they are shorter than nearly all references",
    "endless": "did not end within the maximum length",
    "unknown": "hold an unknown word",
}


@dataclass(frozen=True)
class Sign:
    """One share of the outputs beside that of the references.

    Attributes:
        name: a key of `CURES`.
        said: what the outputs do, in words.
        outputs: the share of the outputs, from 0 to 1.
        references: that of the references; None where it cannot be known.
        warning: a sentence with what to set, where the share is sick.
    """

    name: str
    said: str
    outputs: float
    references: float | None
    warning: str | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def health(
    outputs: Sequence[str],
    references: Sequence[str],
    sources: Sequence[str],
    *,
    ended: Sequence[bool] | None = None,
    ends: Sequence[bool] | None = None,
    unknown: str | None = None,
    seen: Sequence[str] | None = None,
    cures: Mapping[str, str] | None = None,
) -> list[Sign]:
    """Return what is to be seen of the outputs of a model.

    Args:
        outputs, references, sources: texts, one of each an example.
        ended: whether each output ended by itself, not at the maximum length.
        ends: whether each reference is within that length.
        unknown: the mark that stands for an unknown word in outputs; None where there can be none.
        seen: the references as the vocabulary writes them, with that mark.
        cures: key of `CURES` → the setting that mends it.

    >>> signs = health(["a b c a b c"] * 3, ["a", "b", "c"], ["x", "y", "z"])
    >>> [(sign.name, sign.outputs) for sign in signs if sign.warning]
    [('repeats', 1.0), ('generic', 1.0)]

    Raises:
        InputError: there are not as many of one as of the others.
    """
    if not len(outputs) == len(references) == len(sources):
        raise InputError(
            f"There are {len(outputs)} outputs, {len(references)} references and {len(sources)} "
            "sources."
        )
    if not outputs:
        raise InputError("There is no output to look at.")
    mends = {**CURES, **(cures or {})}
    ours, theirs = _lengths(outputs, sources), _lengths(references, sources)
    bound = min(float(np.quantile(theirs, SHORT)), float(np.median(theirs)) / 2)
    found: dict[str, tuple[Sequence[bool], Sequence[bool] | None]] = {
        "repeats": (list(map(_repeats, outputs)), list(map(_repeats, references))),
        "generic": (_generic(outputs), _generic(references)),
        "copies": (_copied(outputs, sources), _copied(references, sources)),
        "short": ((ours < bound).tolist(), (theirs < bound).tolist()),
    }
    if ended is not None:
        found["endless"] = _not(ended), None if ends is None else _not(ends)
    if unknown is not None:
        held = None if seen is None else [unknown in text for text in seen]
        found["unknown"] = [unknown in text for text in outputs], held
    return [_sign(name, *both, mends[name]) for name, both in found.items()]


def _sign(name: str, outputs: Sequence[bool], references: Sequence[bool] | None, cure: str) -> Sign:
    ours = float(np.mean(outputs))
    theirs = None if references is None else float(np.mean(references))
    usual = theirs or 0.0
    warning = None
    if sum(outputs) >= FEWEST and ours - usual >= APART and ours >= TIMES * usual:
        beside = "" if theirs is None else f" (references: {_percent(theirs)})"
        warning = f"{_percent(ours)} of the outputs {_SAID[name]}{beside}. What helps: {cure}."
    return Sign(name, _SAID[name], ours, theirs, warning)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def _repeats(text: str) -> bool:
    words = text.casefold().split()
    grams = [tuple(words[n : n + REPEATED]) for n in range(len(words) - REPEATED + 1)]
    return len(set(grams)) < len(grams)


def _generic(texts: Sequence[str]) -> list[bool]:
    """Tell of each text whether it is one of the commonest; a text that stands once is none."""
    keys = [key_of(text) for text in texts]
    common = {key for key, count in Counter(keys).most_common(COMMONEST) if count > 1}
    return [key in common for key in keys]


def _copied(texts: Sequence[str], sources: Sequence[str]) -> list[bool]:
    return [key_of(one) == key_of(other) for one, other in zip(texts, sources, strict=True)]


def _lengths(texts: Sequence[str], sources: Sequence[str]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the characters of each text by those of its source."""
    return np.array([len(t) / max(1, len(s)) for t, s in zip(texts, sources, strict=True)])


def _not(values: Sequence[bool]) -> list[bool]:
    return [not value for value in values]

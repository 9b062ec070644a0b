"""A search of a whole model for units that follow quotes, brackets, the season.

`concepts` measures one layer. Here all layers and states are searched at once, so that
chance knows of every unit looked at, on a stretch of text or of a series that is long enough.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from elman.errors import InputError
from elman.inspect import concepts
from elman.inspect.passage import Passage, in_own_time

NAMES = ("quotes", "brackets", "line position", "season:N")
"""Patterns that have a name; any other is a regular expression."""

SHOWN = 400
"""Steps of the example, at most."""

_SHIFTS = 199
"""Random turns of the pattern: the smallest p is 1 in 200."""
_QUOTES = (("“", "”"), ("«", "»"))
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))


@dataclass(eq=False)
class Stretch:
    """Sequences to search units on.

    Attributes:
        passages: the layers at work on them, all with `T` steps of the same `B` rows.
        places: `(T, B)`, where each step lies: in the pieces of `texts`, one text after the other,
            or in a series, counted from anywhere.
        texts: pieces, one a step, that joined are a text, for each text; None of numbers.
        values: `(T, B)`, the numbers of a series; None of a text.
        skip: steps at the beginning of each row that are read and not searched.
    """

    passages: Sequence[Passage]
    places: Tensor
    texts: list[list[str]] | None = None
    values: Tensor | None = None
    skip: int = 0

    @classmethod
    def of_texts(cls, passages: Sequence[Passage], texts: Sequence[Sequence[str]]) -> Stretch:
        """Take rows that are a text each.

        Raises:
            InputError: there is not one text for each row, or one has fewer pieces than its row
                has steps.
        """
        lengths = passages[0].lengths.tolist()
        if len(texts) != len(lengths):
            raise InputError(f"{len(texts)} texts do not fit {len(lengths)} rows.")
        for k, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            if len(text) < length:
                raise InputError(
                    f"Text {k} has {len(text)} pieces, and row {k} has {length} steps.",
                    fix="Give one piece for every step.",
                )
        firsts = torch.tensor([0, *accumulate(map(len, texts))][:-1])
        at = torch.arange(passages[0].steps)[:, None]
        most = torch.tensor([max(len(text) - 1, 0) for text in texts])
        return cls(passages, firsts + torch.minimum(at, most), [list(text) for text in texts])


@dataclass(frozen=True)
class Place(concepts.Follower):
    """A unit of a model and how well it follows.

    Attributes:
        layer, state: where it is.
    """

    layer: str
    state: str

    @property
    def name(self) -> str:
        """The name of the place, in words."""
        return f"unit {self.unit} of {self.layer} ({self.state})"


@dataclass(frozen=True, eq=False)
class Followed:
    """The result of a search.

    Attributes:
        pattern: its name, or the regular expression.
        measure: what the selectivity is.
        best: the most selective units, best first.
        chance: selectivity that the best of all units passes by chance once in a hundred.
        found: how many units have p at most 0.01.
        units, steps: how many were searched, and on how many steps.
        labels: steps of the row in which the pattern changes most: pieces of text, or numbers.
        values: of the best unit there, less its median.
        holds: the pattern there: 0 or 1, a number, or of a season its cosine.
    """

    pattern: str
    measure: str
    best: tuple[Place, ...]
    chance: float
    found: int
    units: int
    steps: int
    labels: list[str] | list[float]
    values: list[float]
    holds: list[float]

    @property
    def verdict(self) -> str:
        """The result in a sentence."""
        best = self.best[0]
        beside = f"by chance the best of {self.units:,} reaches {self.chance:.2f}"
        if not self.found:
            return f"No unit follows it: the best reaches {best.selectivity:.2f} of 1, {beside}."
        told = f"{best.name[0].upper()}{best.name[1:]} follows it"
        inverted = ", low where the pattern is high" if best.sign < 0 else ""
        more = "" if self.found < 2 else f" So do {self.found - 1:,} more, less closely."
        return f"{told}{inverted}: {best.selectivity:.2f} of 1, {beside}.{more}"

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data."""
        found = asdict(self) | {"verdict": self.verdict}
        example = {key: found.pop(key) for key in ("labels", "values", "holds")}
        return found | {"example": example}


def search(
    stretch: Stretch, pattern: str | Tensor, *, name: str = "", top: int = 5, seed: int = 0
) -> Followed:
    """Search the units of all layers for those that follow a pattern.

    Args:
        stretch: what to search on.
        pattern: a name, as `pattern_of` takes it; or `(T, B)` or `(T,)`, as `concepts.follow` does.
        name: what a pattern that is a tensor is called.
        top: how many units to report.
        seed: of what is drawn.

    Raises:
        InputError: as `pattern_of` and `concepts.follow`, or the pattern is the same everywhere.

    >>> import elman.cells
    >>> text = list("a(bc)d" * 60)
    >>> x = torch.randn(360, 1, 1, generator=torch.Generator().manual_seed(0))
    >>> passage = Passage.of(elman.cells.make("gru", 1, 4), x, name="l0")
    >>> passage.states[0][:, 0, 2] = torch.tensor([c in "(bc" for c in text]).float()
    >>> found = search(Stretch.of_texts([passage], [text]), "brackets")
    >>> found.best[0].unit, round(found.best[0].selectivity, 6)
    (2, 1.0)
    """
    if isinstance(pattern, str):
        name, wanted = pattern, pattern_of(pattern, stretch)[stretch.places]
    else:
        wanted = torch.as_tensor(pattern).cpu()
        if wanted.dim() == 1:
            wanted = wanted[:, None].expand(-1, stretch.places.shape[1])
    names, states = _states(stretch.passages)
    skip = stretch.skip
    lengths = (stretch.passages[0].lengths.cpu() - skip).clamp(min=0)
    searched = torch.arange(len(wanted) - skip)[:, None] < lengths
    if wanted.shape == stretch.places.shape:
        wanted, seen = wanted[skip:], wanted[skip:][searched]
        if len(seen) and bool((seen == seen[0]).all()):
            raise InputError(
                f"The pattern {name!r} is the same at all {len(seen):,} steps looked at: nothing "
                "can follow it.",
                fix="Give data in which it changes, or another pattern.",
            )
        _check_rows(wanted, lengths, name)
    found = concepts.follow(
        states[skip:], wanted, lengths, top=top, shifts=_SHIFTS, resamples=_SHIFTS, seed=seed
    )
    best = tuple(Place(**asdict(f) | names[f.unit]) for f in found.best)
    values = states[skip:, :, found.best[0].unit]
    holds = wanted.real if wanted.is_complex() else wanted
    row, begin = _liveliest(holds.double(), lengths)
    shown = slice(begin, min(begin + SHOWN, int(lengths[row])))
    return Followed(
        name or "a pattern",
        found.measure,
        best,
        found.chance,
        len(found.found),
        states.shape[2],
        int(lengths.sum()),
        _labels(stretch, shown, row),
        (values[shown, row] - values[searched].median()).double().tolist(),
        holds[shown, row].double().tolist(),
    )


def checked(pattern: str) -> str:
    """Return the pattern, if it can be one of any data.

    Raises:
        InputError: it is no regular expression, or a season without a period.
    """
    if _plain(pattern).startswith("season"):
        _period(pattern)
    elif _plain(pattern) not in NAMES:
        concepts.matches("", pattern)
    return pattern


def pattern_of(name: str, stretch: Stretch) -> Tensor:
    """Return a pattern by its name, at every place of a stretch: `(N,)`.

    `quotes`: inside straight or typographic double quotes, which end with their paragraph at the
    latest. `brackets`: inside round, square or curly ones. `line position`: characters of the line
    read so far. `season:N`: where in a season of N values of the series, at whatever time of it a
    unit is highest.
    Any other is a regular expression, and true of a step that has part in a match.

    Raises:
        InputError: the expression or the period is not valid; or a pattern of texts is asked of
            numbers.
    """
    checked(name)
    if _plain(name).startswith("season"):
        return concepts.phase(int(stretch.places.max()) + 1, _period(name))
    if stretch.texts is None:
        raise InputError(
            f"{name!r} is a pattern of text, and these sequences are numbers.",
            fix="For a season of N values, ask for season:N.",
        )
    return torch.cat([_of_text(_plain(name), name, pieces) for pieces in stretch.texts])


def _of_text(plain: str, name: str, pieces: list[str]) -> Tensor:
    text = "".join(pieces)
    ends = torch.tensor([*accumulate(map(len, pieces))], dtype=torch.long)
    last = (ends - 1).clamp(min=0)
    if not text:
        return torch.zeros(len(pieces), dtype=torch.bool)
    if plain == "line position":
        return concepts.position_in_line(text)[last]
    if plain == "quotes":
        paragraphs = [p for p in re.split(r"(\n\s*\n)", text) if p]
        found = torch.cat([concepts.inside_quotes(p) for p in paragraphs])
        for opening, closing in _QUOTES:
            found |= torch.cat([concepts.inside(p, opening, closing) for p in paragraphs])
        return found[last]
    if plain == "brackets":
        each = [concepts.inside(text, *pair)[last] for pair in _BRACKETS]
        return torch.stack(each).any(0)
    # A step has part in a match if any of its characters has.
    counted = torch.cat([torch.zeros(1), concepts.matches(text, name).cumsum(0)])
    return counted[ends] > counted[torch.cat([torch.zeros(1, dtype=torch.long), ends[:-1]])]


def _plain(name: str) -> str:
    """Write a name as names are compared."""
    return name.strip().lower().replace("-", " ").replace("_", " ")


def _period(name: str) -> float:
    found = re.fullmatch(r"season: *([0-9]+(?:\.[0-9]+)?)", name.strip().lower())
    if found is None or not float(found[1]) > 1:
        raise InputError(
            f"{name!r} has no period above 1.", fix="Write, for 24 values a season, season:24."
        )
    return float(found[1])


def _states(passages: Sequence[Passage]) -> tuple[list[dict[str, Any]], Tensor]:
    """Return every unit of every state of every layer by name, and `(T, B, units)` in sequence
    order."""
    names: list[dict[str, Any]] = []
    parts = []
    for passage in passages:
        for name, state in zip(state_names(passage), passage.states, strict=True):
            where = {"layer": passage.name, "state": name}
            names += [where | {"unit": unit} for unit in range(state.shape[2])]
            parts.append(in_own_time(state, passage.lengths if passage.reverse else None))
    return names, torch.cat(parts, -1).cpu()


def state_names(passage: Passage) -> list[str]:
    """Name the states of a layer."""
    n = len(passage.cell.state_sizes)
    return ["h"] if n == 1 else ["h", "c"] if n == 2 else [f"state {i}" for i in range(n)]


def _check_rows(wanted: Tensor, lengths: Tensor, name: str) -> None:
    """Refuse a pattern that only tells row from row: turned round it is the same, and nothing
    says what chance would do."""
    rows = [wanted[:length, row] for row, length in enumerate(lengths.tolist()) if length]
    if all(float((row - row[:1]).abs().max()) < 1e-6 for row in map(_numbers, rows)):
        raise InputError(
            f"The pattern {name!r} is the same at all steps of each row, so nothing follows it.",
            fix="Choose one that changes from step to step. (A forecaster of segments may read a "
            "whole season in one step; model=recurrent reads value by value.)"
            if _plain(name).startswith("season")
            else "Choose one that changes from step to step.",
        )


def _numbers(row: Tensor) -> Tensor:
    return row if row.is_complex() else row.double()


def _liveliest(holds: Tensor, lengths: Tensor) -> tuple[int, int]:
    """Return the row and the step from which on the pattern changes most."""
    best, where = -1.0, (0, 0)
    for row, length in enumerate(lengths.tolist()):
        for begin in range(0, max(1, length - SHOWN // 2), SHOWN):
            part = holds[begin : min(begin + SHOWN, length), row]
            spread = float(part.var(correction=0)) * len(part) if len(part) else 0.0
            if spread > best:
                best, where = spread, (row, begin)
    return where


def _labels(stretch: Stretch, shown: slice, row: int) -> list[Any]:
    first = stretch.skip
    if stretch.values is not None:
        found: list[float] = stretch.values[first:][shown, row].double().tolist()
        return found
    if stretch.texts is None:
        return []
    pieces = [piece for text in stretch.texts for piece in text]
    return [pieces[k] for k in stretch.places[first:][shown, row].tolist()]

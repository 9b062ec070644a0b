"""A search of the hidden units for one that follows a pattern: brackets, quotes, the season.

Karpathy, Johnson & Fei-Fei 2015, "Visualizing and understanding recurrent networks", found by eye
units that count the line or stay on inside quotes. Here every unit is measured against a pattern
that can be written down, and against what the best of so many units would reach by chance.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from rich.text import Text
from torch import Generator, Tensor

from elman.errors import InputError
from elman.inspect.passage import Passage, in_own_time
from elman.nn.masking import Lengths, valid_steps

LEVEL = 0.01
"""How often a search among units that follow nothing may find one."""
_BLOCKS = 20
_AT_ONCE = 2**22


@dataclass(frozen=True)
class Follower:
    """A unit and how well it follows the pattern.

    Attributes:
        unit: which.
        selectivity: 0 to 1.
        low: of its 95 % interval.
        high: of its 95 % interval.
        sign: 1 if it is high where the pattern is, -1 if it is low there; 1 for a phase.
        p: of the best of all units being so selective by chance.
    """

    unit: int
    selectivity: float
    low: float
    high: float
    sign: int
    p: float


@dataclass(frozen=True, eq=False)
class Following:
    """The result of a search over the units.

    Attributes:
        measure: what the selectivity is.
        best: the most selective units, best first.
        selectivity: `(H,)`.
        p: `(H,)`, corrected for having looked at all H.
        chance: selectivity that the best of all units passes by chance once in a hundred.
    """

    measure: str
    best: tuple[Follower, ...]
    selectivity: Tensor
    p: Tensor
    chance: float

    @property
    def found(self) -> list[int]:
        """The units with p at most 0.01, the most selective first."""
        order = self.selectivity.argsort(descending=True)
        return [int(unit) for unit in order if self.p[unit] <= LEVEL]

    def __str__(self) -> str:
        lines = [f"{self.measure}; by chance up to {self.chance:.2f}"]
        for f in self.best:
            inverted = "  inverted" if f.sign < 0 else ""
            lines.append(
                f"unit {f.unit:<4} {f.selectivity:.2f}  [{f.low:.2f}, {f.high:.2f}]  "
                f"p = {f.p:.3f}{inverted}"
            )
        return "\n".join(lines)


def follow(
    states: Tensor | Passage,
    pattern: Tensor,
    lengths: Lengths | None = None,
    *,
    state: int = 0,
    top: int = 10,
    shifts: int = 499,
    resamples: int = 200,
    seed: int = 0,
) -> Following:
    """Search the hidden units for those that follow a pattern.

    The selectivity of a unit is, over all valid steps of all rows together,

    - of a pattern of bools |2 AUC − 1|, AUC the area under the ROC curve of the unit's value
      (Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve"),
    - of a pattern of numbers |ρ|, the rank correlation (Spearman 1904, "The proof and measurement
      of association between two things"), ties at their mean rank,
    - of a pattern of complex numbers, which `phase` makes, the multiple correlation of the unit's
      ranks with real and imaginary part (after Mardia 1976, "Linear-circular correlation
      coefficients and rhythmometry").

    By chance: each row's pattern is turned round by a random number of steps, which leaves pattern
    and units as autocorrelated as they are, and the most selective of all units counts each time
    (max T, Westfall & Young 1993, "Resampling-based multiple testing"): p is the share of turns,
    the one as it is included, in which it was at least as selective as the unit. One row of a
    pattern that repeats exactly is the same after many turns: a season takes several rows to be
    found. A trend from the start of every row to its end is not told from a pattern.

    The interval is the percentile bootstrap (Efron 1979) over rows, each cut into blocks (Carlstein
    1986) where they are fewer than 20; it does not know that the unit was chosen for being best.

    Args:
        states: `(T, B, H)`, or a layer at work.
        pattern: `(T, B)`, or `(T,)` for every row alike, in the order of the sequence, also for a
            layer that reads backwards.
        lengths: `(B,)`, valid steps of each row; a passage knows its own.
        state: which state of a passage.
        top: how many units to report.
        shifts: random turns.
        resamples: of the bootstrap.
        seed: of turns and resamples.

    Raises:
        InputError: shapes do not agree, there is a value that is not finite, or the pattern is the
            same everywhere.

    >>> import random
    >>> text = "".join(random.Random(0).choices("()abcdef", k=400))
    >>> inside_brackets = inside(text, "(", ")")
    >>> states = torch.randn(len(text), 1, 5, generator=torch.Generator().manual_seed(0))
    >>> states[:, 0, 3] -= 2.0 * inside_brackets
    >>> found = follow(states, inside_brackets)
    >>> found.found, found.best[0].sign
    ([3], -1)
    """
    if isinstance(states, Passage):
        lengths, turned = states.lengths, states.lengths if states.reverse else None
        values = states.states[state]
    else:
        values, turned = states, None
    if values.dim() != 3:
        raise InputError(f"states must be (time, batch, units), got {tuple(values.shape)}.")
    steps, batch, _ = values.shape
    pattern = torch.as_tensor(pattern, device=values.device)
    if pattern.shape == (steps,):
        pattern = pattern[:, None].expand(steps, batch)
    if pattern.shape != (steps, batch):
        raise InputError(
            f"A pattern {tuple(pattern.shape)} does not fit {steps} steps of {batch} rows.",
            fix=f"Give ({steps}, {batch}), or ({steps},) for every row alike.",
        )
    return _search(
        _Rows.of(values, in_own_time(pattern, turned), lengths),
        top,
        shifts,
        resamples,
        Generator().manual_seed(seed),
    )


def inside(text: str, opening: str, closing: str) -> Tensor:
    """Mark where a text is inside brackets, nested or not: `(T,)` bool, a step a character.

    True is what someone knows who has read up to and with the character: from the opening
    bracket to before the last one that closes. One that closes nothing is passed over.

    >>> inside("a(b(c))d)", "(", ")").int().tolist()
    [0, 1, 1, 1, 1, 1, 0, 0, 0]

    Raises:
        InputError: a bracket is empty, or both are the same.
    """
    if not opening or not closing or opening == closing:
        raise InputError(
            f"{opening!r} and {closing!r} are no pair of brackets.",
            fix="For marks that open and close alike, take inside_quotes.",
        )
    depth, changes = 0, {}
    for found in re.finditer(f"{re.escape(opening)}|{re.escape(closing)}", text):
        depth = depth + 1 if found[0] == opening else max(0, depth - 1)
        changes[found.end() - 1] = depth > 0
    return _lasting(changes, len(text))


def inside_quotes(text: str, quote: str = '"') -> Tensor:
    """Mark where a text is inside quotes: `(T,)` bool, from the opening one up to its partner.

    >>> inside_quotes('a"b"c').int().tolist()
    [0, 1, 1, 0, 0]

    Raises:
        InputError: the quote is empty.
    """
    if not quote:
        raise InputError("The quote is empty.", fix="Give the character that opens and closes.")
    found = enumerate(re.finditer(re.escape(quote), text))
    return _lasting({mark.end() - 1: k % 2 == 0 for k, mark in found}, len(text))


def position_in_line(text: str) -> Tensor:
    r"""Count the characters of the line read so far: `(T,)`, 0 at the end of a line.

    >>> position_in_line("ab\nc").tolist()
    [1.0, 2.0, 0.0, 1.0]
    """
    at = torch.arange(len(text), dtype=torch.float64)
    ends = torch.tensor([c == "\n" for c in text], dtype=torch.bool)
    return at - torch.where(ends, at, -1.0).cummax(0).values if text else at


def matches(text: str, regex: str) -> Tensor:
    """Mark the characters in a match of a regular expression: `(T,)` bool.

    >>> matches("in 1987 and 88", r"[0-9]{4}").int().tolist()
    [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]

    Raises:
        InputError: the expression is not valid.
    """
    try:
        found = [m.span() for m in re.finditer(regex, text)]
    except re.error as error:
        raise InputError(f"{regex!r} is no regular expression: {error}.") from None
    covered = torch.zeros(len(text), dtype=torch.bool)
    for begin, end in found:
        covered[begin:end] = True
    return covered


def phase(steps: int, period: float, start: float = 0.0) -> Tensor:
    """Return the place in the season of each step: `(T,)` complex, exp(2πi (start + t) / period).

    A unit follows it however late in the season it is highest.

    >>> phase(4, 4).angle().div(torch.pi / 2).round().tolist()
    [0.0, 1.0, 2.0, -1.0]

    Raises:
        InputError: the period is not positive.
    """
    if not period > 0:
        raise InputError(f"period={period} must be above 0.")
    turns = (torch.arange(steps, dtype=torch.float64) + start) / period
    return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)


def coloured(text: Sequence[str], values: Tensor, marked: Tensor | None = None) -> str:
    """Write a text in HTML, each character on a colour by its value: blue above 0, red below.

    Args:
        text: a text, or its tokens.
        values: `(T,)`; the largest in size has the full colour, what is not finite has none. The
            full colour lets through enough of the page for its text to be read, light or dark.
        marked: `(T,)` bools, where the text is underlined.

    Returns:
        One `<pre>` element with everything of the text escaped.

    Raises:
        InputError: there is not one value for each.

    >>> page = coloured("a<", torch.tensor([0.0, 2.0]))
    >>> page.endswith('a<span style="background:rgba(33,102,172,0.70)">&lt;</span></pre>')
    True
    """
    spans = []
    for colour, strength, under, piece in _runs(text, values, marked):
        paint = f"background:rgba({','.join(map(str, colour))},{_FULL * strength:.2f})"
        styles = [paint] * (strength > 0) + ["text-decoration:underline"] * under
        inner = html.escape(piece)
        spans.append(f'<span style="{";".join(styles)}">{inner}</span>' if styles else inner)
    return f'<pre style="white-space:pre-wrap">{"".join(spans)}</pre>'


def coloured_for_terminal(text: Sequence[str], values: Tensor) -> Text:
    """Write a text as `coloured` does, for a terminal: rich prints it.

    Raises:
        InputError: there is not one value for each.

    >>> found = coloured_for_terminal("ab", torch.tensor([1.0, -1.0]))
    >>> found.plain, [str(span.style) for span in found.spans]
    ('ab', ['black on #2166ac', 'black on #b2182b'])
    """
    painted = Text()
    for colour, strength, _, piece in _runs(text, values):
        shown = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in piece)
        blend = "".join(f"{round(255 - strength * (255 - c)):02x}" for c in colour)
        painted.append(shown, f"black on #{blend}" if strength else None)
    return painted


_ABOVE, _BELOW = (33, 102, 172), (178, 24, 43)
"""The ends of RdBu, which also those see who do not tell red from green (ColorBrewer)."""
_FULL = 0.7


def _runs(
    text: Sequence[str], values: Tensor, marked: Tensor | None = None
) -> list[tuple[tuple[int, int, int], float, bool, str]]:
    """Yield runs of text that share colour, strength (0 to 1) and mark, after those three."""
    if values.shape != (len(text),):
        raise InputError(f"{len(text)} characters need as many values, got {tuple(values.shape)}.")
    known = values.detach().double().nan_to_num(0.0, 0.0, 0.0)
    scaled = (known / known.abs().max().clamp(min=1e-300)).tolist() if len(text) else []
    under = [False] * len(text) if marked is None else marked.tolist()
    looks = [
        (_ABOVE if v > 0 else _BELOW, round(abs(v), 2), bool(u))
        for v, u in zip(scaled, under, strict=True)
    ]
    pieces = groupby(zip(looks, text, strict=True), key=lambda pair: pair[0])
    return [(*look, "".join(c for _, c in group)) for look, group in pieces]


def _lasting(changes: dict[int, bool], steps: int) -> Tensor:
    """Spread values that hold from each change to the next over all steps."""
    held = torch.zeros(steps, dtype=torch.bool)
    for begin, end in pairwise([*changes, steps]):
        held[begin:end] = changes[begin]
    return held


@dataclass(frozen=True, eq=False)
class _Rows:
    """All valid steps, row after row: `(N, H)` values, and `(N,)` numbers beside them."""

    values: Tensor
    pattern: Tensor
    row: Tensor
    at: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, values: Tensor, pattern: Tensor, lengths: Lengths | None) -> _Rows:
        """Take the rows from `(T, B, H)` and `(T, B)`."""
        steps, batch, units = values.shape
        if lengths is None:
            lengths = [steps] * batch
        valid = valid_steps(lengths, steps, values.device)
        row, at = valid.nonzero(as_tuple=True)
        flat, pattern = values.detach().transpose(0, 1)[valid].double(), pattern.T[valid]
        if units == 0 or len(flat) < 2:
            raise InputError(f"There is nothing to search: {units} units at {len(flat)} steps.")
        if not bool(flat.isfinite().all()) or not bool(pattern.isfinite().all()):
            raise InputError(
                "States and pattern must be finite.", fix="Leave such steps out by lengths."
            )
        if bool((pattern == pattern[0]).all()):
            raise InputError("The pattern is the same at every step, so nothing can follow it.")
        return cls(flat, pattern, row, at, valid.sum(1))

    def shifted(self, by: Tensor) -> Tensor:
        """Return where each step's pattern comes from, `(S, N)`, if row b turns by `by[:, b]`."""
        first = self.lengths.cumsum(0) - self.lengths
        return first[self.row] + (self.at - by[:, self.row]) % self.lengths[self.row]

    def blocks(self) -> Tensor:
        """Return the block of the bootstrap that each step belongs to, `(N,)`."""
        rows = int((self.lengths > 0).sum())
        parts = -(-_BLOCKS // rows)
        block = self.row * parts + self.at * parts // self.lengths[self.row]
        return _groups(block)


_MEASURES = {"bool": "|2 AUC − 1|", "real": "|rank correlation|", "phase": "correlation with phase"}


def _search(rows: _Rows, top: int, shifts: int, resamples: int, generator: Generator) -> Following:
    kind = "phase" if rows.pattern.is_complex() else "real"
    kind = "bool" if rows.pattern.dtype == torch.bool else kind
    weights, scores = _linear(kind, rows)
    signed = weights.T @ scores
    selectivity = signed.norm(dim=0)
    turns = torch.stack(
        [torch.randint(max(1, n), (shifts,), generator=generator) for n in rows.lengths.tolist()],
        1,
    ).to(rows.row.device)
    best = torch.cat(
        [
            (weights[rows.shifted(some)].transpose(1, 2) @ scores).norm(dim=1).amax(1)
            for some in torch.split(turns, max(1, _AT_ONCE // len(scores)))
        ]
    )
    # A turn by nothing, or by a whole season, must not fall short by rounding.
    p = (1 + (best[:, None] >= selectivity - 1e-9).sum(0)) / (shifts + 1)
    chosen = selectivity.argsort(descending=True, stable=True)[:top]
    sign = signed[0].sign() if kind != "phase" else torch.ones_like(selectivity)
    drawn = _resampled(kind, rows, chosen, resamples, generator) * sign[chosen]
    low, high = (drawn.nanquantile(share, 0) for share in (0.025, 0.975))
    followers = tuple(
        Follower(
            int(unit),
            float(selectivity[unit]),
            float(low[k]),
            float(high[k]),
            -1 if sign[unit] < 0 else 1,
            float(p[unit]),
        )
        for k, unit in enumerate(chosen)
    )
    return Following(_MEASURES[kind], followers, selectivity, p, float(best.quantile(1 - LEVEL)))


def _linear(kind: str, rows: _Rows) -> tuple[Tensor, Tensor]:
    """Return the selectivity as a length: of weights `(N, P)` of the pattern times scores `(N, H)`.

    Turned round the pattern keeps its values, so that only the order of the weights changes.
    """
    once = torch.ones_like(rows.values[:, 0])[None]
    ranks = torch.cat([_midranks(unit, once) for unit in rows.values.T]).T
    if kind == "bool":
        where = rows.pattern.double()[:, None]
        weights = where / where.sum() - (1 - where) / (1 - where).sum()
        return weights, ranks * 2 / len(ranks)
    scores = ranks - ranks.mean(0)
    scores = scores / scores.norm(dim=0).clamp(min=1e-12)
    columns = _columns(kind, rows.pattern, once)[0].T
    columns = columns - columns.mean(0)
    if kind == "real":
        return columns / columns.norm(), scores
    basis, size, _ = torch.linalg.svd(columns, full_matrices=False)
    return basis[:, size > 1e-9 * size[0]], scores


def _resampled(
    kind: str, rows: _Rows, units: Tensor, resamples: int, generator: Generator
) -> Tensor:
    """Return signed selectivities `(R, units)` of resampled blocks."""
    block = rows.blocks()
    number = int(block.max()) + 1
    drawn = torch.randint(number, (resamples, number), generator=generator).to(block.device)
    times = torch.zeros(resamples, number, dtype=torch.float64, device=block.device)
    times.scatter_add_(1, drawn, torch.ones_like(times))
    found = []
    for some in torch.split(times, max(1, _AT_ONCE // len(block))):
        counts = some[:, block]
        columns = _columns(kind, rows.pattern, counts)
        found.append(
            torch.stack([_strength(kind, columns, rows.values[:, u], counts) for u in units], 1)
        )
    return torch.cat(found)


def _strength(kind: str, columns: Tensor, unit: Tensor, counts: Tensor) -> Tensor:
    """Return a unit's signed selectivity `(R,)`, step i counted `counts[:, i]` times."""
    ranks, total = _midranks(unit, counts), counts.sum(1, keepdim=True)
    if kind == "bool":
        where, others = counts * columns[:, 0], counts * (1 - columns[:, 0])
        above = (where * ranks).sum(1) / where.sum(1) - (others * ranks).sum(1) / others.sum(1)
        return above * 2 / total[:, 0]
    share = (counts / total)[:, None]
    x = columns - (columns * share).sum(2, keepdim=True)
    y = ranks[:, None] - (ranks[:, None] * share).sum(2, keepdim=True)
    between, within = (x * share) @ y.mT, (x * share) @ x.mT
    spread = (share * y.square()).sum((1, 2)).clamp(min=1e-12)
    if kind == "real":
        return between[:, 0, 0] / (spread * within[:, 0, 0].clamp(min=1e-12)).sqrt()
    inverse: Tensor = torch.linalg.pinv(within, rtol=1e-9, hermitian=True)
    explained = between.mT @ inverse @ between
    return (explained[:, 0, 0] / spread).clamp(min=0).sqrt()


def _columns(kind: str, pattern: Tensor, counts: Tensor) -> Tensor:
    """Return the pattern's columns: `(R, P, N)`, or `(1, P, N)` if always the same."""
    if kind == "phase":
        return torch.stack([pattern.real, pattern.imag]).double()[None]
    return pattern.double()[None, None] if kind == "bool" else _midranks(pattern, counts)[:, None]


def _midranks(values: Tensor, counts: Tensor) -> Tensor:
    """Rank `(N,)` with ties at their mean, value i counted `counts[:, i]` times: `(R, N)`."""
    tied = _groups(values)
    of_each = counts.new_zeros(len(counts), int(tied.max()) + 1).index_add_(1, tied, counts)
    return (of_each.cumsum(1) - (of_each - 1) / 2)[:, tied]


def _groups(values: Tensor) -> Tensor:
    """Number each value by its place among the distinct values, ascending."""
    found: tuple[Tensor, Tensor] = torch.unique(values, return_inverse=True)
    return found[1]

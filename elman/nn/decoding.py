"""From a model's logits to a sequence: sampling, greedy choice, beam search.

Every function takes a step function `(tokens, state) -> (logits, state)`: from tokens `(B,)` to
logits `(B, V)` of the next token. The state is a nesting of tuples and lists of tensors whose
first axis is the batch, or of None. A language model, a decoder with attention and a plain
function of the last token are all steps. Put the model in evaluation mode first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import torch
from torch import Generator, Tensor

from elman.errors import InputError
from elman.nn.state import index

State = Any
Step = Callable[[Tensor, State], tuple[Tensor, State]]


def with_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide logits by a temperature: below 1 the likely is likelier, at 0 only the best is left.

    >>> with_temperature(torch.tensor([1.0, 3.0]), 0.5)
    tensor([-4.,  0.])
    >>> with_temperature(torch.tensor([1.0, 3.0]), 0.0)
    tensor([-inf, 0.])

    Raises:
        InputError: a temperature that is negative or no finite number.
    """
    if not 0 <= temperature < math.inf:
        raise InputError(f"A temperature is a finite number, 0 or more, not {temperature}.")
    best = logits.max(-1, keepdim=True)
    if temperature == 0:
        only = torch.full_like(logits, -torch.inf)
        return only.scatter(-1, best.indices, 0.0)
    # Relative to the best, so that a small temperature overflows to -inf and never to NaN. Beyond
    # these bounds it would be 0 or infinite in float32, and what is forbidden would be NaN.
    return (logits - best.values) / min(max(temperature, 1e-30), 1e30)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the `k` largest logits, the first of equal ones; set the others to -inf.

    >>> keep_top_k(torch.tensor([1.0, 3.0, 2.0]), 2)
    tensor([-inf, 3., 2.])

    Raises:
        InputError: `k` below 1, or no whole number.
    """
    if not (isinstance(k, int) and k >= 1):
        raise InputError(f"top_k is a whole number, 1 or more, not {k}.")
    order = logits.sort(dim=-1, descending=True, stable=True).indices
    return logits.scatter(-1, order[..., k:], -torch.inf)


def keep_nucleus(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest likeliest tokens that have probability `p` together; set others to -inf.

    Holtzman et al. 2020, "The curious case of neural text degeneration".

    >>> keep_nucleus(torch.tensor([0.5, 0.3, 0.2]).log(), 0.7).exp()
    tensor([0.5000, 0.3000, 0.0000])

    Raises:
        InputError: `p` not above 0 and at most 1.
    """
    if not 0 < p <= 1:
        raise InputError(f"top_p is above 0 and at most 1, not {p}.")
    if p == 1:
        return logits
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    # A token goes when those before it already have p together.
    reached = ranked.softmax(-1).cumsum(-1) >= p
    drop = torch.zeros_like(reached).scatter(-1, order[..., 1:], reached[..., :-1])
    return logits.masked_fill(drop, -torch.inf)


class SampleOptions(TypedDict, total=False):
    """Options for the choice of the next token; see `choose`."""

    temperature: float
    top_k: int | None
    top_p: float | None
    generator: Generator | Sequence[Generator] | None


def choose(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | Sequence[Generator] | None = None,
) -> Tensor:
    """Draw one token for each row: from logits `(B, V)`, tokens `(B,)`.

    The temperature comes first, then `top_k`, then `top_p` of what is left. Temperature 0 takes
    the likeliest. A generator on the CPU gives the same draws whatever device the logits are on.
    With a generator for each row, what a row draws does not depend on the other rows.

    >>> choose(torch.tensor([[0.0, 5.0], [5.0, 0.0]]), temperature=0)
    tensor([1, 0])
    >>> choose(torch.zeros(8, 3), top_k=2, generator=torch.Generator().manual_seed(0))
    tensor([1, 1, 0, 1, 1, 1, 0, 0])

    Raises:
        InputError: an option out of its range.
    """
    if temperature == 0 and top_k is None and top_p is None:
        return logits.argmax(-1)
    logits = with_temperature(_at_least_float32(logits), temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_nucleus(logits, top_p)
    if temperature == 0:
        return logits.argmax(-1)
    # One uniform number a row, looked up in the cumulated probabilities in float64. Noise for every
    # token (the Gumbel trick) would in float32 sometimes choose a token of probability 1e-30.
    cumulated = logits.double().softmax(-1).cumsum(-1)
    total = cumulated[:, -1:]
    point = _uniform(logits, generator).to(logits.device) * total
    point = point.minimum(total.nextafter(torch.zeros_like(total)))
    return (cumulated <= point).sum(-1)


def _uniform(logits: Tensor, generator: Generator | Sequence[Generator] | None) -> Tensor:
    """Return a number between 0 and 1 for each row, `(B, 1)`."""
    if generator is None or isinstance(generator, Generator):
        device = logits.device if generator is None else generator.device
        return torch.rand(len(logits), 1, generator=generator, device=device, dtype=torch.float64)
    if len(generator) != len(logits):
        raise InputError(f"There are {len(generator)} generators for {len(logits)} rows.")
    drawn = [torch.rand(1, generator=own, dtype=torch.float64) for own in generator]
    return torch.stack(drawn) if drawn else logits.new_empty((0, 1), dtype=torch.float64)


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


@dataclass(frozen=True)
class Samples:
    """Drawn sequences: `tokens` `(B, T)` and `lengths` `(B,)`.

    A length counts the end token. Places after the end are filled with the end token, or with 0
    where there is none.
    """

    tokens: Tensor
    lengths: Tensor

    def lists(self) -> list[list[int]]:
        """Return each row up to its length.

        >>> Samples(torch.tensor([[5, 1, 1], [4, 3, 1]]), torch.tensor([2, 3])).lists()
        [[5, 1], [4, 3, 1]]
        """
        rows = zip(self.tokens.tolist(), self.lengths.tolist(), strict=True)
        return [row[:length] for row, length in rows]


@torch.no_grad()
def sample(
    step: Step,
    start: Tensor,
    state: State,
    *,
    max_length: int | Tensor,
    eos: int | None = None,
    each: int = 1,
    narrowed: Callable[[Tensor], Step] | None = None,
    **options: Unpack[SampleOptions],
) -> Samples:
    """Sample: feed a step the tokens drawn from its logits until every row has ended.

    Args:
        step: `(tokens, state) -> (logits, state)`.
        start: the tokens `(B,)` to feed first: a token that begins, or the last of a prompt.
        state: the state before `start` is fed.
        max_length: most tokens to draw; `(B,)` one for each row.
        eos: the token that ends a row; None draws `max_length`.
        each: sequences that are drawn from each row of `start`; they lie together in the result.
        narrowed: gives the step for some of the rows of `start`, as for `beam_search`; with it
            rows of which all sequences have ended leave the batch. With one generator for all
            rows it changes what is drawn.
        **options: how to draw, see `choose`; generators are one for each sequence.

    >>> def count(tokens, state):
    ...     return torch.nn.functional.one_hot((tokens + 1) % 5, 5) * 100.0, state
    >>> sample(count, torch.tensor([0, 2]), None, max_length=9, eos=4).lists()
    [[1, 2, 3, 4], [3, 4]]
    """
    device, generator = start.device, options.get("generator")
    together = torch.arange(each, device=device)
    rows = torch.arange(len(start), device=device)
    fed = rows.repeat_interleave(each)
    tokens = start
    if each > 1:
        tokens, state = start[fed], index(state, fed)
    most = torch.as_tensor(max_length, device=device).expand(len(start))[fed]
    places = torch.arange(len(fed), device=device)
    lengths, going = torch.zeros_like(places), most > 0
    columns: list[Tensor] = []
    while bool(going.any()):
        logits, state = step(tokens, state)
        if columns and not (generator is None or isinstance(generator, Generator)):
            options["generator"] = [generator[place] for place in places.tolist()]
        tokens = choose(logits, **options)
        column = start.new_full((len(most),), 0 if eos is None else eos)
        column[places[going]] = tokens[going]
        columns.append(column)
        lengths[places[going]] += 1
        if eos is not None:
            tokens = tokens.masked_fill(~going, eos)
            going = going & (tokens != eos)
        going = going & (most[places] > len(columns))
        left = going.view(-1, each).any(-1).nonzero().squeeze(-1)
        if narrowed is not None and 0 < len(left) < _WORTH_NARROWING * len(rows):
            rows = rows[left]
            chosen = (left.unsqueeze(-1) * each + together).flatten()
            tokens, going, places = tokens[chosen], going[chosen], places[chosen]
            state, step = index(state, chosen), narrowed(rows)
    sequences = torch.stack(columns, 1) if columns else start.new_empty(len(most), 0)
    return Samples(sequences, lengths)


def greedy(
    step: Step, start: Tensor, state: State, *, max_length: int, eos: int | None = None
) -> Samples:
    """Choose the likeliest token at every step; arguments as for `sample`.

    >>> def double(tokens, state):
    ...     return torch.nn.functional.one_hot(tokens * 2 % 7, 7).float(), state
    >>> greedy(double, torch.tensor([1]), None, max_length=4).tokens
    tensor([[2, 4, 1, 2]])
    """
    return sample(step, start, state, max_length=max_length, eos=eos, temperature=0.0)


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that beam search found.

    Attributes:
        tokens: without the start, with the end token if it ended.
        log_probability: of the whole sequence, in nats.
        score: `log_probability` over the length penalty; hypotheses are ranked by it.
        ended: whether it has an end token; otherwise `max_length` cut it.
    """

    tokens: list[int]
    log_probability: float
    score: float
    ended: bool


def length_penalty(length: int, alpha: float) -> float:
    """Return ((5 + length) / 6) ** alpha, which divides log-probabilities (Wu et al. 2016, eq. 14).

    >>> length_penalty(7, 0.0), length_penalty(7, 1.0)
    (1.0, 2.0)
    """
    return float(((5 + length) / 6) ** alpha)


@torch.no_grad()
def beam_search(
    step: Step,
    start: Tensor,
    state: State,
    *,
    beam: int,
    max_length: int | Tensor,
    eos: int | None = None,
    alpha: float = 0.0,
    n_best: int = 1,
    min_length: int = 0,
    block: int = 0,
    narrowed: Callable[[Tensor], Step] | None = None,
) -> list[list[Hypothesis]]:
    """Search the likeliest sequences by keeping `beam` hypotheses at a time.

    A hypothesis that ends leaves the beam, and the beam is then one narrower (Sutskever et al.
    2014). So beam 1 is greedy choice, and a beam as wide as there are sequences finds the best.
    A row whose best hypotheses can no longer be beaten is done.

    Args:
        step: `(tokens, state) -> (logits, state)`; rows of the state are picked with
            `elman.nn.state.index`.
        start: the tokens `(B,)` to feed first.
        state: the state before `start` is fed, batch B.
        beam: hypotheses kept at a time.
        max_length: most tokens in a sequence, the end token included; `(B,)` one for each row.
        eos: the token that ends a sequence.
        alpha: length penalty, 0 for none; about 0.6 to 1 favours longer sequences.
        n_best: hypotheses to return for each row, best first; at most `beam`. Fewer are
            returned where there are fewer sequences.
        min_length: fewest tokens before the end token.
        block: no sequence has the same so many tokens in a row twice (Paulus et al. 2018); 0 blocks
            nothing.
        narrowed: gives the step for some of the rows of `start`, from their numbers `(n,)`; with it
            rows that are done leave the batch; without it the step is given all of them until the
            last is done. A step that holds nothing of the rows beside the state is its own.

    >>> table = torch.tensor([[0.0, 0.6, 0.4], [0.5, 0.4, 0.1], [0.98, 0.01, 0.01]]).log()
    >>> def step(tokens, state):
    ...     return table[tokens], state
    >>> [best] = beam_search(step, torch.tensor([0]), None, beam=2, max_length=3, eos=0, n_best=2)
    >>> [(h.tokens, round(h.score, 3)) for h in best]
    [([2, 0], -0.936), ([1, 0], -1.204)]

    Raises:
        InputError: an option out of its range.
    """
    if not 1 <= n_best <= beam:
        raise InputError(f"n_best={n_best} is not between 1 and beam={beam}.")
    batch, device = len(start), start.device
    most = torch.as_tensor(max_length, device=device).expand(batch)
    if alpha < 0 or bool((most < 1).any()) or min_length < 0 or block < 0:
        raise InputError("alpha, min_length and block are 0 or more, and max_length is 1 or more.")
    if not batch:
        return []
    found: list[list[Hypothesis]] = [[] for _ in range(batch)]
    first = torch.arange(batch, device=device).unsqueeze(-1) * beam
    rows = torch.arange(batch, device=device)
    each = rows.repeat_interleave(beam)
    tokens, state = start[each], index(state, each)
    history = start.new_empty(batch, beam, 0)
    # Every hypothesis of a row begins alike, so only one may be continued.
    scores = torch.full((batch, beam), -torch.inf, device=device)
    scores[:, 0] = 0
    room = torch.full((batch, 1), beam, device=device)
    widest = [length_penalty(row, alpha) for row in most.tolist()]
    for length in range(1, int(most.max()) + 1):
        logits, state = step(tokens, state)
        following = _at_least_float32(logits).reshape(len(rows), beam, -1)
        whole = following.logsumexp(-1, keepdim=True)
        if eos is not None and length <= min_length:
            following = following.index_fill(-1, torch.tensor(eos, device=device), -torch.inf)
        if block:
            following = _without_repeats(following, history, block)
        best, symbols = largest(following, min(beam, following.shape[-1]))
        totals = (scores.unsqueeze(-1) + (best - whole)).flatten(1)
        scores, candidates = totals.topk(beam)
        parents, choices = candidates // best.shape[-1], symbols.flatten(1).gather(1, candidates)
        history = history.gather(1, parents.unsqueeze(-1).expand(-1, -1, length - 1))
        history = torch.cat((history, choices.unsqueeze(-1)), -1)

        scores = scores.masked_fill(torch.arange(beam, device=device) >= room, -torch.inf)
        live = scores.isfinite()
        by_itself = live & (choices == (-1 if eos is None else eos))
        leaving = by_itself | (live & (most == length).unsqueeze(-1))
        penalty, numbers = length_penalty(length, alpha), rows.tolist()
        for row, slot in leaving.nonzero().tolist():
            total = float(scores[row, slot])
            found[numbers[row]].append(
                Hypothesis(
                    history[row, slot].tolist(),
                    total,
                    total / penalty,
                    bool(by_itself[row, slot]),
                )
            )
        scores = scores.masked_fill(leaving, -torch.inf)
        room = room - leaving.sum(-1, keepdim=True)

        # A log-probability only falls: a row is done when no hypothesis could still get among
        # its n best, even at the largest penalty.
        for row, (number, best_score) in enumerate(
            zip(numbers, scores.amax(-1).tolist(), strict=True)
        ):
            hypotheses = found[number]
            hypotheses.sort(key=lambda h: -h.score)
            reach = best_score / widest[number]
            if len(hypotheses) >= n_best and hypotheses[n_best - 1].score >= reach:
                scores[row] = -torch.inf
        going = scores.isfinite().any(-1).nonzero().squeeze(-1)
        if not len(going):
            break
        parents = first[: len(rows)] + parents
        if narrowed is not None and len(going) < _WORTH_NARROWING * len(rows):
            scores, room, most, history = (one[going] for one in (scores, room, most, history))
            rows, parents, choices = rows[going], parents[going], choices[going]
            step = narrowed(rows)
        tokens, state = choices.flatten(), index(state, parents.flatten())
    return [hypotheses[:n_best] for hypotheses in found]


_WORTH_NARROWING = 0.9
"""Share of the rows that are still searched below which the others leave the batch: what the rows
hold beside the state is then copied."""
_BLOCK = 64
"""Scores of which only the largest is compared at first: about the root of a vocabulary."""


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the `k` largest of scores `(..., V)`, largest first, and their places.

    The largest are in the blocks whose own largest are the largest, so that only those are sorted:
    a search over 8,000 symbols takes a third of the time.

    >>> largest(torch.tensor([1.0, 3.0, 2.0]), 2)
    (tensor([3., 2.]), tensor([1, 2]))
    """
    blocks, rest = divmod(scores.shape[-1], _BLOCK)
    if blocks <= 2 * k:
        found = scores.topk(k)
        return found.values, found.indices
    inside = scores[..., : blocks * _BLOCK].reshape(*scores.shape[:-1], blocks, _BLOCK)
    chosen = inside.amax(-1).topk(k).indices
    some = inside.gather(-2, chosen.unsqueeze(-1).expand(*chosen.shape, _BLOCK)).flatten(-2)
    places = torch.arange(_BLOCK, device=scores.device) + chosen.unsqueeze(-1) * _BLOCK
    places = places.flatten(-2)
    if rest:
        some = torch.cat((some, scores[..., blocks * _BLOCK :]), -1)
        last = torch.arange(blocks * _BLOCK, scores.shape[-1], device=scores.device)
        places = torch.cat((places, last.expand(*places.shape[:-1], rest)), -1)
    values, which = some.topk(k)
    return values, places.gather(-1, which)


def _without_repeats(scores: Tensor, history: Tensor, n: int) -> Tensor:
    """Set scores `(B, K, V)` to -inf for tokens that would end an n-gram of `history` `(B, K, T)`.

    >>> _without_repeats(torch.zeros(1, 1, 3), torch.tensor([[[2, 1, 2]]]), 2)
    tensor([[[0., -inf, 0.]]])
    """
    if history.shape[-1] < n:
        return scores
    grams = history.unfold(-1, n, 1)
    last = history[..., history.shape[-1] - n + 1 :].unsqueeze(-2)
    there = (grams[..., :-1] == last).all(-1)
    # Where the beginning of an n-gram is another one, its own end is set to what it is.
    ends = grams[..., -1]
    kept = scores.gather(-1, ends).masked_fill(there, -torch.inf)
    return scores.scatter_reduce(-1, ends, kept, "amin")

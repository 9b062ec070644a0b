"""The likeliest ways to go on: whole words for someone typing, with their probabilities."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.nn import state as states
from elman.nn.decoding import Step

_BRANCHES = 24
_LOOKED_AT = 400


@dataclass(frozen=True)
class Suggestion:
    """Symbols to add, and the probability that exactly this word comes next."""

    tokens: list[int]
    probability: float


def next_symbols(step: Step, token: Tensor, state: Any, n: int) -> list[Suggestion]:
    """The `n` likeliest symbols after `token` `(1,)`."""
    logits, _ = step(token, state)
    p, symbols = logits[0].float().softmax(-1).topk(min(n, logits.shape[-1]))
    pairs = zip(symbols.tolist(), p.tolist(), strict=True)
    return [Suggestion([symbol], value) for symbol, value in pairs if value > 0]


def next_words(
    step: Step, token: Tensor, state: Any, n: int, opens: Tensor, joins: Tensor, end: int
) -> list[Suggestion]:
    """The `n` likeliest words after `token` `(1,)`, made of several symbols each.

    Strings are looked at in order of their probability, which only falls as they grow, so
    the first `n` words that are complete are the likeliest. A word is complete where the
    next symbol does not join it; what may come before it (a blank, a comma) is part of
    the suggestion.

    Args:
        step: `(tokens, state) -> (logits, state)`.
        token: what was written last.
        state: the state before `token` is fed.
        n: suggestions at most.
        opens: `(symbols,)` whether a symbol holds a letter or digit.
        joins: `(symbols,)` whether it goes on with the word before it.
        end: the symbol between documents; what comes after it is no suggestion.
    """
    order = itertools.count()
    # Cost so far, tie-break, symbols, whether a word has begun, what to run next or None.
    heap: list[tuple[float, int, list[int], bool, Any]] = [
        (0.0, next(order), [], False, (token, state))
    ]
    found: list[Suggestion] = []
    for _ in range(_LOOKED_AT):
        if not heap or len(found) == n:
            break
        cost, _, symbols, begun, todo = heapq.heappop(heap)
        if todo is None:
            found.append(Suggestion(symbols, math.exp(-cost)))
            continue
        logits, after = step(*todo)
        p = logits[0].double().softmax(-1)
        if begun:
            ended = float(p[~joins].sum())
            if ended > 0:
                heapq.heappush(heap, (cost - math.log(ended), next(order), symbols, True, None))
            p = p * joins
        p[end] = 0
        values, chosen = p.topk(min(_BRANCHES, len(p)))
        for value, symbol in zip(values.tolist(), chosen.tolist(), strict=True):
            if value > 0:
                entry = [*symbols, symbol]
                word = begun or bool(opens[symbol])
                todo = (torch.tensor([symbol], device=token.device), after)
                heapq.heappush(heap, (cost - math.log(value), next(order), entry, word, todo))
    return found


def finish(
    step: Step, tokens: Tensor, state: Any, ends: Tensor, max_length: int
) -> list[list[int]]:
    """The likeliest symbols after each of `tokens` `(B,)` up to one of `ends`, or `max_length`."""
    rows: list[list[int]] = [[] for _ in range(len(tokens))]
    running = torch.arange(len(tokens), device=tokens.device)
    while len(running) and len(rows[int(running[0])]) < max_length:
        logits, state = step(tokens, state)
        tokens = logits.argmax(-1)
        for row, symbol in zip(running.tolist(), tokens.tolist(), strict=True):
            rows[row].append(symbol)
        alive = ~ends[tokens]
        running, tokens, state = running[alive], tokens[alive], states.index(state, alive)
    return rows

"""Writing with a translator: beam search or sampling in batches, unknown words, alignments."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from elman.errors import InputError
from elman.nn import decoding
from elman.nn.decoding import Hypothesis
from elman.tasks.base import device_of
from elman.tasks.translate.symbols import Source, Symbols
from elman.tasks.translate.translator import IGNORED, Batch, Translator

_AT_ONCE = 64
"""Sources that are searched for at once, at most."""
_SCORES = 1 << 22
"""Scores that are held at once, so that a large vocabulary does not take much memory."""
_WHOLE = (
    "beam",
    "block_repeats",
    "min_length",
    "max_length",
    "n_best",
    "top_k",
    "seed",
    "consensus",
)
"""Options that are whole numbers."""
_COSTED = 1 << 13
"""Symbols of drawn texts whose costs are computed at once."""
_OF_SEARCH = ("beam", "length_penalty", "block_repeats", "min_length")
"""Options that have no effect on what is drawn."""
_ROOM = 2, 10
"""Symbols that may be written for each that was read, and beyond them."""


@dataclass(frozen=True)
class Options:
    """The way in which texts are written.

    Attributes:
        beam: hypotheses that beam search keeps.
        length_penalty: above 0 favours longer texts.
        block_repeats: no text has so many symbols in a row twice; 0 blocks nothing.
        min_length: symbols of a text at least.
        max_length: symbols at most, its end included; None: by the length of the source.
        n_best: texts for each source, best first.
        consensus: of so many texts that which is most like the others; 0: the likeliest.
        temperature: None searches; a number draws `n_best` texts at random.
        top_k, top_p: draw from the likeliest symbols only.
        seed: of what is drawn.
    """

    beam: int = 5
    length_penalty: float = 0.5
    block_repeats: int = 0
    min_length: int = 0
    max_length: int | None = None
    n_best: int = 1
    consensus: int = 0
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def with_(self, **given: Any) -> Options:
        """Return options of which some are others.

        Raises:
            InputError: a number out of its range, or an option that has no effect.
        """
        for name, value in given.items():
            if value is None and getattr(Options, name) is None:
                continue
            whole = name in _WHOLE
            kind = numbers.Integral if whole else numbers.Real
            if type(value) is bool or not isinstance(value, kind):
                raise InputError(f"{name} is a {'whole ' if whole else ''}number, not {value!r}.")
        found = replace(self, **given)
        if found.temperature is None:
            for name in ("top_k", "top_p", "seed"):
                if given.get(name) is not None:
                    raise InputError(f"{name} is for drawing at random.", fix="Set temperature=1.")
        else:
            for name in _OF_SEARCH:
                if given.get(name) is not None:
                    raise InputError(f"{name} is for search.", fix="Leave temperature out.")
        if found.n_best < 1 or found.beam < 1 or found.min_length < 0:
            raise InputError(
                f"n_best={found.n_best}, beam={found.beam} and min_length={found.min_length} are "
                "not possible."
            )
        if found.consensus < 0 or found.consensus == 1:
            raise InputError(
                f"consensus={found.consensus}: of so many texts none is most like the others.",
                fix="Give 2 or more, or 0 for the likeliest text.",
            )
        if found.temperature is None and found.n_best > found.beam:
            found = replace(found, beam=found.n_best)
        if found.max_length is not None and found.max_length <= found.min_length:
            raise InputError(
                f"max_length={found.max_length} must be above min_length={found.min_length}."
            )
        return found


@dataclass(frozen=True)
class Answer:
    """A text that was written.

    Attributes:
        text: as people read it.
        ids: its symbols without the end; those beyond the vocabulary are words of the source.
        log_probability: of the whole, in nats.
        score: by which hypotheses are ranked.
        ended: whether it came to an end by itself.
        looks: for each symbol and the end, where the decoder looked, `(T, S)`; None where that was
            not asked for, or there is no attention.
    """

    text: str
    ids: list[int]
    log_probability: float
    score: float
    ended: bool
    looks: NDArray[np.float32] | None = None


@torch.inference_mode()
def write(
    model: Translator,
    symbols: Symbols,
    texts: Sequence[str],
    options: Options,
    longest: int,
    *,
    looks: bool = False,
    rows: Sequence[int] | None = None,
    told: Callable[[int], None] | None = None,
) -> list[list[Answer]]:
    """Write texts for each source, best first.

    Args:
        model: the trained model.
        symbols: its vocabularies.
        texts: sources.
        options: how to write.
        longest: symbols of an answer at most, where the options do not say it.
        looks: whether to give where the decoder looked.
        rows: the number of each source, by which, with the seed, its texts are drawn; its place
            when None.
        told: told how many sources are done.
    """
    model.eval()
    sources = [symbols.read(text) for text in texts]
    order = np.argsort([len(one.ids) for one in sources], kind="stable").tolist()
    each = options.beam if options.temperature is None else options.n_best
    many = max(1, min(_AT_ONCE, _SCORES // (each * len(symbols.target))))
    found: list[list[Answer]] = [[] for _ in texts]
    of_sources = range(len(texts)) if rows is None else rows
    for first in range(0, len(order), many):
        chosen = order[first : first + many]
        some = [sources[place] for place in chosen]
        drawn = [of_sources[place] for place in chosen]
        answered = _batch(model, symbols, some, options, longest, looks, drawn)
        for place, answers in zip(chosen, answered, strict=True):
            found[place] = answers
        if told is not None:
            told(min(first + many, len(order)))
    return found


def _batch(
    model: Translator,
    symbols: Symbols,
    sources: Sequence[Source],
    options: Options,
    longest: int,
    looks: bool,
    of_sources: Sequence[int],
) -> list[list[Answer]]:
    device = device_of(model)
    nothing = [np.zeros(0, np.int64)] * len(sources)
    batch = Batch.of(sources, nothing, symbols.source.pad or 0).to(device)
    tokens, state, memory = model.start(batch.source, batch.lengths)
    step, narrowed = model.step(batch, memory), model.narrowed(batch, memory)
    most = [
        options.max_length or min(longest, _ROOM[0] * len(one.ids) + _ROOM[1]) for one in sources
    ]
    limits = torch.tensor([max(n, options.min_length + 1) for n in most], device=device)
    if options.temperature is None:
        found = decoding.beam_search(
            step,
            tokens,
            state,
            beam=options.beam,
            max_length=limits,
            eos=symbols.eos,
            alpha=options.length_penalty,
            n_best=options.n_best,
            min_length=options.min_length,
            block=options.block_repeats,
            narrowed=narrowed,
        )
    else:
        begun = step, tokens, state, narrowed
        found = _drawn(model, begun, batch, symbols, options, limits, of_sources)
    answers = []
    for one, hypotheses in zip(sources, found, strict=True):
        answers.append([_answer(symbols, one, hypothesis) for hypothesis in hypotheses])
    unknown = symbols.unk
    if looks or any(unknown in answer.ids for row in answers for answer in row):
        answers = _looked(model, symbols, sources, answers, looks)
    return answers


def _drawn(
    model: Translator,
    begun: tuple[decoding.Step, Tensor, Any, Any],
    batch: Batch,
    symbols: Symbols,
    options: Options,
    limits: Tensor,
    of_sources: Sequence[int],
) -> list[list[Hypothesis]]:
    """Draw texts at random; their scores are the logarithms of their probabilities.

    Each text has a generator of its own, so it does not depend on what is drawn beside it.
    """
    *start, narrowed = begun
    drawn = decoding.sample(
        *start,
        max_length=limits,
        eos=symbols.eos,
        each=options.n_best,
        narrowed=narrowed,
        temperature=options.temperature or 0.0,
        top_k=options.top_k,
        top_p=options.top_p,
        generator=[
            _generator(options.seed, number, which)
            for number in of_sources
            for which in range(options.n_best)
        ],
    ).lists()
    rows = torch.arange(len(batch), device=limits.device).repeat_interleave(options.n_best)
    written = _targets(drawn).to(limits.device)
    nats: list[float] = []
    many = max(1, _COSTED // max(1, written.shape[1]))
    for some, target in zip(torch.split(rows, many), torch.split(written, many), strict=True):
        pairs = Batch(*batch.take(some)[:-1], target)
        nats += model.costs(pairs).sum(1).tolist()
    found: list[list[Hypothesis]] = [[] for _ in range(len(batch))]
    for row, ids, cost in zip(rows.tolist(), drawn, nats, strict=True):
        ended = bool(ids) and ids[-1] == symbols.eos
        found[row].append(Hypothesis(ids, -cost, -cost, ended))
    return [sorted(row, key=lambda one: -one.score) for row in found]


def _generator(seed: int, number: int, which: int) -> Generator:
    """Return the generator of one of the texts for the source of a number."""
    mixed = np.random.SeedSequence([seed % (1 << 64), number, which])
    return Generator().manual_seed(int(mixed.generate_state(1, np.uint64)[0] >> 1))


def _answer(
    symbols: Symbols, source: Source, found: Hypothesis, copied: Sequence[str] = ()
) -> Answer:
    ids = found.tokens[:-1] if found.ended else found.tokens
    size, unknown = len(symbols.target), symbols.unk
    words, left = [], iter(copied)
    for i in ids:
        if i >= size:
            words.append(source.unknown[i - size])
        elif i == unknown:
            words.append(next(left, symbols.target.symbols[i]))
    text = symbols.text([unknown if i >= size else i for i in ids], words)
    return Answer(text, ids, found.log_probability, found.score, found.ended)


def _looked(
    model: Translator,
    symbols: Symbols,
    sources: Sequence[Source],
    answers: list[list[Answer]],
    keep: bool,
) -> list[list[Answer]]:
    """Return answers with unknown symbols replaced by what the decoder looked at.

    Replacing an unknown word by the most attended one is Luong et al. 2015 ("Addressing the rare
    word problem") and Jean et al. 2015.
    """
    flat = [(row, answer) for row, some in enumerate(answers) for answer in some]
    if not flat:
        return answers
    ends = [[*answer.ids, symbols.eos] for _, answer in flat]
    some = [sources[row] for row, _ in flat]
    batch = Batch.of(some, [np.array(ids, np.int64) for ids in ends], symbols.source.pad or 0)
    weights = model.looks(batch.to(device_of(model)))
    if weights is None:
        return answers
    found: list[list[Answer]] = [[] for _ in answers]
    every = weights.float().cpu().numpy()
    for place, (row, answer) in enumerate(flat):
        source = sources[row]
        seen = every[place, : len(answer.ids) + 1, : len(source.ids)]
        unknown = [t for t, i in enumerate(answer.ids) if i == symbols.unk]
        made = answer
        if unknown and len(source.ids):
            words = source.split or [symbols.source.symbols[i] for i in source.ids.tolist()]
            copied = [words[int(seen[t].argmax())] for t in unknown]
            told = Hypothesis(answer.ids, answer.log_probability, answer.score, False)
            made = replace(_answer(symbols, source, told, copied), ended=answer.ended)
        found[row].append(replace(made, looks=seen) if keep else made)
    return found


def _targets(rows: Sequence[Sequence[int]]) -> Tensor:
    longest = max(map(len, rows), default=0)
    found = torch.full((len(rows), longest), IGNORED)
    for place, row in enumerate(rows):
        found[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return found

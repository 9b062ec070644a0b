"""Scores of dialogues: perplexity, variety, and the choice of the true reply among others.

Targets of dialogues have many right answers, so that likeness to the one reference says little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.scoring.baselines.dictionary import words_of
from elman.scoring.baselines.translations import (
    Retrieval,
    TargetNGrams,
    retrieval,
    target_ngrams,
)
from elman.scoring.blending import above_noise
from elman.scoring.predictors import Asked, Baseline
from elman.scoring.translations import candidates, distinct_units, selection_units
from elman.tasks.translate.symbols import Ids, Symbols

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.translate.corpus import Part

REPLIES = 10
"""Replies from which the true one is told, itself among them."""
_CONTEXTS = 1000
"""Contexts for which a reply is chosen, at most."""
_ORDER = 5
"""Symbols of the n-grams."""
NEAREST, COUNTS = "nearest by TF-IDF", f"{_ORDER}-gram"
"""Names of the baselines."""

_ELSEWHERE = 4
"""Contexts of training after which it is seen what a reply costs anywhere."""
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of that cost, of which the validation part chooses one."""

Costs = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]
"""Gives, for contexts and replies, the nats that a symbol of each reply costs."""


class Choice(NamedTuple):
    """Contexts for which a reply is chosen.

    Attributes:
        rows: their numbers in the part, `(n,)`.
        among: the numbers of the replies to choose from, `(n, count)`, the true one first where
            it is known.
    """

    rows: NDArray[np.int64]
    among: NDArray[np.int64]


class Matched(NamedTuple):
    """How much of the score of a reply is how well it matches its context.

    Attributes:
        weight: from 0, nothing, to 1, all of it; the rest is what it costs.
        scale: by which scores of matching are multiplied, so that they lie as far apart as costs.
    """

    weight: float = 0.0
    scale: float = 1.0


class Usual(NamedTuple):
    """How much of what a reply costs anywhere is taken off what it costs after a context.

    A reply that is likely anywhere, such as "Yes.", says little about its context (Li et al. 2016,
    "A diversity-promoting objective function", where it is called anti-language model).

    Attributes:
        weight: from 0, nothing, to 1, all of it.
        contexts: after which the cost anywhere is the mean.
    """

    weight: float = 0.0
    contexts: Sequence[str] = ()


def choice(part: Part, seed: int, *, once: bool = False) -> Choice | None:
    """Draw contexts and, for each, replies of other dialogues; None where there are too few.

    Args:
        part: contexts and replies.
        seed: of the draw.
        once: of equal pairs only the first is asked. What is chosen by them is else chosen by one
            pair that is said a hundred times.
    """
    if part.dialogues is None:
        return None
    rows = np.arange(len(part))
    if once:
        first: dict[tuple[str, str], int] = {}
        for row, pair in enumerate(zip(part.source, part.target, strict=True)):
            first.setdefault(pair, row)
        rows = np.array(list(first.values()), np.int64)
    rows = np.random.default_rng(seed).permutation(rows)[:_CONTEXTS]
    rows.sort()
    try:
        among = candidates(part.target, REPLIES, seed, dialogues=part.dialogues, rows=rows)
    except InputError:
        return None
    return Choice(rows, among)


def chosen_by_cost(
    costs: Costs, part: Part, asked: Choice, usual: Usual | None = None
) -> NDArray[np.float64]:
    """Return a score of each candidate, `(n, count)`: less the nats of a symbol that it costs."""
    usual = usual or Usual()
    here = _here(costs, part, asked)
    return usual.weight * _anywhere(costs, part, asked, usual.contexts) - here


def usual_of(
    costs: Costs, valid: Part, asked: Choice, train: Part, seed: int
) -> tuple[Usual, NDArray[np.float64]]:
    """Return the weight by which most true replies of the validation part come first.

    It is 0 where no other one is better by more than the standard error of a recall.

    Returns:
        The weight, and with it the scores of the candidates, as `chosen_by_cost` gives them.
    """
    drawn = np.random.default_rng(seed).choice(len(train), min(_ELSEWHERE, len(train)), False)
    contexts = [train.source[row] for row in sorted(drawn.tolist())]
    here, anywhere = _here(costs, valid, asked), _anywhere(costs, valid, asked, contexts)
    found = [
        float(selection_units(weight * anywhere - here)["recall_at_1"].mean())
        for weight in _WEIGHTS
    ]
    best = int(np.argmax(found))
    if not above_noise(found[best], found[0], len(here)):
        return Usual(), -here
    return Usual(_WEIGHTS[best], contexts), _WEIGHTS[best] * anywhere - here


def costed(asked: Choice | None) -> int:
    """Return how many costs choosing takes."""
    return 0 if asked is None else asked.among.size + _ELSEWHERE * len(np.unique(asked.among))


def _here(costs: Costs, part: Part, asked: Choice) -> NDArray[np.float64]:
    """Return the nats of a symbol of each candidate after its context."""
    each = asked.among.shape[1]
    sources = [part.source[row] for row in asked.rows.tolist() for _ in range(each)]
    replies = [part.target[row] for row in asked.among.ravel().tolist()]
    return costs(sources, replies).reshape(asked.among.shape)


def _anywhere(
    costs: Costs, part: Part, asked: Choice, contexts: Sequence[str]
) -> NDArray[np.float64]:
    """Return the mean nats of a symbol of each candidate after other contexts; 0 without them."""
    rows, places = np.unique(asked.among, return_inverse=True)
    replies = [part.target[row] for row in rows.tolist()]
    total = np.zeros(len(rows))
    for context in contexts:
        total += costs([context] * len(replies), replies)
    return (total / max(1, len(contexts)))[places].reshape(asked.among.shape)


def chosen_by_rule(rule: Baseline, part: Part, asked: Choice) -> NDArray[np.float64]:
    """Return a score of each candidate by TF-IDF, `(n, count)`."""
    sources = [part.source[row] for row in asked.rows.tolist()]
    return np.asarray(rule.map.choose(sources, part.target, asked.among))


def with_selection(
    units: pd.DataFrame, asked: Choice | None, scores: Callable[[Choice], NDArray[np.float64]]
) -> None:
    """Add to the units of a part whether the true reply was chosen.

    Args:
        units: a row a pair.
        asked: contexts and candidates; the others have NaN, as have all where it is None.
        scores: gives a score of each candidate, more being better.
    """
    units[["recall_at_1", "recall_at_5"]] = np.nan
    if asked is not None:
        found = selection_units(scores(asked))
        units.loc[asked.rows, found.columns] = found.to_numpy()


def with_variety(units: pd.DataFrame, said: Sequence[str]) -> None:
    """Add to units what distinct-1 and distinct-2 of answers are made of."""
    found = distinct_units(said)
    units[found.columns] = found


def words_in(targets: Sequence[str], ids: Sequence[Ids], symbols: Symbols) -> list[int]:
    """Return how many words and marks there are in each target, its end being one more.

    A target that was cut has the words that are left, and no end.
    """
    counts = []
    for text, written in zip(targets, ids, strict=True):
        cut = written[-1] != symbols.eos
        known = [i if i < len(symbols.target) else symbols.unk for i in written.tolist()]
        kept = symbols.text(known) if cut else text
        counts.append(len(words_of(kept)) + (not cut))
    return counts


def baselines(
    train: Part, valid: Part | None, symbols: Symbols, seed: int
) -> Iterator[tuple[str, Retrieval | TargetNGrams]]:
    """Fit TF-IDF, which writes and chooses replies, and n-grams, which say how likely they are.

    How TF-IDF chooses best is found on the validation part.
    """
    asked = None if valid is None else choice(valid, seed, once=True)
    choosing = None
    if valid is not None and asked is not None:
        choosing = [valid.source[row] for row in asked.rows.tolist()], valid.target, asked.among
    yield NEAREST, retrieval(train.source, train.target, choosing)
    replies = [without_end(symbols, text) for text in train.target]
    yield COUNTS, target_ngrams(replies, len(symbols.target), symbols.eos, _ORDER)


def units_of_counts(rule: Baseline, part: Part, symbols: Symbols) -> pd.DataFrame:
    """Return what the targets of a part cost n-grams of the symbols of the model."""
    import pandas as pd

    replies = [without_end(symbols, text) for text in part.target]
    nats, tokens = rule.outputs(Asked(None, lambda: replies, count=len(replies)))
    ended = [np.append(row, symbols.eos) for row in replies]
    words = words_in(part.target, ended, symbols)
    return pd.DataFrame({"nll": nats, "tokens": tokens, "words": words})


_WAYS = {
    "direct": "the likeness of a reply to the context",
    "neighbours": "the likeness of a reply to those that like contexts of training had",
    "both": "the likeness of a reply to the context and to those that like contexts of training "
    "had",
}


def said_of_choice(
    rules: Sequence[Baseline], units: pd.DataFrame, usual: Usual, matched: Matched
) -> str:
    """Return how the true replies were told from others, in sentences."""
    asked = int(units["recall_at_1"].notna().sum())
    if not asked:
        return "There were too few dialogues to tell true replies from others."
    said = (
        f"For {asked:,} contexts the true reply stood among {REPLIES - 1} of other dialogues; "
        "recall at 1 and at 5 are the shares of contexts in which it was the first, or among the "
        "first five, by "
    )
    if matched.weight:
        said += "how well it matches its context"
    if matched.weight < 1:
        said += f" (weight {matched.weight:.2f}) and by " if matched.weight else ""
        said += "the nats of a symbol that it costs the model"
    if usual.weight and matched.weight < 1:
        said += (
            f", less {usual.weight:g} of what it costs after {len(usual.contexts)} contexts of "
            "training, a weight chosen on validation"
        )
    said += "."
    ways = [rule.map.way for rule in rules if isinstance(rule.map, Retrieval)]
    if not ways:
        return said
    return (
        f"{said} TF-IDF orders them by {_WAYS[ways[0]]}. A blend adds both scores with a weight "
        "chosen on validation, those of TF-IDF multiplied so that they lie as far apart as those "
        "of the model."
    )


def without_end(symbols: Symbols, text: str) -> Ids:
    """Return the symbols of a target without its end."""
    found = symbols.write(text)
    return found[:-1] if found[-1] == symbols.eos else found

"""Scores of text in blocks of tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from elman.scoring import Evaluation
from elman.scoring.baselines.label_ngrams import LabelledKneserNey
from elman.scoring.blending import Blend
from elman.tasks.generate import identity
from elman.tasks.generate.corpus import Tokens
from elman.tasks.generate.costs import Nats, judged, nats_of
from elman.tasks.generate.language_model import LanguageModel

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.generate.task import Generate

# Units of the bootstrap: this many tokens each, but at least so many blocks, and at most.
_BLOCK, _BLOCKS, _MOST_BLOCKS = 1000, 100, 2000
# Labels up to which each has a score of its own.
_EACH = 30


def scores_of(task: Generate, predictors: Sequence[Any], data: Any = None) -> list[Evaluation]:
    """Score models, n-grams and blends on the same blocks of tokens."""
    tokens, memo = task._to_score(data), dict[Any, Nats]()
    trial = identity.Trial.drawn(tokens, len(task.labels), task.settings.seed)
    found = []
    for one in predictors:
        units = blocks_of(task, tokens, nats_of(task, one, tokens, memo))
        if trial is not None and _knows_labels(one):
            units = units.assign(cheapest=trial.cheapest(partial(nats_of, task, one)))
        found.append(Evaluation(units, task._score, units))
    return found


def blocks_of(
    task: Generate,
    tokens: Tokens,
    nats: NDArray[np.float64],
    known: NDArray[np.int64] | None = None,
) -> pd.DataFrame:
    """Cost and size of blocks of tokens; with labels, of documents or passages of them."""
    count = len(nats)
    if tokens.labels is not None:
        firsts, labels = identity.passages(tokens)
        return units_of(task, tokens, nats, firsts).assign(label=labels)
    size = max(1, count // _MOST_BLOCKS, min(_BLOCK, count // _BLOCKS))
    return units_of(task, tokens, nats, np.arange(0, count, size), known)


def units_of(
    task: Generate,
    tokens: Tokens,
    nats: NDArray[np.float64],
    firsts: NDArray[np.int64],
    known: NDArray[np.int64] | None = None,
) -> pd.DataFrame:
    """Cost and size of the tokens from each of `firsts` up to the next; only of those `known`,
    which is 0 or 1 for each of `tokens.ids[1:]`."""
    import pandas as pd

    targets, counted = tokens.ids[1:], judged(task, tokens)
    counted = counted if known is None else counted * known
    characters = _written(task)[targets]
    return pd.DataFrame(
        {
            "nll": np.add.reduceat(nats * counted, firsts),
            "count": np.add.reduceat(counted, firsts),
            "characters": np.add.reduceat(characters * counted, firsts),
        }
    )


def scored_blocks(task: Generate, units: pd.DataFrame) -> dict[str, float]:
    """Return the scores of blocks; with labels, of those of each label too."""
    found = overall(task, units)
    if "label" not in units:
        return found
    if len(task.labels) <= _EACH:
        each = identity.sums(units, len(task.labels))
        for name, own in zip(task.labels, each, strict=True):
            value = math.nan
            if own["count"]:
                value = overall_of(task, own)[task.metric]
            found[f"{task.metric}: {name}"] = value
    if "cheapest" in units:
        found[identity.METRIC] = identity.share(units)
    return found


def overall(task: Generate, units: pd.DataFrame) -> dict[str, float]:
    """Return the scores of all blocks together."""
    return overall_of(task, {name: units[name].sum() for name in identity.SUMMED})


def overall_of(task: Generate, units: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of sums: of what tokens cost, how many they are, and their characters."""
    nats = float(units["nll"])
    token = nats / max(1, int(units["count"]))
    perplexity = math.exp(min(token, 700.0))
    if task.settings.unit == "characters":
        bits = token / math.log(2)
        return {
            "bits_per_character": bits,
            "nats_per_character": token,
            "perplexity": perplexity,
        }
    found = {"perplexity": perplexity}
    if task.settings.unit == "subwords":
        characters = max(1, int(units["characters"]))
        found["bits_per_character"] = nats / math.log(2) / characters
    return found | {"bits_per_token": token / math.log(2), "nats_per_token": token}


def _written(task: Generate) -> NDArray[np.int64]:
    """How many characters of text each symbol stands for; the end of a document is one."""
    symbols = task.vocabulary.symbols
    if task.settings.unit != "subwords":
        return np.ones(len(symbols), np.int64)
    special = {task.vocabulary.bos, task.vocabulary.unk}
    return np.array([1 if i in special else _letters(s) for i, s in enumerate(symbols)])


def _knows_labels(predictor: Any) -> bool:
    """Tell whether what a predictor says of a text depends on its label."""
    if isinstance(predictor, Blend):
        return True
    if isinstance(predictor, nn.Module):
        return cast(LanguageModel, predictor).label is not None
    return isinstance(predictor.shared, LabelledKneserNey)


def _letters(symbol: str) -> int:
    """Characters in a byte-level symbol: its bytes that do not continue a character."""
    return sum(letter not in _CONTINUES for letter in symbol)


def _continuation_bytes() -> frozenset[str]:
    """How byte-level subwords write the bytes 0x80 to 0xBF (Radford et al. 2019)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    written = {byte: chr(byte) for byte in shown}
    written |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    return frozenset(written[byte] for byte in range(0x80, 0xC0))


_CONTINUES = _continuation_bytes()

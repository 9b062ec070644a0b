"""N-grams that are counted as baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from elman.scoring.baselines.label_ngrams import LabelledKneserNey
from elman.scoring.baselines.ngram import KneserNey, NGram
from elman.scoring.predictors import Baseline
from elman.tasks.generate import identity
from elman.training.progress import doing

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate

_ORDERS = {"characters": (1, 3, 5, 7, 9), "words": (1, 2, 3, 5), "subwords": (1, 2, 3, 5)}
# Symbols that n-grams of labelled texts are counted in, of all labels by their shares.
_NGRAMS_OF = 4_000_000


def counted_ngrams(task: Generate) -> list[Baseline]:
    """Return Kneser–Ney n-grams of several orders, counted in the training part."""
    orders = _ORDERS[task.settings.unit]
    train, size = task._tokens["train"], len(task.vocabulary)
    with doing("baselines: counting n-grams"):
        some = train.first(_NGRAMS_OF) if task.labels else train
        counted = KneserNey.fit(some.ids, size, max(orders), some.starts)
    last = "" if task.labels else "last "
    part = counted.trained_on == len(train.ids)
    told = "" if part else f" ({last}{counted.trained_on:,})"
    found = [
        Baseline(
            ("unigram" if order == 1 else f"{order}-gram Kneser-Ney") + told,
            NGram(order),
            shared=counted,
        )
        for order in orders
    ]
    return found + (_of_labels(task, orders[1:]) if task.labels else [])


def _of_labels(task: Generate, orders: Sequence[int]) -> list[Baseline]:
    """Return n-grams that are counted for each label by itself."""
    train = task._tokens["train"]
    parts = [identity.of_label(train, code) for code in range(len(task.labels))]
    with doing("baselines: counting n-grams of each label"):
        counted = LabelledKneserNey.fit(parts, len(task.vocabulary), max(orders))
    return [
        Baseline(f"{order}-gram Kneser-Ney of each label", NGram(order), shared=counted)
        for order in orders
    ]

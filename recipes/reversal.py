"""Reading the source backwards: when does it help an encoder-decoder?

    python recipes/reversal.py

Sutskever, Vinyals & Le 2014 (section 3.3) found that a translator learns better if its source is
reversed and its target is not: the mean distance between a word and its translation stays, but
that of the first ones becomes short, and from there the rest is learnt. Here the "translation" is
the source itself, so that every distance is known: said again in its order reversing should help,
and said again backwards it should not, for there the unreversed source has the near pairs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from common import (
    GREEN,
    GREY,
    RED,
    Draw,
    arguments,
    each,
    finish,
    legend,
    panels,
    train,
)
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from elman.nn import Recurrent
from elman.nn.decoder import Decoder
from elman.nn.seq2seq import EncoderDecoder

LENGTH, SYMBOLS, HIDDEN = 10, 10, 64
SEEDS = 3
TASKS = {"the same order": False, "backwards": True}
"""What is to be written, and whether it is the source turned round."""
READS = {"as it is": (False, GREY), "reversed": (True, GREEN)}
BOS = SYMBOLS


def draw_words(turned: bool) -> Draw:
    """Sources `(B, LENGTH)` of random symbols, and the same as targets, turned round or not."""

    def draw(batch: int, random: Generator) -> tuple[Tensor, Tensor]:
        source = torch.randint(SYMBOLS, (batch, LENGTH), generator=random)
        return source, source.flip(1) if turned else source

    return draw


def model(reverse: bool) -> nn.Module:
    """An LSTM that reads and one that writes, joined by the state."""
    words = SYMBOLS + 1
    decoder = Decoder(
        nn.Embedding(words, HIDDEN),
        Recurrent("lstm", HIDDEN, HIDDEN, batch_first=True),
        nn.Linear(HIDDEN, SYMBOLS),
        bos=BOS,
    )
    return EncoderDecoder(
        Recurrent("lstm", HIDDEN, HIDDEN, batch_first=True),
        decoder,
        embedding=nn.Embedding(words, HIDDEN),
        reverse_source=reverse,
        bridge="copy",
    )


def loss(translator: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Nats a symbol."""
    return F.cross_entropy(translator(source, target).flatten(0, 1), target.flatten())


def main(given: Sequence[str] | None = None) -> None:
    """Train both ways of reading on both tasks, from several seeds."""
    asked = arguments(__doc__, 1500, given)
    began = time.process_time()
    rows, curves = [], {}
    figure, axes = panels([f"to write: {task}" for task in TASKS])
    for (task, turned), panel in zip(TASKS.items(), axes, strict=True):
        for label, (reverse, colour) in READS.items():
            found = []
            for seed in range(asked.seed, asked.seed + SEEDS):
                torch.manual_seed(seed)
                curve = train(
                    model(reverse),
                    draw_words(turned),
                    loss,
                    updates=asked.updates,
                    lr=3e-3,
                    batch=64,
                    every=50,
                    enough=0.05,
                    seed=seed,
                )
                curves[f"{task}, {label}, seed {seed}"] = curve
                found.append(curve)
                name = f"source {label}" if len(found) == 1 else None
                panel.plot(curve.updates, curve.values, color=colour, label=name)
            near = turned != reverse
            reached = [curve.first_below(0.1) for curve in found]
            rows.append(
                {
                    "to write": task,
                    "source": label,
                    "steps to the first word": 1 if near else LENGTH,
                    "mean distance": LENGTH,
                    "perplexity": each(math.exp(curve.last) for curve in found),
                    "updates to 0.1 nats": each(reached),
                }
            )
            print(rows[-1], flush=True)
        panel.axhline(math.log(SYMBOLS), color=RED, linestyle=":")
        panel.set_xlabel("updates")
        panel.set_ylim(0)
    axes[0].set_ylabel("nats a symbol")
    legend(figure, axes[0])
    finish("reversal", asked, [rows], curves, figure, began)


if __name__ == "__main__":
    main()

"""Milliseconds a key of completion, for a word model of 2 × 512 units on one core.

    OMP_NUM_THREADS=1 python benchmarks/completion.py [--symbols 10000] [--units 512] [--layers 2]

Types made-up words a letter at a time and asks for five words after each, as `elman complete`
does. The weights are not trained, which changes no time. A letter inside a word costs a look into
the words that begin so; a blank behind one costs a step of the network. Both are given apart, in
time by the clock and in processor time, for on a busy machine the clock counts others' work too.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import torch

from elman.data import Vocabulary
from elman.nn import Recurrent
from elman.tasks.generate.keyboard import Keyboard
from elman.tasks.generate.language_model import LanguageModel
from elman.tasks.generate.writing import Writer

WORDS = 200
GOAL = 5.0


def main() -> None:
    """Type, and print what a key costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=10_000, help="words of the vocabulary")
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--layers", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    words = made_up(arguments.symbols)
    vocabulary = Vocabulary(["<unk>", "<bos>", *words], "words")
    layers = Recurrent("lstm", arguments.units, arguments.units, num_layers=arguments.layers)
    model = LanguageModel(len(vocabulary), arguments.units, layers, tied=True).eval()
    board = Keyboard(Writer(model, vocabulary, ends=True))
    text = " ".join(random.Random(1).choices(words, k=WORDS)) + " "
    board.suggest("")  # builds the step
    times = np.array([timed(board, text[:end]) for end in range(1, len(text) + 1)])
    blanks = np.array([letter == " " for letter in text])
    sizes = f"{arguments.layers} × {arguments.units}, {len(vocabulary):,} words"
    print(f"{sizes}, {len(text):,} keys, ms a key")
    print(f"{'':<24}{'':>10}{'mean':>8}{'median':>8}{'95 %':>8}{'most':>8}")
    for name, rows in (("every key", blanks | True), ("inside a word", ~blanks), ("blank", blanks)):
        for kind, column in zip(("clock", "processor"), times[rows].T, strict=True):
            figures = (column.mean(), *np.quantile(column, [0.5, 0.95, 1]))
            print(f"{name:<24}{kind:>10}" + "".join(f"{value:8.2f}" for value in figures))
    for name, rows in (("a key", blanks | True), ("a blank, the dearest key,", blanks)):
        cost = float(times[rows, 1].mean())
        verdict = "under" if cost < GOAL else "not under"
        print(f"{name} takes {cost:.2f} ms of processor time in the mean, {verdict} {GOAL:g}")


def made_up(count: int) -> list[str]:
    """Return so many different words."""
    draw = random.Random(0)
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(draw.choices("etaoinshrdlucmfwyp", k=draw.randint(2, 9)))] = None
    return list(words)


def timed(board: Keyboard, text: str) -> tuple[float, float]:
    """Return the milliseconds that suggestions take, by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    board.suggest(text)
    return 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - processor)


if __name__ == "__main__":
    main()

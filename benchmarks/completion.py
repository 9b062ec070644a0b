"""Milliseconds a key of completion, for a word model of 2 × 512 units on one core.

    OMP_NUM_THREADS=1 python benchmarks/completion.py [--symbols 10000] [--units 512] [--layers 2]

Types made-up words and commas a letter at a time and asks for five words after each key, as
`elman complete` does. The weights are not trained, which changes no time. A letter costs a look
into the words that begin so, and a step of the network where it makes a whole word; a blank behind
the word costs the scores of all words; a comma costs a step and the scores, for it is a word too.
They are given apart, in time by the clock and in processor time, for on a busy machine the clock
counts others' work too. A step and scores read each weight once; the time that one core takes to
read as many bytes from memory is measured beside them, and where no cache holds the weights it is
the least that they can take.
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
MARKS = ["", "", "", ","]
"""What may stand behind a word."""
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
    vocabulary = Vocabulary(["<unk>", "<bos>", ",", *words], "words", punctuation=True)
    layers = Recurrent("lstm", arguments.units, arguments.units, num_layers=arguments.layers)
    model = LanguageModel(len(vocabulary), arguments.units, layers, tied=True).eval()
    board = Keyboard(Writer(model, vocabulary, ends=True))
    text = typed(words)
    board.suggest("")  # builds the step
    times = np.array([timed(board, text[:end]) for end in range(1, len(text) + 1)])
    keys, before = np.array(list(text)), np.array([" ", *text[:-1]])
    mark, blank = keys == ",", keys == " "
    rows = {
        "every key": mark | True,
        "inside a word": ~mark & ~blank,
        "blank behind a mark": blank & (before == ","),
        "blank behind a word": blank & (before != ","),
        "mark behind a word": mark,
    }
    sizes = f"{arguments.layers} × {arguments.units}, {len(vocabulary):,} words"
    print(f"{sizes}, {len(text):,} keys, ms a key")
    print(f"{'':<24}{'':>10}{'mean':>8}{'median':>8}{'95 %':>8}{'most':>8}")
    for name, chosen in rows.items():
        for kind, column in zip(("clock", "processor"), times[chosen].T, strict=True):
            figures = (column.mean(), *np.quantile(column, [0.5, 0.95, 1]))
            print(f"{name:<24}{kind:>10}" + "".join(f"{value:8.2f}" for value in figures))
    for name, chosen in rows.items():
        cost = float(times[chosen, 1].mean())
        verdict = "under" if cost < GOAL else "not under"
        print(f"{name}: {cost:.2f} ms of processor time in the mean, {verdict} {GOAL:g}")
    print(f"Of all keys {np.mean(times[:, 1] < GOAL):.1%} take less than that.")
    step = 4 * sum(p.numel() for p in model.recurrent.parameters())
    scores = 4 * model.embedding.weight.numel()
    speed = read_speed()
    for name, size in (("a step", step), ("scores", scores), ("a step and scores", step + scores)):
        print(
            f"The {size / 1e6:.1f} MB of weights of {name} are read from memory in "
            f"{1e3 * size / speed:.2f} ms, at {speed / 1e9:.1f} GB a second."
        )


def typed(words: list[str]) -> str:
    """Return so many words with a blank behind each, and a comma behind some."""
    draw = random.Random(1)
    return "".join(f"{word}{draw.choice(MARKS)} " for word in draw.choices(words, k=WORDS))


def read_speed() -> float:
    """Return the bytes a second that this core reads of an array that no cache holds."""
    array = torch.zeros(1 << 26)
    costs = []
    for _ in range(5):
        begun = time.process_time()
        array.sum()
        costs.append(time.process_time() - begun)
    return 4 * len(array) / float(np.median(costs))


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

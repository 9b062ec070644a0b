"""Take words out of sentences by what `predict --why` says of them; see what becomes of answers.

    python benchmarks/deletion.py --data FOLDER

A classifier is trained briefly on a slice of SST-2. Of test sentences one, two and three words are
taken out: those of the largest parts in the answer (integrated gradients), and as many at random.
Shown is the fall of the probability of the answer in the mean, the difference with its interval
(bootstrap over sentences), and the share of answers that change.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import elman
from elman.tasks.classify import deciding

REMOVED = (1, 2, 3)
RESAMPLES = 2000
RANDOM = 10
"""Draws of random words for each sentence, whose falls are averaged."""


def lines(path: Path, count: int) -> list[str]:
    """Return the first lines of a file, half of each label."""
    read = path.read_text(encoding="utf-8").splitlines()
    return [one for label in "01" for one in [r for r in read if r[0] == label][: count // 2]]


def trained(data: Path, folder: Path, train: int, test: int, steps: int) -> tuple[Any, list[str]]:
    """Train on a slice; return the run and the sentences of the test slice."""
    files = {}
    for part, count in (("train", train), ("dev", 400), ("test", test)):
        files[part] = folder / f"{part}.tsv"
        rows = lines(data / "sst2" / f"stsa.binary.{part}.txt", count)
        table = [f"{row[0]}\t{row[2:]}" for row in rows]
        files[part].write_text("\n".join(["label\ttext", *table]) + "\n", encoding="utf-8")
    run = elman.train(
        "classify", files["train"], folder / "run", valid=files["dev"], test=files["test"],
        hidden_size=48, embedding_size=64, max_steps=steps, resamples=200, progress=False,
    )  # fmt: skip
    rows = files["test"].read_text(encoding="utf-8").splitlines()[1:]
    return run, [row.partition("\t")[2] for row in rows]


def measured(run: Any, texts: list[str]) -> list[str]:
    """Return a row of the table for each number of words taken out."""
    task, model = run.model.task, run.model.module
    inputs = [one for one in task._encode(texts) if len(one) > max(REMOVED)]
    own = task.chances(model, inputs).argmax(1)
    parts = task._parts_of(model, inputs, own.tolist())

    def chances(arrays: Any) -> NDArray[Any]:
        found: NDArray[Any] = task.chances(model, arrays)[np.arange(len(own)), own]
        return found

    whole = chances(inputs)
    generator, rows = np.random.default_rng(0), []
    for count in REMOVED:
        drawn = [
            deciding.falls(inputs, parts, chances, [count] * len(inputs), generator)
            for _ in range(RANDOM)
        ]
        highest = drawn[0][0]
        random = np.mean([one[1] for one in drawn], 0)
        apart = highest - random
        picks = generator.integers(0, len(apart), (RESAMPLES, len(apart)))
        low, high = np.percentile(apart[picks].mean(1), [2.5, 97.5])
        changed = np.mean(whole - highest < 0.5)
        by_chance = np.mean([np.mean(whole - one[1] < 0.5) for one in drawn])
        rows.append(
            f"| {count} | {highest.mean():.3f} | {random.mean():.3f} | {apart.mean():.3f} "
            f"[{low:.3f}, {high:.3f}] | {changed:.1%} | {by_chance:.1%} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of data sets")
    parser.add_argument("--train", type=int, default=2000, help="sentences to train on")
    parser.add_argument("--test", type=int, default=400, help="sentences to take words out of")
    parser.add_argument("--steps", type=int, default=200, help="updates")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run, texts = trained(given.data, Path(name), given.train, given.test, given.steps)
        print(f"test accuracy {run.results['test']['accuracy']:.3f}\n")
        print("| words out | fall: largest parts | fall: random | difference | answers changed "
              "| at random |")  # fmt: skip
        print("|---|---|---|---|---|---|")
        print("\n".join(measured(run, texts)))


if __name__ == "__main__":
    main()

"""What each choice of `translate` costs and gains: one setting changed at a time, on Multi30k.

    OMP_NUM_THREADS=1 python benchmarks/translate_trials.py --data FOLDER [--only NAME ...]

Every run reads the same 12,000 pairs of sentences for 8 epochs, with 192 units and 3,000 subwords:
small, so that a run takes some five minutes of one core. One half of the development set chooses
the step, the other half gives the scores; the test set is not touched. Differences below about one
BLEU are chance. FOLDER holds `multi30k_en_de`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import elman

SMALL: dict[str, Any] = {
    "source": "en",
    "lower": True,
    "hidden_size": 192,
    "embedding_size": 128,
    "vocabulary_size": 3000,
    "dropout": 0.3,
    "epochs": 8,
    "resamples": 200,
}
TRIALS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "source reversed, encoder in one direction": {"reverse_source": True, "bidirectional": False},
    "encoder in one direction": {"bidirectional": False},
    "source reversed": {"reverse_source": True},
    "additive attention": {"attention": "additive"},
    "dot attention": {"attention": "dot"},
    "input feeding": {"input_feeding": True},
    "copying": {"copying": True},
    "separate vocabularies": {"vocabulary": "separate", "tied": False},
    "no label smoothing": {"label_smoothing": 0.0},
    "scheduled sampling": {"scheduled_sampling": 150},
    "lstm": {"cell": "lstm"},
    "no attention": {"attention": "none"},
    "no attention, encoder in one direction": {"attention": "none", "bidirectional": False},
    "no attention, encoder in one direction, source reversed": {
        "attention": "none",
        "bidirectional": False,
        "reverse_source": True,
    },
}
PAIRS = 12_000


def written(folder: Path, data: Path) -> dict[str, list[Path]]:
    """Write the pairs to train on and both halves of the development set; return the files."""
    parts: dict[str, list[Path]] = {}
    for part, name, low, high in (
        ("train", "train", 0, PAIRS),
        ("valid", "val", 0, 507),
        ("test", "val", 507, None),
    ):
        (folder / part).mkdir()
        for side in ("en", "de"):
            with gzip.open(data / "multi30k_en_de" / f"{name}.{side}.gz", "rt") as file:
                lines = file.read().splitlines()[low:high]
            path = folder / part / f"{part}.{side}"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            parts.setdefault(part, []).append(path)
    return parts


def main() -> None:
    """Train once for each trial, and print a row each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    asked = parser.parse_args()
    sys.stdout.write("| setting | BLEU | 95 % | chrF | training |\n|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = written(folder, asked.data)
        for number, trial in enumerate(asked.only):
            out = folder / f"run{number}"
            elman.train(
                "translate",
                parts["train"],
                valid=parts["valid"],
                test=parts["test"],
                out=out,
                **SMALL,
                **TRIALS[trial],
            )
            results = json.loads((out / "results.json").read_text(encoding="utf-8"))
            low, high = results["ci95"]["bleu"]
            score = results["test"]
            sys.stdout.write(
                f"| {trial} | {score['bleu']:.2f} | {low:.1f} – {high:.1f} | {score['chrf']:.2f} | "
                f"{results['seconds']['train']:.0f} s |\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()

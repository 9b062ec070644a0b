"""The figures of the README, each by one command, on public data.

    python benchmarks/figures.py --data FOLDER tinyshakespeare
    python benchmarks/figures.py --table

FOLDER holds one folder a data set, as `docs/figures.md` describes. Each run is
an ordinary `elman.train` with the settings below; what it scored is kept in
`figures.json` beside this file, from which the table is made.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import elman

RESULTS = Path(__file__).with_name("figures.json")


@dataclass(frozen=True)
class Figure:
    """One data set: where its files are, how it is trained, what is to be reached.

    `reach` is a score; None where it is that of the best baseline, which is to be beaten.
    `data`, `valid` and `test` are paths under the folder of data sets, or functions that make a
    table from it.
    """

    task: str
    data: Any
    valid: Any = None
    test: Any = None
    metric: str = "accuracy"
    reach: float | None = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    below: bool = field(default=True)

    def to_reach(self, baselines: dict[str, float | None]) -> float:
        """What is to be reached: a number, or else the score of the best baseline."""
        if self.reach is not None:
            return self.reach
        return (min if self.below else max)(score for score in baselines.values() if score)

    def reaches(self, score: float, reach: float) -> bool:
        """Whether a score is as good as what is to be reached."""
        return score <= reach if self.below else score >= reach


FD001 = ["engine", "cycle", *(f"setting{i}" for i in range(1, 4))]
FD001 += [f"sensor{i}" for i in range(1, 22)]


def fd001(data: Path, part: str) -> pd.DataFrame:
    """C-MAPSS FD001 as a long table: engine, cycle, settings, sensors, and the flights left.

    In the copy of NASA's files that we have, training engines 91 to 100 stand at the end of the
    test file, as engines 101 to 110: with them both files have the published numbers of rows,
    20,631 and 13,096, and only without them is there one true number for each test engine. They
    go back to training.
    """
    folder = data / "cmapss_fd001"
    train, test = (
        pd.read_csv(folder / f"{name}_FD001.txt.gz", sep=r"\s+", header=None, names=FD001)
        for name in ("train", "test")
    )
    if part == "train":
        strays = test[test["engine"] > 100]
        table = pd.concat([train, strays.assign(engine=strays["engine"] - 10)], ignore_index=True)
        beyond = 0
    else:
        table = test[test["engine"] <= 100]
        left = pd.read_csv(folder / "RUL_FD001.txt", header=None, names=["left"])["left"]
        beyond = table["engine"].map(dict(enumerate(left, 1)))
    last = table.groupby("engine")["cycle"].transform("max")
    return table.assign(RUL=last - table["cycle"] + beyond)


PTB = ["ptb/ptb.train.txt.gz", "ptb/ptb.valid.txt", "ptb/ptb.test.txt"]

ZAREMBA = {
    "unit": "words",
    "hidden_size": 200,
    "num_layers": 2,
    "batch_size": 20,
    "k1": 20,
    "init_scale": 0.1,
    "activation_penalty": 0.0,
    # The paper's loss is a sum over 20 steps: rate 1 and norm 5 of it are these of a mean.
    "optimizer": "sgd",
    "lr": 20.0,
    "clip_at": 0.25,
    "schedule": "step",
    "warmup": 0.0,
    "decay": 0.5,
}


def fsdd(takes: range) -> list[str]:
    """The recordings of these takes of every digit by every speaker."""
    speakers = ("george", "jackson", "nicolas", "theo")
    return [
        f"fsdd/recordings/{digit}_{speaker}_{take}.wav"
        for digit in range(10)
        for speaker in speakers
        for take in takes
    ]


def banking77_and_atis(data: Path) -> pd.DataFrame:
    """The test part of BANKING77, and after it that of ATIS, which is of none of its classes."""
    test = pd.read_csv(data / "banking77" / "test.csv")
    lines = (data / "atis" / "test" / "seq.in").read_text(encoding="utf-8").splitlines()
    strange = pd.DataFrame({"text": [line.strip() for line in lines], "category": "out of scope"})
    return pd.concat([test, strange], ignore_index=True)


def dailydialog(data: Path) -> Path:
    """Both files of dialogues as one, without the acts and emotions that one of them has."""
    folder = data / "dailydialog"
    lines = (folder / "dialogues_1k.txt").read_text(encoding="utf-8").splitlines()
    with gzip.open(folder / "dialogues_validation.txt.gz", "rt", encoding="utf-8") as file:
        lines += [line.split("\t")[0].rstrip() for line in file]
    whole = Path("runs") / "dailydialog.txt"
    whole.parent.mkdir(exist_ok=True)
    whole.write_text("\n".join(line for line in lines if line) + "\n", encoding="utf-8")
    return whole


TEXT = {
    "cell": "lstm",
    "embedding_size": 100,
    "dropout": 0.5,
    "input_dropout": 0.5,
    "word_dropout": 0.1,
    "batch_size": 50,
    "epochs": 10,
    "averaging": "none",
}

FIGURES: dict[str, Figure] = {
    "tinyshakespeare": Figure(
        "generate",
        "tinyshakespeare/input.txt",
        metric="nats_per_character",
        reach=1.55,
        note="characters, last tenth held out, 15 minutes",
        # No validation part: the text just before the test part is the same play.
        settings={
            "valid_fraction": 0.0,
            "activation_penalty": 0.0,  # both as it was measured
            "weight_decay": 0.0,
            "budget": "14m",
            "hidden_size": 256,
            "num_layers": 2,
            "dropout": 0.2,
            "lr": 4e-3,
            "warmup": 0.0,
            "k1": 64,
            "batch_size": 32,
        },
    ),
    "ptb": Figure(
        "generate",
        *PTB,
        metric="perplexity",
        reach=115,
        note="words, 2×200 LSTM without regularisation, trained as in Zaremba et al. 2014",
        settings={**ZAREMBA, "dropout": 0.0, "decay_after": 4, "epochs": 13},
    ),
    "ptb-dropout": Figure(
        "generate",
        *PTB,
        metric="perplexity",
        reach=105,
        note="words, the same 2×200 LSTM with dropout and tied weights",
        settings={**ZAREMBA, "tied": True, "dropout": 0.2, "decay_after": 5, "epochs": 10},
    ),
    "etth1": Figure(
        "forecast",
        "etth1/ETTh1.csv.gz",
        metric="scaled_mse",
        reach=0.38,
        note="horizon 96, seven variables, standard split",
        settings={
            "horizon": 96,
            "rows": [8640, 2880, 2880],
            "lookback": 336,
            "metric": "scaled_mse",
            "max_steps": 600,
        },
    ),
    "m4_hourly": Figure(
        "forecast",
        "m4_hourly/Hourly-train.csv.gz",
        None,
        "m4_hourly/Hourly-test.csv",
        metric="smape",
        reach=12.0,
        note="414 series, horizon 48",
        settings={
            "season": 24,
            "lookback": 336,
            "metric": "smape",
            "log": True,
            "window_norm": "standard",
            "batch_size": 128,
            "max_steps": 1500,
        },
    ),
    "tsc_japanesevowels": Figure(
        "classify",
        "tsc_japanesevowels/JapaneseVowels_TRAIN.ts",
        test="tsc_japanesevowels/JapaneseVowels_TEST.ts",
        reach=0.97,
        below=False,
        note="9 speakers, unequal lengths",
        settings={
            "hidden_size": 64,
            "pooling": "mean",
            "lr": 3e-3,
            "batch_size": 16,
            "epochs": 60,
            "valid_fraction": 0.0,
            "averaging": "none",
        },
    ),
    "tsc_basicmotions": Figure(
        "classify",
        "tsc_basicmotions/BasicMotions_TRAIN.ts",
        test="tsc_basicmotions/BasicMotions_TEST.ts",
        reach=1.0,
        below=False,
        note="4 activities, 40 training series",
        settings={
            "hidden_size": 64,
            "dropout": 0.2,
            "lr": 3e-3,
            "batch_size": 8,
            "epochs": 60,
            "front_channels": [64],
            "front_kernel": 7,
            "front_stride": 2,
            "averaging": "none",
        },
    ),
    "tsc_arrowhead": Figure(
        "classify",
        "tsc_arrowhead/ArrowHead_TRAIN.ts",
        test="tsc_arrowhead/ArrowHead_TEST.ts",
        reach=0.8,
        below=False,
        note="36 training series",
        # The convolutions, small batches and patience of Wang et al. 2017, "Time series
        # classification from scratch"; a small recurrence much dropped, as in Karim et al. 2018.
        settings={
            "hidden_size": 8,
            "pooling": "mean",
            "front_beside": True,
            "front_channels": [128, 256, 128],
            "front_kernel": [8, 5, 3],
            "front_stride": 1,
            "front_norm": "batch",
            "dropout": 0.8,
            "optimizer": "adam",
            "weight_decay": 0.0,
            "lr": 1e-3,
            "clip": "none",
            "averaging": "none",
            "batch_size": 3,
            "epochs": 1000,
        },
    ),
    "mnist": Figure(
        "classify",
        "mnist",
        reach=0.975,
        below=False,
        note="row by row, 10,000 training images",
        settings={
            "hidden_size": 128,
            "bidirectional": False,
            "front_channels": [16, 16],
            "front_kernel": [5, 3],
            "front_stride": [2, 2],
            "lr": 3e-3,
            "batch_size": 64,
            "epochs": 10,
        },
    ),
    "rotten_tomatoes": Figure(
        "classify",
        ["rotten_tomatoes/rt-polarity.neg", "rotten_tomatoes/rt-polarity.pos"],
        reach=0.76,
        below=False,
        note="one tenth held out",
        settings={
            **TEXT,
            "embedding_size": 200,
            "word_dropout": 0.2,
            "label_smoothing": 0.1,
            "averaging": "ema",
            "ema_decay": 0.998,
            "valid_fraction": 0.0,
            "members": 5,
        },
    ),
    "sst2": Figure(
        "classify",
        "sst2/stsa.binary.train.txt",
        "sst2/stsa.binary.dev.txt",
        "sst2/stsa.binary.test.txt",
        reach=0.78,
        below=False,
        note="sentences only",
        settings=TEXT,
    ),
    "banking77": Figure(
        "classify",
        "banking77/train.csv",
        test=banking77_and_atis,
        reach=0.89,
        below=False,
        note="77 intents, accuracy in scope; 893 questions of ATIS as out of scope, which training "
        "has never seen: AUROC of rejection to reach is 0.93",
        settings={
            **TEXT,
            "outside": "out of scope",
            "cell": "gru",
            "input_dropout": 0.4,
            "word_dropout": 0.05,
            "epochs": 15,
            "members": 5,
        },
    ),
    "cmapss_fd001": Figure(
        "regress",
        partial(fd001, part="train"),
        test=partial(fd001, part="test"),
        metric="rmse",
        reach=15.0,
        note="flights left of 100 engines at their last row, truth capped at 125",
        settings={
            "target": "RUL",
            "group": "engine",
            "time": "cycle",
            "columns": ["cycle", *FD001[2:]],
            "cap": 125,
            "score": "last",
            "valid_fraction": 0.2,
            "cell": "lstm",
            "hidden_size": 64,
            "dropout": 0.4,
            "input_dropout": 0.1,
            "lr": 4e-3,
            "batch_size": 5,
            "epochs": 60,
            "ema_decay": 0.98,
        },
    ),
    "fsdd": Figure(
        "classify",
        fsdd(range(5, 20)),
        test=fsdd(range(5)),
        reach=0.98,
        below=False,
        note="spoken digits, takes 0 to 4 held out",
        settings={"epochs": 40},
    ),
    "names": Figure(
        "classify",
        "names",
        reach=0.78,
        below=False,
        note="18 languages, 80/20",
        settings={
            "unit": "characters",
            "embedding_size": 48,
            "input_dropout": 0.1,
            "batch_size": 64,
            "epochs": 10,
            "test_fraction": 0.2,
            "averaging": "none",
        },
    ),
    "atis": Figure(
        "tag",
        "atis",
        metric="f1",
        reach=0.945,
        below=False,
        note="slots, strict F1, beside 21 intents; standard split",
    ),
    "wnut17": Figure(
        "tag",
        ["wnut17/train.conll", "wnut17/dev.conll"],
        test="wnut17/test.conll",
        metric="f1",
        reach=0.30,
        below=False,
        note="6 kinds of entities, strict F1; trained on the training and development parts, with "
        "word vectors learnt from 3.7 million words of other texts (benchmarks/word_vectors.py)",
        # Chosen with --valid dev.conll.
        settings={
            "vectors": "runs/vectors.txt",
            "valid_fraction": 0.0,
            "members": 3,
            "epochs": 12,
            "hidden_size": 100,
            "character_size": 50,
            "word_dropout": 0.1,
            "lr": 4e-3,
            "clip_at": 5,
        },
    ),
    "dailydialog_acts": Figure(
        "tag",
        "dailydialog/dialogues_validation.txt.gz",
        metric="macro_f1",
        # What tf-idf with logistic regression on the utterance and two neighbours a side has.
        reach=0.665,
        below=False,
        note="4 dialogue acts along 995 dialogues, the only ones with acts; dialogues split "
        "80/10/10 by seed 1",
        settings={"target": "acts", "seed": 1, "epochs": 8},
    ),
    "multi30k": Figure(
        "translate",
        "multi30k_en_de",
        metric="bleu",
        reach=33.0,
        below=False,
        note="English to German, test2016; sacrebleu, lowercased, detokenised, tokens 13a",
        settings={
            "source": "en",
            "lower": True,
            "hidden_size": 512,
            "embedding_size": 256,
            "dropout": 0.4,
            "epochs": 12,
        },
    ),
    "aeslc": Figure(
        "translate",
        "aeslc/train.jsonl.gz",
        "aeslc/dev.jsonl.gz",
        "aeslc/test.jsonl.gz",
        metric="rouge1",
        reach=None,
        below=False,
        note="subject lines of mails",
        settings={
            "source": "body",
            "target": "subject",
            "lower": True,
            "copying": True,
            "max_source": 150,
            "embedding_size": 128,
            "dropout": 0.3,
            "epochs": 8,
        },
    ),
    "dailydialog": Figure(
        "translate",
        dailydialog,
        metric="recall_at_1",
        reach=None,
        below=False,
        note="replies after two turns, the true one of ten; dialogues split 80/10/10",
        settings={
            "turns": 2,
            "lower": True,
            "label_smoothing": 0.0,
            "copying": True,
            "hidden_size": 128,
            "embedding_size": 128,
            "dropout": 0.3,
            "epochs": 5,
        },
    ),
    "dailydialog_perplexity": Figure(
        "translate",
        dailydialog,
        metric="perplexity",
        reach=None,
        below=True,
        note="the same dialogues, and how likely their replies are",
        settings={
            "metric": "perplexity",
            "turns": 2,
            "lower": True,
            "label_smoothing": 0.0,
            "copying": True,
            "embedding_size": 128,
            "dropout": 0.4,
            "epochs": 10,
        },
    ),
    "chatterbot_english": Figure(
        "translate",
        "chatterbot_english",
        metric="recall_at_1",
        reach=None,
        below=False,
        note="replies, the true one of ten; conversations split 80/10/10",
        settings={
            "unit": "words",
            "lower": True,
            "copying": True,
            "hidden_size": 128,
            "dropout": 0.2,
            "batch_size": 16,
            "epochs": 6,
        },
    ),
    "chatterbot_perplexity": Figure(
        "translate",
        "chatterbot_english",
        metric="perplexity",
        reach=None,
        below=True,
        note="the same conversations, and how likely their replies are",
        settings={
            "metric": "perplexity",
            "lower": True,
            "copying": True,
            "hidden_size": 128,
            "dropout": 0.5,
            "batch_size": 16,
            "epochs": 20,
        },
    ),
}


def measure(name: str, data: Path, out: Path) -> dict[str, Any]:
    figure = FIGURES[name]

    def under(paths: Any) -> Any:
        if callable(paths):
            return paths(data)
        return (
            [data / path for path in paths] if isinstance(paths, list) else paths and data / paths
        )

    started = time.perf_counter()
    finished = elman.train(
        figure.task,
        under(figure.data),
        out / f"{name}-{time.strftime('%H%M%S')}",
        valid=under(figure.valid),
        test=under(figure.test),
        **figure.settings,
    )
    seconds = time.perf_counter() - started
    results = finished.results
    score = results["test"][figure.metric]
    baselines = {n: m.get(figure.metric) for n, m in results["baselines"].items()}
    reach = figure.to_reach(baselines)
    lines = {
        "score": score,
        "ci95": results["ci95"][figure.metric],
        "reach": reach,
        "reached": figure.reaches(score, reach),
        "baselines": baselines,
        "verdict": results["verdict"],
        "blend": results.get("blend"),
        "metric": figure.metric,
        "test": results["test"],
        "task": figure.task,
        "note": figure.note,
        "seconds": {**results["seconds"], "all": round(seconds, 1)},
        "parameters": results["parameters"],
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": results["versions"],
        "date": time.strftime("%Y-%m-%d"),
    }
    return lines


def table() -> str:
    """The figures as a Markdown table."""
    rows = [
        "| data | metric | ours | 95 % interval | best baseline | to reach | time to train |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, kept in json.loads(RESULTS.read_text()).items():
        scores = {n: v for n, v in kept["baselines"].items() if v is not None}
        figure = FIGURES[name]
        best = (min if figure.below else max)(scores, key=lambda n: scores[n], default="none")
        low, high = kept["ci95"]
        sign = "≤" if figure.below else "≥"
        mixed, metric = kept.get("blend") or {}, kept["metric"]
        both, outcome = "", "" if kept["reached"] else " (missed)"
        if "test" in mixed:
            if figure.reaches(mixed["test"][metric], kept["reach"]) and outcome:
                outcome = " (by both together)"
            low_of, high_of = mixed["ci95"][metric]
            both = (
                f"; with {mixed['with']} {mixed['test'][metric]:.4g} ({low_of:.4g} – {high_of:.4g})"
            )
        rows.append(
            f"| {name}{f' ({figure.note})' if figure.note else ''} "
            f"| {kept['metric'].replace('_', ' ')} | **{kept['score']:.4g}** "
            f"| {low:.4g} – {high:.4g}{both} | {best} {scores.get(best, float('nan')):.4g} "
            f"| {sign} {kept['reach']:.3g}{outcome} "
            f"| {kept['seconds']['train']:.0f} s |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/figures"))
    parser.add_argument("--table", action="store_true", help="print what was measured")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in FIGURES or asked.data is None:
            parser.error(f"name one of {', '.join(FIGURES)} and give --data")
        found = measure(name, asked.data, asked.out)
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(kept | {name: found}, indent=1, ensure_ascii=False) + "\n")
        print(json.dumps({name: found}, ensure_ascii=False))
    if asked.table:
        print(table())


if __name__ == "__main__":
    main()

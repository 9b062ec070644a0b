"""Does the doctor know a sick model from a well one, and do its remedies work?

    python benchmarks/doctor.py                        all cases, some twenty minutes
    python benchmarks/doctor.py --only adding healthy  some of them

A disease is planted in a model of the adding problem, of copy memory, or of text. The doctor is
asked after a short training, its first remedy for the disease is followed, and both train for as
long again from the start. A model is cured if the disease is no longer found and, where it had
kept the model from learning, the task is learnt. Sound models of the same problems are examined
too: how many of them are called sick is the rate of false alarms.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import elman
from elman.inspect import dependence
from elman.inspect.examination import Examination
from elman.inspect.facts import RunFacts
from elman.inspect.remedies import Remedy
from elman.inspect.runs import of_run
from elman.nn import Recurrent

RESULTS = Path(__file__).with_name("doctor.json")

SOUND: dict[str, Any] = {
    "cell": "lstm",
    "cell_options": {},
    "hidden_size": 48,
    "lr": 5e-3,
    "clip": "norm",
    "clip_at": 1.0,
    "optimizer": "adam",
    "steps": 1500,
    "window": None,
}


class Reader(nn.Module):
    """A recurrent layer and a linear map of its output: at the last step, or at every step."""

    def __init__(self, features: int, outputs: int, settings: dict[str, Any], last: bool) -> None:
        super().__init__()
        options = settings["cell_options"]
        self.rnn = Recurrent(settings["cell"], features, settings["hidden_size"], **options)
        self.head = nn.Linear(settings["hidden_size"], outputs)
        self.last = last

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Time first; scores and the state after the last step."""
        y, state = self.rnn(x, state)
        return self.head(y[-1] if self.last else y), state


@dataclass(frozen=True)
class Problem:
    """Sequences made anew for every step.

    Attributes:
        name, unit: of it and of its steps.
        batch: a seeded generator to inputs `(T, B, F)` and targets.
        loss: of scores and targets.
        features, outputs, last: of its `Reader`.
        chance: the loss of knowing nothing of the past.
        learnt: the loss that counts as having learnt it.
        need: how far back it reaches, as a dependence of the data; the length if that is by
            making.
    """

    name: str
    batch: Callable[[torch.Generator], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    features: int
    outputs: int
    last: bool
    chance: float
    learnt: float
    need: float


def adding(steps: int = 60, rows: int = 32) -> Problem:
    """The sum of two marked numbers (Hochreiter & Schmidhuber 1997): one in each half."""

    def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = torch.zeros(steps, rows, 2)
        x[..., 0] = torch.rand(steps, rows, generator=generator)
        half = steps // 2
        first = torch.randint(half, (rows,), generator=generator)
        second = half + torch.randint(steps - half, (rows,), generator=generator)
        for places in (first, second):
            x[places, torch.arange(rows), 1] = 1.0
        return x, (x[..., 0] * x[..., 1]).sum(0)

    many = [batch(torch.Generator().manual_seed(1000 + k)) for k in range(32)]
    x, y = torch.cat([a for a, _ in many], 1), torch.cat([b for _, b in many])
    found = dependence.input_target(x, y, steps - 1)
    need = float(dependence.reach(found, 0.05 * float(found.value.abs().max())))

    def loss(scores: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(scores[:, 0], target)

    return Problem("adding", batch, loss, 2, 1, True, 1 / 6, 0.05, need)


def copy(delay: int = 20, rows: int = 32) -> Problem:
    """Five symbols of eight, said again after a delay (Hochreiter & Schmidhuber 1997)."""
    length = 5

    def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        said = torch.randint(8, (length, rows), generator=generator)
        blank, ask = torch.full((1, rows), 8), torch.full((1, rows), 9)
        given = torch.cat([said, blank.expand(delay - 1, -1), ask, blank.expand(length, -1)])
        target = torch.full_like(given, -100)
        target[-length:] = said
        return F.one_hot(given, 10).float(), target

    def loss(scores: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=-100)

    # By making: a symbol is asked for `delay + length` steps after it was said.
    return Problem("copy", batch, loss, 10, 8, False, math.log(8), 1.5, delay + length)


@dataclass
class Trained:
    """A model and how its training went."""

    model: Reader
    loss: float
    facts: RunFacts


def train(problem: Problem, settings: dict[str, Any], plant: Any, seed: int) -> Trained:
    """One training, with what the doctor is to know of it."""
    torch.manual_seed(seed)
    model = Reader(problem.features, problem.outputs, settings, problem.last)
    if plant is not None:
        with torch.no_grad():
            plant(model.rnn.cells[0])
    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimizer = kinds[settings["optimizer"]](model.parameters(), settings["lr"])
    generator = torch.Generator().manual_seed(seed)
    norms, losses, ratios, clipped, lost = [], [], [], 0, 0
    for step in range(settings["steps"]):
        x, y = problem.batch(generator)
        loss = _backward(problem, model, x, y, settings["window"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        if not (math.isfinite(loss.item()) and math.isfinite(float(norm))):
            lost += 1
            if lost > 2:
                break
            continue
        if settings["clip"] == "norm":
            nn.utils.clip_grad_norm_(model.parameters(), settings["clip_at"])
            clipped += float(norm) > settings["clip_at"]
        if step % 25 == 0:
            before = [p.detach().clone() for p in model.parameters()]
            optimizer.step()
            moved = nn.utils.get_total_norm(
                [p.detach() - b for p, b in zip(model.parameters(), before, strict=True)]
            )
            ratios.append(float(moved / nn.utils.get_total_norm(before)))
        else:
            optimizer.step()
        norms.append(float(norm))
        losses.append(loss.item())
    later = sorted(norms[len(norms) // 2 :]) or [math.inf]
    facts = RunFacts(
        need=problem.need,
        need_by="what the target depends on",
        settings={k: v for k, v in settings.items() if k != "window"},
        window=settings["window"],
        clip_rate=clipped / max(1, len(norms)) if settings["clip"] == "norm" else None,
        clip_at=settings["clip_at"],
        norms=(later[len(later) // 2], later[int(0.9 * (len(later) - 1))]),
        rollbacks=lost,
        update_ratio=sorted(ratios)[len(ratios) // 2] if ratios else None,
        largest_update=max(ratios, default=None),
    )
    if settings["window"] is not None:
        facts.settings["k1"] = settings["window"]
    return Trained(model, _tested(problem, model), facts)


def _backward(problem: Problem, model: Reader, x: Tensor, y: Tensor, window: int | None) -> Tensor:
    """The loss, from which gradients flow no further back than the window."""
    if window is None or window >= len(x):
        return problem.loss(model(x)[0], y)
    with torch.no_grad():
        _, state = model(x[:-window])
    scores, _ = model(x[-window:], state)
    return problem.loss(scores, y if problem.last else y[-window:])


@torch.no_grad()
def _tested(problem: Problem, model: Reader) -> float:
    generator = torch.Generator().manual_seed(99)
    found = []
    for _ in range(10):
        x, y = problem.batch(generator)
        found.append(float(problem.loss(model(x)[0], y)))
    return sum(found) / len(found)


def examine(problem: Problem, trained: Trained) -> Examination:
    """What the doctor says of a trained model."""
    x, y = problem.batch(torch.Generator().manual_seed(7))
    return elman.doctor(trained.model, x, lambda out: problem.loss(out[0], y), facts=trained.facts)


# What is planted


def _shrunk(cell: Any) -> None:
    cell.U.weight.mul_(0.3)


def _grown(cell: Any) -> None:
    cell.U.weight.mul_(5.0)


def _shut(cell: Any) -> None:
    cell.W.bias[: cell.hidden_size] = -30.0


def _killed(cell: Any) -> None:
    cell.W.bias[: 3 * cell.hidden_size // 4] = -30.0


@dataclass(frozen=True)
class Case:
    """A disease, how it is planted, and whether it keeps the task from being learnt."""

    disease: str
    settings: dict[str, Any] = field(default_factory=dict)
    plant: Any = None
    keeps_from_learning: bool = True


CASES = {
    "adding": [
        Case("vanishing gradients", {"cell": "elman"}, _shrunk),
        Case("exploding gradients", {"cell": "elman", "clip": "none"}, _grown),
        Case("saturated gates", {}, _shut),
        Case("dead units", {"cell": "irnn", "lr": 1e-3}, _killed, False),
        Case("learning rate too high", {"lr": 1.0}),
        Case("clipping always on", {"optimizer": "sgd", "lr": 0.1, "clip_at": 1e-4}, None, False),
        Case("truncation too short", {"window": 8, "cell_options": {"forget_bias": 1.0}}),
    ],
    "copy": [
        Case("vanishing gradients", {"cell": "elman", "lr": 2e-3}, _shrunk),
        Case("exploding gradients", {"cell": "elman", "clip": "none", "lr": 2e-3}, _grown),
        Case("saturated gates", {}, _shut),
        Case("learning rate too high", {"lr": 1.0}),
        Case("truncation too short", {"window": 6, "cell_options": {"forget_bias": 5.0}}),
    ],
}  # fmt: skip

HEALTHY = [
    {"cell": "lstm", "cell_options": {"chrono": 60}},
    {"cell": "lstm", "cell_options": {"forget_bias": 1.0}},
    {"cell": "gru", "cell_options": {}},
    {"cell": "ugrnn", "cell_options": {}},
    {"cell": "mgu", "cell_options": {}},
]


def _remedied(settings: dict[str, Any], remedy: Remedy) -> dict[str, Any]:
    changed = {**settings, **remedy.settings}
    if "k1" in changed:
        changed["window"] = changed.pop("k1")
    return changed


def planted(problem: Problem, case: Case, seed: int = 0) -> dict[str, Any]:
    """Plant, ask, follow the first remedy, and see."""
    settings = {**SOUND, **case.settings}
    sick = train(problem, settings, case.plant, seed)
    found = examine(problem, sick)
    finding = next((f for f in found.findings if f.name == case.disease), None)
    row: dict[str, Any] = {
        "problem": problem.name,
        "planted": case.disease,
        "found": [f.name for f in found.findings],
        "named": finding is not None,
        "loss": sick.loss,
    }
    if finding is None or not finding.remedies:
        return row | {"remedy": None, "cured": False}
    remedy = finding.remedies[0]
    well = train(problem, _remedied(settings, remedy), None, seed)
    again = examine(problem, well)
    gone = case.disease not in [f.name for f in again.findings]
    learnt = well.loss <= problem.learnt
    return row | {
        "evidence": finding.evidence,
        "remedy": remedy.line,
        "source": remedy.source,
        "loss after": well.loss,
        "chance": problem.chance,
        "gone": gone,
        "learnt": learnt,
        "cured": gone and (learnt or not case.keeps_from_learning),
    }


TEXT: dict[str, Any] = {
    "hidden_size": 128,
    "num_layers": 1,
    "k1": 64,
    "batch_size": 32,
    "dropout": 0.0,
    "max_steps": 400,
    "resamples": 0,
    "lr": 4e-3,
}

TEXT_CASES = [
    Case("clipping always on", {"optimizer": "sgd", "lr": 1.0, "clip_at": 1e-3}),
    Case("learning rate too high", {"lr": 1.0}),
    Case("truncation too short", {"k1": 1, "max_steps": 3000}),
    Case("memorised", {"max_steps": 1500, "hidden_size": 256}),
]


def of_text(text: Path, case: Case, folder: Path) -> dict[str, Any]:
    """The same on text, by runs of `elman train` and `elman doctor`."""
    source = text
    if case.disease == "memorised":
        source = folder / "little.txt"
        source.write_text(text.read_text(encoding="utf-8")[:20_000], encoding="utf-8")
    settings = {**TEXT, **case.settings}
    runs = []
    row: dict[str, Any] = {"problem": "text", "planted": case.disease}
    for name in ("sick", "well"):
        run = folder / f"{case.disease.replace(' ', '-')}-{name}"
        finished = elman.train("generate", source, run, progress=False, **settings)
        found = of_run(run)
        names = [f.name for f in found.findings]
        runs.append(finished.results["test"]["bits_per_character"])
        if name == "well":
            gone = case.disease not in names
            better = runs[1] < runs[0] or case.disease == "truncation too short"
            return row | {"loss after": runs[1], "gone": gone, "learnt": better,
                          "cured": gone and better}  # fmt: skip
        finding = next((f for f in found.findings if f.name == case.disease), None)
        row |= {"found": names, "named": finding is not None, "loss": runs[0]}
        if finding is None or not finding.remedies:
            break
        remedy = finding.remedies[0]
        row |= {"evidence": finding.evidence, "remedy": remedy.line, "source": remedy.source}
        settings = {**settings, **remedy.settings}
    return row | {"remedy": None, "cured": False}


def healthy(problem: Problem, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """A sound model: what the doctor says all the same."""
    trained = train(problem, {**SOUND, **settings}, None, seed)
    found = examine(problem, trained)
    return {
        "problem": problem.name,
        "cell": settings["cell"],
        "seed": seed,
        "loss": trained.loss,
        "learnt": trained.loss <= problem.learnt,
        "found": [f.name for f in found.findings if f.severity in ("ill", "warning")],
    }


def table(results: dict[str, Any]) -> str:
    """What was measured, for the page."""
    lines = [
        "| problem | planted | named | loss | first remedy | loss after | cured |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("adding", "copy", "text"):
        for row in results.get(name, {}).get("rows", []):
            after = row.get("loss after")
            cells = [
                row["problem"],
                row["planted"],
                "yes" if row["named"] else "**no**",
                f"{row['loss']:.3g}",
                f"`{row['remedy']}`" if row.get("remedy") else "",
                "" if after is None else f"{after:.3g}",
                "yes" if row["cured"] else "**no**",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    sound = results.get("healthy", {}).get("rows", [])
    if sound:
        cells = ", ".join(sorted({row["cell"] for row in sound}))
        sick = [row for row in sound if row["found"]]
        learnt = sum(row["learnt"] for row in sound)
        lines += [
            "",
            f"Of {len(sound)} sound models ({cells}; adding and copy, three seeds; {learnt} learnt "
            f"their task) {len(sick)} were called sick.",
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=["adding", "copy", "text", "healthy"])
    parser.add_argument("--table", action="store_true", help="print what was measured, and end")
    parser.add_argument("--text", type=Path, help="a text file (default: Python's own argparse)")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(json.loads(RESULTS.read_text(encoding="utf-8"))))
        return
    text = arguments.text or Path(argparse.__file__)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    problems = {"adding": adding(), "copy": copy()}
    for name in arguments.only:
        began, rows = time.perf_counter(), []
        if name in CASES:
            for case in CASES[name]:
                rows.append(planted(problems[name], case))
                print(json.dumps(rows[-1]), flush=True)
        elif name == "text":
            with tempfile.TemporaryDirectory() as folder:
                for case in TEXT_CASES:
                    rows.append(of_text(text, case, Path(folder)))
                    print(json.dumps(rows[-1]), flush=True)
        else:
            for seed in range(3):
                for problem in problems.values():
                    for settings in HEALTHY:
                        rows.append(healthy(problem, settings, seed))
                        print(json.dumps(rows[-1]), flush=True)
        results[name] = {"rows": rows, "seconds": round(time.perf_counter() - began)}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

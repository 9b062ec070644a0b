"""Two problems that separate recurrences by their memory, in minutes on one core.

    python benchmarks/synthetic.py            # the table
    python benchmarks/synthetic.py --only adding --steps 600

Adding (Hochreiter & Schmidhuber 1997): two numbers of 600 are marked; what is their sum? Always
answering 1 has a mean squared error of 0.1767 (2/12 = 0.1667 in expectation).
Copy memory (Arjovsky et al. 2016): ten symbols out of eight are to be said again after a long
pause. A model without memory can guess no better than 10 log 8 / (T + 20) nats a step.

Gated cells solve adding, the tanh network does not. Copying asks for more than 3,000 updates: the
gated cells have begun to by then, and only just.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from elman.data.problems import RECALLED, SYMBOLS, adding, copy_memory
from elman.nn import Recurrent
from elman.nn.topologies import Aligned, ManyToOne


@dataclass(frozen=True)
class Contender:
    """A recurrence with its options and the rate it learns at."""

    label: str
    cell: str
    options: dict[str, Any] = field(default_factory=dict)
    lr: float = 1e-3


@dataclass(frozen=True)
class Problem:
    """Data on demand, a loss, and the loss of someone without a memory."""

    name: str
    length: int
    batch: int
    hidden: int
    steps: int
    baseline: float
    solved: float
    draw: Callable[[int, int, Generator], tuple[Tensor, Tensor]]
    model: Callable[[Contender, int], nn.Module]
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor]
    contenders: tuple[Contender, ...]


def adding_model(contender: Contender, hidden: int) -> nn.Module:
    layer = Recurrent(contender.cell, 2, hidden, batch_first=True, **contender.options)
    return ManyToOne(layer, nn.Linear(hidden, 1))


def copy_model(contender: Contender, hidden: int) -> nn.Module:
    size = SYMBOLS + 2
    embedding = nn.Embedding.from_pretrained(torch.eye(size))
    layer = Recurrent(contender.cell, size, hidden, batch_first=True, **contender.options)
    return Aligned(layer, nn.Linear(hidden, SYMBOLS + 1), embedding=embedding)


def adding_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(model(x).squeeze(-1), y)


def copy_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    logits, _ = model(x)
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def problems(adding_length: int, copy_length: int) -> tuple[Problem, ...]:
    memory = {"chrono": copy_length + RECALLED}
    return (
        Problem(
            "adding",
            adding_length,
            batch=32,
            hidden=64,
            steps=2000,
            baseline=0.1767,
            solved=0.01,
            draw=adding,
            model=adding_model,
            loss=adding_loss,
            contenders=(
                Contender("GRU", "gru", lr=3e-3),
                Contender("LSTM, forget bias 1", "lstm", lr=3e-3),
                Contender("LSTM, chrono", "lstm", {"chrono": adding_length}, lr=3e-3),
                Contender("Elman (tanh)", "elman"),
            ),
        ),
        Problem(
            "copy memory",
            copy_length,
            batch=64,
            hidden=96,
            steps=3000,
            baseline=RECALLED * math.log(SYMBOLS) / (copy_length + 2 * RECALLED),
            solved=0.1 * RECALLED * math.log(SYMBOLS) / (copy_length + 2 * RECALLED),
            draw=copy_memory,
            model=copy_model,
            loss=copy_loss,
            contenders=(
                Contender("GRU", "gru", lr=2e-3),
                Contender("LSTM, forget bias 1", "lstm", lr=2e-3),
                Contender("LSTM, chrono", "lstm", memory, lr=2e-3),
                Contender("Elman (tanh)", "elman"),
            ),
        ),
    )


def measure(problem: Problem, contender: Contender, steps: int, seed: int) -> dict[str, Any]:
    """Train on fresh examples until solved or `steps` is reached; loss on 1,000 others."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    model = problem.model(contender, problem.hidden)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=contender.lr)
    x_test, y_test = problem.draw(problem.length, 1000, torch.Generator().manual_seed(seed + 1))

    def test_loss() -> float:
        with torch.no_grad():
            return float(problem.loss(model, x_test, y_test))

    started = time.perf_counter()
    taken, loss, recent = 0, math.inf, math.inf
    while taken < steps:
        x, y = problem.draw(problem.length, problem.batch, random)
        value = problem.loss(model, x, y)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        taken += 1
        recent = value.item() if math.isinf(recent) else 0.95 * recent + 0.05 * value.item()
        if taken % 50 == 0 and recent < problem.solved and (loss := test_loss()) < problem.solved:
            break
    else:
        loss = test_loss()
    return {
        "problem": f"{problem.name}, T={problem.length}",
        "cell": contender.label,
        "loss": loss,
        "baseline": problem.baseline,
        "solved": loss < problem.solved,
        "steps": taken,
        "seconds": time.perf_counter() - started,
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| problem | cell | loss | without memory | solved | steps | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['problem']} | {r['cell']} | {r['loss']:.2g} | {r['baseline']:.4g} "
        f"| {'yes' if r['solved'] else 'no'} | {r['steps']} | {r['seconds']:.0f} |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["adding", "copy memory"], help="one problem")
    parser.add_argument("--cells", nargs="*", default=[], help="only cells whose name has a word")
    parser.add_argument("--steps", type=int, help="updates at most, for every cell")
    parser.add_argument("--adding-length", type=int, default=600)
    parser.add_argument("--copy-length", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rows = []
    for problem in problems(asked.adding_length, asked.copy_length):
        if asked.only not in (None, problem.name):
            continue
        for contender in problem.contenders:
            if asked.cells and not any(w in contender.label for w in asked.cells):
                continue
            row = measure(problem, contender, asked.steps or problem.steps, asked.seed)
            rows.append(row)
            print(table([row]).splitlines()[-1], flush=True)
    print("\n" + table(rows))


if __name__ == "__main__":
    main()

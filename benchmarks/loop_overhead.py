"""What the training loop costs over a bare hand-written one, and `import elman` over torch.

Both loops train the same model (a character model) on the same batches with the same
optimiser and clipping, in one process, in turns. The time of a step is that between two
calls of the loss, so that it holds all a loop does in between: checks, logging, copies of
the last good state, progress.

    python benchmarks/loop_overhead.py [--rounds 15] [--steps 100]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from elman.training import Settings, Tick, TruncatedBPTT, fit

SYMBOLS, LR, CLIP = 65, 1e-3, 1.0
SIZES = {"small": (32, 8, 32), "medium": (128, 32, 64)}
"""Hidden units, rows, steps of a window."""


class Model(nn.Module):
    """Embedding, LSTM, scores."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, hidden)
        self.rnn = nn.LSTM(hidden, hidden)
        self.head = nn.Linear(hidden, SYMBOLS)

    def forward(self, x, state=None):
        """Symbols (T, B) to scores (T, B, symbols)."""
        y, state = self.rnn(self.embedding(x), state)
        return self.head(y), state


class Windows:
    """The same batches for both."""

    def __init__(self, rows: int, steps: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.data = torch.randint(SYMBOLS, (50 * steps + 1, rows), generator=generator)
        self.steps, self.epoch, self.position = steps, 0, 0

    def __len__(self) -> int:
        return 50

    def __iter__(self):
        while self.position < 50:
            start = self.position * self.steps
            self.position += 1
            yield (
                self.data[start : start + self.steps],
                self.data[start + 1 : start + self.steps + 1],
            )
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self):
        """Where the iteration stands."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state):
        """Go on from there."""
        self.epoch, self.position = state["epoch"], state["position"]


class Objective:
    """Cross-entropy, noting when it is asked for."""

    metric, higher_is_better = "none", False

    def __init__(self, hidden: int, steps: int) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = Model(hidden)
        self.bptt = TruncatedBPTT(steps)
        self.times: list[float] = []

    def loss(self, batch, carried):
        """The loss of a window."""
        self.times.append(time.perf_counter())
        inputs, targets = batch
        scores, carried = self.bptt(self.model, inputs, carried)
        loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="sum")
        return loss, float(targets.numel()), carried

    def validate(self):
        """Not measured."""
        return {}


def ours(size: tuple[int, int, int], steps: int) -> float:
    """Seconds a step of `fit`, with a folder and progress."""
    hidden, rows, window = size
    objective = Objective(hidden, window)
    seen: list[Tick] = []
    with tempfile.TemporaryDirectory() as folder:
        fit(
            objective,
            Windows(rows, window),
            Settings(max_steps=steps, lr=LR, clip_at=CLIP, validate_every=10**9),
            run=Path(folder),
            progress=seen.append,
        )
    return (objective.times[-1] - objective.times[0]) / (len(objective.times) - 1)


def bare(size: tuple[int, int, int], steps: int) -> float:
    """Seconds a step of the loop one writes by hand."""
    hidden, rows, window = size
    torch.manual_seed(0)
    model = Model(hidden)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0, fused=True)
    batches = Windows(rows, window)
    times: list[float] = []
    while len(times) < steps:
        state = None
        for inputs, targets in batches:
            times.append(time.perf_counter())
            scores, state = model(inputs, state)
            state = tuple(part.detach() for part in state)
            loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
    return (times[-1] - times[0]) / (len(times) - 1)


def imports(repeats: int) -> tuple[float, float]:
    """Median seconds of `import torch`, and of `import elman` after it, each in new processes."""
    code = (
        "import time; a = time.perf_counter(); import torch; b = time.perf_counter(); "
        "import elman; print(b - a, time.perf_counter() - b)"
    )
    found = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        found.append([float(word) for word in done.stdout.split()])
    torch_took, elman_took = (statistics.median(column) for column in zip(*found, strict=True))
    return torch_took, elman_took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread; medians of {arguments.rounds} rounds in turns")
    for name, size in SIZES.items():
        bare(size, arguments.steps), ours(size, arguments.steps)
        pairs = []
        for turn in range(arguments.rounds):
            if turn % 2:
                pairs.append((bare(size, arguments.steps), ours(size, arguments.steps)))
            else:
                pairs.append((ours(size, arguments.steps), bare(size, arguments.steps))[::-1])
        by_hand, by_fit = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        hidden, rows, window = size
        print(
            f"{name} (hidden {hidden}, {rows} rows, {window} steps): bare {by_hand * 1e3:.3f} ms, "
            f"fit {by_fit * 1e3:.3f} ms a step, ratio {ratio:.3f}"
        )
    torch_took, elman_took = imports(5)
    print(f"import torch {torch_took:.2f} s, import elman after it {elman_took:.4f} s")


if __name__ == "__main__":
    main()

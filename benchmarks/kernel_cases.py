"""Time compiled kernels beside torch.nn and beside those of another commit, in turns.

    git worktree add ../before COMMIT
    python benchmarks/kernel_cases.py --before ../before
    python benchmarks/kernel_cases.py --before ../before --cells lstm --sizes 35,20,650,650

A case is a cell, a size `(T, B, I, H)`, and inference or training; training is a forward pass and
the gradients of the input and of all parameters. Two processes stay alive, one a commit, and never
work at the same time: for each case they take turns, a few calls at a time, and torch.nn takes its
turn in the process of this commit. The first call of a turn is not counted. Times are medians in
milliseconds and hold everything a caller pays; a ratio above 1 means that this commit is faster.

Beside other work such times mean little, and less with two threads. `--processor-time` measures
the processor time of one thread there, and gives the least, to which other work adds nothing but
what it drives out of the caches.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIZES = [
    (100, 32, 128, 128),
    (100, 32, 256, 256),
    (100, 64, 512, 512),
    (35, 20, 200, 200),
    (35, 20, 650, 650),
]
CELLS = ["lstm", "gru", "rnn", "custom"]
MODES = ["inference", "training"]
ROUNDS = 7
SECONDS = 0.08
"""Time that one turn takes at least, its first call not counted."""

HERE = Path(__file__).resolve().parents[1]


def layers(cell: str, inputs: int, hidden: int) -> dict[str, Any]:
    """Return Elman's layer and, but for the custom cell, torch's with the same weights."""
    import torch

    import elman
    from elman import nn

    class Custom(elman.Cell):
        """z = sigmoid(W x + U h), c' = z c + (1 - z) tanh(V x + R (z h)), h' = c' exp(-|c'|)"""

        def __init__(self) -> None:
            super().__init__(inputs, hidden, state_sizes=(hidden, hidden))
            self.W, self.V = torch.nn.Linear(inputs, hidden), torch.nn.Linear(inputs, hidden)
            self.U = torch.nn.Linear(hidden, hidden, bias=False)
            self.R = torch.nn.Linear(hidden, hidden, bias=False)

        def forward(self, x: Any, state: Any) -> Any:
            h, c = state
            z = torch.sigmoid(self.W(x) + self.U(h))
            c = z * c + (1 - z) * torch.tanh(self.V(x) + self.R(z * h))
            h = c * torch.exp(-c.abs())
            return h, (h, c)

    torch.manual_seed(0)
    if cell == "custom":
        return {"elman": nn.Recurrent(Custom())}
    name = cell.upper()
    ours, theirs = getattr(nn, name)(inputs, hidden), getattr(torch.nn, name)(inputs, hidden)
    theirs.load_state_dict(ours.state_dict())
    return {"elman": ours, "torch": theirs}


def call_of(layer: Any, size: tuple[int, ...], mode: str) -> Callable[[], None]:
    """Return one call of a layer, with its backward pass in training."""
    import torch

    steps, batch, inputs, hidden = size
    torch.manual_seed(1)
    x, flow = torch.randn(steps, batch, inputs), torch.randn(steps, batch, hidden)
    if mode == "training":
        x.requires_grad_()
        wanted = [x, *layer.parameters()]

        def train() -> None:
            torch.autograd.grad(layer(x)[0], wanted, flow)

        return train

    def infer() -> None:
        with torch.inference_mode():
            layer(x)

    return infer


def work() -> None:
    """Answer questions, one line of JSON each: a new case, or how long the calls of a turn took."""
    import torch

    clock = time.perf_counter

    calls: dict[str, Callable[[], None]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "case" in asked:
            cell, size, mode = asked["case"]
            torch.set_num_threads(asked["threads"])
            clock = time.process_time if asked["processor_time"] else time.perf_counter
            made = layers(cell, size[2], size[3])
            calls = {name: call_of(layer, size, mode) for name, layer in made.items()}
            for call in calls.values():
                call()
                call()
            answer: Any = list(calls)
        else:
            call, answer = calls[asked["turn"]], []
            call()
            begun = time.perf_counter()
            while not answer or time.perf_counter() - begun < SECONDS:
                start = clock()
                call()
                answer.append(1e3 * (clock() - start))
        print(json.dumps(answer), flush=True)


@contextmanager
def worker(checkout: Path) -> Iterator[Callable[..., Any]]:
    """A process that runs the package of a checkout; yields the function that asks it."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    into, out = process.stdin, process.stdout

    def ask(**question: Any) -> Any:
        into.write(json.dumps(question) + "\n")
        into.flush()
        line = out.readline()
        if not line:
            raise SystemExit(f"The worker of {checkout} ended.")
        return json.loads(line)

    try:
        yield ask
    finally:
        into.close()
        process.wait()


def measure(
    asks: dict[str, Callable[..., Any]], case: list[Any], threads: int, processor_time: bool
) -> dict[str, float]:
    """Return the milliseconds of a case, by who ran it: the median, or the least processor time."""
    turns = []
    for commit, ask in asks.items():
        for name in ask(case=case, threads=threads, processor_time=processor_time):
            if commit == "now" or name == "elman":
                turns.append((commit if name == "elman" else name, ask, name))
    found: dict[str, list[float]] = {label: [] for label, *_ in turns}
    for k in range(ROUNDS):
        for label, ask, name in turns if k % 2 else reversed(turns):
            found[label] += ask(turn=name)
    typical = min if processor_time else statistics.median
    return {label: typical(times) for label, times in found.items()}


def processor() -> str:
    """Return what the system calls this machine's processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return "an unknown processor"


def main() -> None:
    """Print a row of the table for each case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--before", type=Path, help="a checkout of another commit")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=CELLS)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--sizes", nargs="+", help="as T,B,I,H")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processor-time", action="store_true", help="of one thread")
    options = parser.parse_args()
    if options.worker:
        work()
        return
    threads = 1 if options.processor_time else options.threads
    kind = "least processor time" if options.processor_time else "medians"
    sizes = [tuple(map(int, s.split(","))) for s in options.sizes or []] or SIZES
    print(f"{processor()}, threads: {threads}, {kind}\n")
    print("| cell | T,B,I,H | | torch.nn ms | before ms | now ms | torch/before | torch/now "
          "| before/now |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    with worker(HERE) as now, worker((options.before or HERE).resolve()) as before:
        asks = {"now": now} | ({"before": before} if options.before else {})
        for cell in options.cells:
            for mode in options.modes:
                for size in sizes:
                    case = [cell, size, mode]
                    found = measure(asks, case, threads, options.processor_time)
                    print(row(cell, size, mode, found), flush=True)


def row(cell: str, size: tuple[int, ...], mode: str, found: dict[str, float]) -> str:
    """Return a line of the table; what was not measured is left empty."""

    def ratio(a: str, b: str) -> str:
        return f"{found[a] / found[b]:.2f}" if a in found and b in found else ""

    times = [f"{found[name]:.2f}" if name in found else "" for name in ("torch", "before", "now")]
    ratios = [ratio("torch", "before"), ratio("torch", "now"), ratio("before", "now")]
    return f"| {' | '.join([cell, ','.join(map(str, size)), mode, *times, *ratios])} |"


if __name__ == "__main__":
    main()

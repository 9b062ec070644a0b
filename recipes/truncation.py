"""How far does truncated backpropagation see, and how far does it learn?

    python recipes/truncation.py

BPTT(k1, k2) of Williams & Peng 1990 lets gradients flow back through k2 steps at most, which
favours what is near (Tallec & Ollivier 2017). Three looks at it. The gradient of a layer whose
target is the bit that it read LAG steps ago, as windows give it, beside the whole one: at the
start, and at a layer that knows its task. What is learnt with each window from equally many
updates. And a chain of linear units whose influence changes its sign on the way, after the first
experiment of Tallec & Ollivier: there a window that is too short does not give a weaker gradient
but the wrong direction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from common import GREEN, GREY, INK, RED, Curve, arguments, finish, panels
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from elman.cells import Cell, State
from elman.nn import Recurrent
from elman.nn.topologies import Aligned
from elman.training import TruncatedBPTT

LAG, STEPS, HIDDEN, BATCH = 10, 120, 32, 32
WINDOWS = (1, 2, 5, 10, 11, 15, 20, 30, 60, 120)
LEARNT = ((5, 5), (10, 10), (15, 15), (20, 20), (40, 40), (120, 120), (5, 15), (5, 20))
"""k1 and k2 of what is trained."""
KINDS = {"none": GREY, "some": INK, "all": GREEN}
"""How many of the answers see their cause, and the colour of such windows."""
PLUS, MINUS = 10, 13
SEEN = (1, 2, 5, 10, 20, 30, 40, 60, 100, 200)


def draw_echo(batch: int, random: Generator) -> tuple[Tensor, Tensor]:
    """Random bits `(T, B, 1)` and those of LAG steps before, nothing (0) while there are none."""
    bits = torch.randint(2, (STEPS, batch, 1), generator=random).float()
    return bits, F.pad(bits, (0, 0, 0, 0, LAG, 0))[:STEPS]


def echo_model() -> Aligned:
    """A GRU and a logit."""
    return Aligned(Recurrent("gru", 1, HIDDEN), nn.Linear(HIDDEN, 1))


def backward(model: Aligned, x: Tensor, y: Tensor, k1: int, k2: int) -> None:
    """Put the gradients of BPTT(k1, k2) over a whole sequence into `.grad`."""
    bptt, state = TruncatedBPTT(k1, k2), None
    model.zero_grad()
    for window in bptt.windows(len(x)):
        part = x[window.start : window.stop]
        output, state = bptt(model.recurrent, part, state, context=window.context)
        wanted = y[window.start + window.context : window.stop]
        loss = F.binary_cross_entropy_with_logits(model.head(output), wanted, reduction="sum")
        (loss / y.numel()).backward()  # type: ignore[no-untyped-call]


def compare(model: Aligned, windows: Sequence[int], seed: int) -> list[tuple[float, float]]:
    """Cosine and relative error of the recurrent weights' truncated gradient, by window.

    Only the weights of the cell: the head's gradient knows no time.
    """
    x, y = draw_echo(256, torch.Generator().manual_seed(seed + 2))

    def gradient(window: int) -> Tensor:
        backward(model, x, y, window, window)
        found = [p.grad.flatten() for p in model.recurrent.parameters() if p.grad is not None]
        return torch.cat(found).double()

    whole = gradient(STEPS)
    cut = [gradient(min(window, STEPS)) for window in windows]
    return [
        (float(F.cosine_similarity(g, whole, 0)), float((g - whole).norm() / whole.norm()))
        for g in cut
    ]


def wrong(model: Aligned, seed: int) -> float:
    """Share of wrong bits, those for which there is a past."""
    x, y = draw_echo(256, torch.Generator().manual_seed(seed + 1))
    with torch.no_grad():
        found = model.head(model.recurrent(x)[0])
    return float(((found > 0) != (y > 0.5))[LAG:].float().mean())


def learn(k1: int, k2: int, updates: int, seed: int) -> tuple[Aligned, Curve]:
    """One update a sequence, whatever the windows, so that only the gradient differs."""
    torch.manual_seed(seed)
    model, random = echo_model(), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    curve, began = Curve(), time.process_time()
    for update in range(updates + 1):
        if update % 50 == 0 or update == updates:
            curve.updates.append(update)
            curve.values.append(wrong(model, seed))
        if update < updates:
            backward(model, *draw_echo(BATCH, random), k1, k2)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
    curve.seconds = time.process_time() - began
    return model, curve


class Chain(Cell):
    """Units in a chain, each the mean of itself and the next, all fed by one θ.

    h_i' = (h_i + h_{i+1}) / 2 + s_i θ          s_i = 1 for the first PLUS, -1 for the others

    The output is the first unit. At rest it is 2 (PLUS - MINUS) θ: it falls with θ. In the first
    steps, before the others have come through, it rises.
    """

    def __init__(self) -> None:
        n = PLUS + MINUS
        super().__init__(1, n, output_size=1)
        self.theta = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        signs = torch.tensor([1.0] * PLUS + [-1.0] * MINUS, dtype=torch.float64)
        halves = torch.eye(n, dtype=torch.float64) + torch.eye(n, dtype=torch.float64).roll(1, 1)
        halves[-1, 0] = 0
        self.register_buffer("signs", signs)
        self.register_buffer("halves", halves / 2)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step; the input is not looked at."""
        (h,) = state
        h = h @ self.halves.T + self.signs * self.theta
        return h[:, :1], (h,)


def influence(chain: Chain, windows: Sequence[int]) -> list[float]:
    """By how much the output at rest changes with θ, as seen through each window."""
    layer = Recurrent(chain)
    none = torch.zeros(1000, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        _, rest = layer(none)
    seen = []
    for window in windows:
        output, _ = layer(none[:window], rest)
        seen.append(float(torch.autograd.grad(output[-1].sum(), chain.theta)[0]))
    return seen


def sees(k1: int, k2: int) -> float:
    """Share of the steps with a past that are judged in a window that reaches their cause."""
    seeing = 0
    for window in TruncatedBPTT(k1, k2).windows(STEPS):
        judged = range(window.start + window.context, window.stop)
        seeing += sum(step - LAG >= window.start for step in judged)
    return seeing / (STEPS - LAG)


def main(given: Sequence[str] | None = None) -> None:
    """The three looks."""
    asked = arguments(__doc__, 600, given)
    began = time.process_time()
    titles = [f"gradient, lag {LAG}", f"learnt, lag {LAG}", "influence in a chain"]
    figure, (left, middle, right) = panels(titles, height=2.6)
    torch.manual_seed(asked.seed)
    fresh = echo_model()
    knows = fresh
    learnt: dict[tuple[int, int], Curve] = {}
    for k1, k2 in LEARNT:
        model, learnt[k1, k2] = learn(k1, k2, asked.updates, asked.seed)
        if k1 == STEPS:
            knows = model
        print(f"BPTT({k1}, {k2}): wrong {learnt[k1, k2].last:.3f}", flush=True)
    found = {
        label: compare(model, WINDOWS, asked.seed)
        for label, model in {"at the start": fresh, "when learnt": knows}.items()
    }
    chain = Chain()
    signs = influence(chain, SEEN)

    rows: list[dict[str, object]] = []
    for k, window in enumerate(WINDOWS):
        row: dict[str, object] = {"window": window}
        row["steps that see their cause"] = sees(window, window)
        for label, pairs in found.items():
            row[f"cosine, {label}"], row[f"relative error, {label}"] = pairs[k]
        rows.append(row)
    trained = [
        {
            "BPTT(k1, k2)": f"{k1}, {k2}",
            "steps that see their cause": sees(k1, k2),
            "wrong bits, learnt with it": curve.last,
            "updates to 0.01": curve.first_below(0.01),
        }
        for (k1, k2), curve in learnt.items()
    ]
    for colour, (label, pairs) in zip((GREY, INK), found.items(), strict=True):
        left.plot(WINDOWS, [cosine for cosine, _ in pairs], "o-", color=colour, ms=3, label=label)
    left.axvline(LAG, color=RED, linestyle=":")
    left.set_ylabel("cosine with the whole gradient")
    left.set_xscale("log")
    left.set_xlabel("window, steps")
    left.legend(fontsize=7, frameon=False)
    for (k1, k2), curve in learnt.items():
        kind = {0.0: "none", 1.0: "all"}.get(sees(k1, k2), "some")
        middle.plot(curve.updates, curve.values, color=KINDS[kind], linewidth=1)
    for kind, colour in KINDS.items():
        middle.plot([], color=colour, label=f"{kind} see their cause")
    middle.legend(fontsize=7, frameon=False)
    middle.set_xlabel("updates")
    middle.set_ylabel("share of wrong bits")
    right.plot(SEEN, signs, "o-", color=INK, ms=3)
    right.axhline(0, color=RED, linestyle=":")
    right.set_xscale("log")
    right.set_xlabel("window, steps")
    right.set_ylabel("d output / d θ")
    curves = {f"BPTT({k1}, {k2})": curve for (k1, k2), curve in learnt.items()}
    balance = [{"window": w, "d output / d θ": s} for w, s in zip(SEEN, signs, strict=True)]
    finish("truncation", asked, [rows, trained, balance], curves, figure, began)


if __name__ == "__main__":
    main()

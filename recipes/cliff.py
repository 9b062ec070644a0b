"""The cliff: why gradients explode, and what clipping their norm does about it.

    python recipes/cliff.py

Pascanu, Mikolov & Bengio 2013 explain it by a network of one unit, x' = w σ(x) + b, begun at 0.5
and to be at σ(x) = 0.7 after 50 steps (section 2.3 and figure 6): its error has a wall, and a step
of plain gradient descent that meets it is thrown far away. First that picture, from the same
equations. Then what it comes to in training: a tanh network learns their temporal order problem
(section 4.1.1, after Hochreiter & Schmidhuber 1997) by plain gradient descent, with and without
the norm of the gradient held.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from common import (
    AMBER,
    GREEN,
    GREY,
    INK,
    RED,
    Curve,
    Draw,
    arguments,
    each,
    finish,
    legend,
    panels,
    train,
)
from matplotlib.axes import Axes
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from elman.nn import Recurrent
from elman.nn.topologies import ManyToOne

STEPS, START, TARGET = 50, 0.5, 0.7
WIDE, HIGH = (3.8, 6.2), (-3.3, -1.6)
"""The part of the plane of w and b that is shown."""
FROM, RATE, DESCENT = (5.5, -2.6), 0.2, 300
CLIP = 1.0

LENGTHS = (20, 50, 100)
HIDDEN, SEEDS = 50, 3


def error(w: Tensor, b: Tensor) -> Tensor:
    """(σ(x) - 0.7)² after 50 steps of x' = w σ(x) + b, for every w and b."""
    x = torch.full_like(w, START)
    for _ in range(STEPS):
        x = w * torch.sigmoid(x) + b
    return (torch.sigmoid(x) - TARGET) ** 2


def descents(starts: Tensor, clip: float, updates: int) -> Tensor:
    """Where gradient descent goes from each of `starts` `(N, 2)`, as `(updates + 1, N, 2)`."""
    path = [starts]
    for _ in range(updates):
        place = path[-1].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(error(place[:, 0], place[:, 1]).sum(), place)
        norm = gradient.norm(dim=1, keepdim=True).clamp(min=1e-30)
        path.append(path[-1] - RATE * gradient * (clip / norm).clamp(max=1.0))
    return torch.stack(path)


def draw_order(length: int) -> Draw:
    """Symbols `(B, T, 6)`, two of which are A or B among c, d, e, f, and their order, 0 to 3.

    The first stands between T/10 and 2T/10, the second between 4T/10 and 5T/10.
    """

    def draw(batch: int, random: Generator) -> tuple[Tensor, Tensor]:
        x = torch.randint(2, 6, (batch, length), generator=random)
        said = torch.randint(2, (batch, 2), generator=random)
        rows, tenth = torch.arange(batch), length // 10
        for k, begin in enumerate((tenth, 4 * tenth)):
            where = torch.randint(begin, begin + tenth + 1, (batch,), generator=random)
            x[rows, where] = said[:, k]
        return F.one_hot(x, 6).float(), 2 * said[:, 0] + said[:, 1]

    return draw


def model() -> nn.Module:
    """A tanh network that names the order in the end."""
    return ManyToOne(Recurrent("elman", 6, HIDDEN, batch_first=True), nn.Linear(HIDDEN, 4))


def loss(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Nats an answer."""
    return F.cross_entropy(network(x), y)


def wrong(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Share of wrong answers."""
    return (network(x).argmax(-1) != y).float().mean()


WAYS = {"not clipped": (math.inf, RED), f"norm at most {CLIP:g}": (CLIP, GREEN)}
"""By name: the largest norm allowed, the colour."""
TRAINED = {
    "not clipped, rate 0.1": (0.1, math.inf, RED),
    "not clipped, rate 0.01": (0.01, math.inf, AMBER),
    f"norm at most {CLIP:g}, rate 0.1": (0.1, CLIP, GREEN),
}
"""By name: the rate, the largest norm allowed, the colour."""


def fall(panel: Axes) -> list[dict[str, object]]:
    """The wall, two paths that meet it, and what becomes of 100 starts near it."""
    w, b = torch.meshgrid(
        torch.linspace(*WIDE, 120, dtype=torch.float64),
        torch.linspace(*HIGH, 120, dtype=torch.float64),
        indexing="xy",
    )
    image = panel.imshow(
        error(w, b).numpy(), extent=(*WIDE, *HIGH), origin="lower", aspect="auto", cmap="Blues"
    )
    panel.figure.colorbar(image, ax=panel, label="error after 50 steps")
    across = torch.linspace(4.5, 6.0, 10, dtype=torch.float64)
    up = torch.linspace(-2.6, -1.8, 10, dtype=torch.float64)
    starts = torch.cat(
        [torch.tensor([FROM], dtype=torch.float64), torch.cartesian_prod(across, up)]
    )
    rows: list[dict[str, object]] = []
    for label, (clip, colour) in WAYS.items():
        path = descents(starts, clip, DESCENT)
        panel.plot(*path[:, 0].T.numpy(), color=colour, linewidth=0.7)
        jumps = (path[1:] - path[:-1]).norm(dim=-1)
        errors = error(path[-1, :, 0], path[-1, :, 1])
        rows.append(
            {
                "one unit": label,
                "largest step of the path shown": float(jumps[:, 0].max()),
                "its error in the end": float(errors[0]),
                "thrown further than 1 at once": f"{int((jumps[:, 1:].amax(0) > 1).sum())} of 100",
                "error below 0.01 in the end": f"{int((errors[1:] < 0.01).sum())} of 100",
            }
        )
    panel.set_xlim(*WIDE)
    panel.set_ylim(*HIGH)
    panel.set_xlabel("w")
    panel.set_ylabel("b")
    panel.plot(*FROM, "o", color=INK, markersize=4)
    return rows


def main(given: Sequence[str] | None = None) -> None:
    """The picture, and the training."""
    asked = arguments(__doc__, 2000, given)
    began = time.process_time()
    figure, (left, *others) = panels(
        ["the wall of one unit", *(f"temporal order, T = {length}" for length in LENGTHS)]
    )
    fallen, rows, curves = fall(left), [], {}
    for length, panel in zip(LENGTHS, others, strict=True):
        for label, (lr, clip, colour) in TRAINED.items():
            found: list[Curve] = []
            for seed in range(asked.seed, asked.seed + SEEDS):
                torch.manual_seed(seed)
                curve = train(
                    model(),
                    draw_order(length),
                    loss,
                    updates=asked.updates,
                    lr=lr,
                    optimiser=torch.optim.SGD,
                    batch=20,
                    clip=clip,
                    every=100,
                    enough=0.01,
                    judge=wrong,
                    seed=seed,
                )
                name = None if found else label
                panel.plot(curve.updates, curve.values, color=colour, linewidth=1, label=name)
                curves[f"T={length}, {label}, seed {seed}"] = curve
                found.append(curve)
            solved = [curve.first_below(0.01) for curve in found]
            rows.append(
                {
                    "T": length,
                    "gradient": label,
                    "solved": f"{sum(s is not None for s in solved)} of {SEEDS}",
                    "updates": each(solved),
                    "wrong in the end": ", ".join(f"{curve.last:.2f}" for curve in found),
                    "largest norm": max(curve.largest_norm for curve in found),
                }
            )
            print(rows[-1], flush=True)
        panel.axhline(0.75, color=GREY, linestyle=":")
        panel.set_xlabel("updates")
        panel.set_ylim(-0.02, 0.85)
    others[0].set_ylabel("share of wrong answers")
    legend(figure, others[0])
    finish("cliff", asked, [fallen, rows], curves, figure, began)


if __name__ == "__main__":
    main()

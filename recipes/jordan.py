"""What comes back: the output (Jordan 1986) or the hidden state (Elman 1990)?

    python recipes/jordan.py

A Jordan network's memory is its last output, an Elman network's what its hidden units hold. A
switch that is set and reset tells them apart: where its position is to be said at every step the
output is the memory, and either will do; where it is to be said only when asked, and "nothing"
otherwise, the output must keep silent about what has to be known later. It can whisper, though: an
output is a real number. So a trained Jordan network is also run with its outputs rounded to 0 and 1
before they come back, which leaves of them what is said. The third task is Elman's own first one: a
stream of two random bits and their exclusive or, of which the next bit is to be foretold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from common import (
    GREEN,
    GREY,
    RED,
    Draw,
    arguments,
    each,
    finish,
    kept_apart,
    legend,
    panels,
    train,
)
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from elman.cells import Jordan
from elman.nn import Recurrent
from elman.nn.topologies import Aligned

LENGTH, HIDDEN, SEEDS = 30, 16, 3
SET, RESET, ASK, NOTHING = range(4)
SILENT, OFF, ON = range(3)


def draw_switch(asked_only: bool) -> Draw:
    """Events `(B, T, 4)`, and at every step what is to be said, `(B, T, 3)`.

    A step is SET or RESET with chance 0.1 each, ASK with 0.2. The switch begins OFF.
    """

    def draw(batch: int, random: Generator) -> tuple[Tensor, Tensor]:
        chance = torch.rand(batch, LENGTH, generator=random)
        events = torch.bucketize(chance, torch.tensor([0.1, 0.2, 0.4]))
        position, said = torch.full((batch,), OFF), []
        for event in events.T:
            position = torch.where(event == SET, ON, position)
            position = torch.where(event == RESET, OFF, position)
            said.append(torch.where(event == ASK, position, SILENT) if asked_only else position)
        return F.one_hot(events, 4).float(), F.one_hot(torch.stack(said, 1), 3).float()

    return draw


def draw_xor(batch: int, random: Generator) -> tuple[Tensor, Tensor]:
    """A stream of a, b, a ≠ b, `(B, T, 1)`, and the same one step on."""
    pairs = torch.randint(2, (batch, LENGTH // 3 + 1, 2), generator=random)
    stream = torch.cat([pairs, pairs.sum(-1, keepdim=True) % 2], -1).flatten(1).float()
    return stream[:, :LENGTH, None], stream[:, 1 : LENGTH + 1, None]


def model(kind: str, inputs: int, outputs: int) -> nn.Module:
    """Sigmoid outputs over HIDDEN units; what comes back is the one difference."""
    if kind == "Jordan":
        cell = Jordan(inputs, HIDDEN, output_size=outputs, output_nonlinearity="sigmoid")
        return Aligned(Recurrent(cell, batch_first=True), nn.Identity())
    head = nn.Sequential(nn.Linear(HIDDEN, outputs), nn.Sigmoid())
    return Aligned(Recurrent("elman", inputs, HIDDEN, batch_first=True), head)


def squares(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The mean squared error, which both papers trained on."""
    return F.mse_loss(network(x)[0], y)


def wrong_when_known(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Share of wrong answers where the position is to be said and has to be remembered."""
    found = network(x)[0][..., 1:].argmax(-1)
    return (found != y[..., 1:].argmax(-1))[remembered(x, y)].float().mean()


def remembered(x: Tensor, y: Tensor) -> Tensor:
    """Steps at which a position is said that the event itself does not give away."""
    return (y[..., SILENT] == 0) & (x[..., SET] + x[..., RESET] == 0)


def wrong_third(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Share of wrong bits among those that can be foretold: every third."""
    found = network(x)[0]
    return ((found > 0.5) != (y > 0.5))[:, 1::3].float().mean()


class Rounded(nn.Module):
    """A Jordan network of whose outputs only what they say comes back, 0 or 1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.cell = network.get_submodule("recurrent.cells.0")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, T, inputs)` -> `(B, T, outputs)` and the state."""
        assert isinstance(self.cell, Jordan)
        (state,), said = self.cell.init_state(len(x)), []
        for step in x.unbind(1):
            output, (state,) = self.cell(step, (state,))
            state = state.round()
            said.append(output)
        return torch.stack(said, 1), state


TASKS = {
    "a switch, always said": (draw_switch(False), 4, 3, wrong_when_known),
    "a switch, said when asked": (draw_switch(True), 4, 3, wrong_when_known),
    "Elman's exclusive or": (draw_xor, 1, 1, wrong_third),
}
"""By name: data, inputs, outputs, what is counted."""


def main(given: Sequence[str] | None = None) -> None:
    """Train both networks on all tasks, from several seeds."""
    asked = arguments(__doc__, 5000, given)
    began = time.process_time()
    rows, curves = [], {}
    figure, axes = panels(list(TASKS))
    for (task, (draw, inputs, outputs, wrong)), panel in zip(TASKS.items(), axes, strict=True):
        line: dict[str, object] = {"task": task}
        for kind, colour in (("Elman", GREEN), ("Jordan", GREY)):
            found, rounded = [], []
            for seed in range(asked.seed, asked.seed + SEEDS):
                torch.manual_seed(seed)
                network = model(kind, inputs, outputs)
                curve = train(
                    network,
                    draw,
                    squares,
                    updates=asked.updates,
                    lr=5e-3,
                    every=100,
                    enough=1e-3,
                    judge=wrong,
                    seed=seed,
                )
                curves[f"{task}, {kind}, seed {seed}"] = curve
                found.append(curve)
                if kind == "Jordan":
                    with torch.no_grad():
                        share = wrong(Rounded(network), *kept_apart(draw, seed))
                    rounded.append(float(share))
                label = f"{kind} network" if len(found) == 1 else None
                panel.plot(curve.updates, curve.values, color=colour, label=label)
            line[f"{kind}: wrong answers"] = ", ".join(f"{curve.last:.3f}" for curve in found)
            reached = [curve.first_below(0.01) for curve in found]
            line[f"{kind}: updates to 0.01"] = each(reached)
        line["Jordan, rounded: wrong answers"] = ", ".join(f"{share:.3f}" for share in rounded)
        rows.append(line)
        print(line, flush=True)
        panel.axhline(0.5, color=RED, linestyle=":", label="tossing a coin")
        panel.set_xlabel("updates")
        panel.set_xlim(0, asked.updates)
        panel.set_ylim(-0.02, 0.6)
    axes[0].set_ylabel("share of wrong answers")
    legend(figure, axes[0])
    finish("jordan", asked, [rows], curves, figure, began)


if __name__ == "__main__":
    main()

"""Two problems that recurrences are tried on, made anew for every batch from a generator.

Both ask for something that was given many steps before; the number of steps is an argument.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

SYMBOLS, RECALLED = 8, 10
"""The copy problem has `SYMBOLS` different symbols, and `RECALLED` of them are to be repeated."""


def adding(length: int, batch: int, random: Generator) -> tuple[Tensor, Tensor]:
    """Draw a batch of the adding problem: the sum of two marked numbers is asked for.

    The problem is by Hochreiter & Schmidhuber (1997).

    A model that always answers 1 has a mean squared error of 1/6.

    Args:
        length: T, in steps.
        batch: B.
        random: the generator they are drawn from.

    Returns:
        Numbers and marks `(B, T, 2)`, one mark in each half, and the sums `(B,)`.

    >>> x, y = adding(6, 4, torch.Generator().manual_seed(0))
    >>> x.shape, x[..., 1].sum(1).tolist(), torch.equal(y, (x[..., 0] * x[..., 1]).sum(1))
    (torch.Size([4, 6, 2]), [2.0, 2.0, 2.0, 2.0], True)
    """
    numbers = torch.rand(batch, length, generator=random)
    marks = torch.zeros(batch, length)
    rows, half = torch.arange(batch), length // 2
    for begin, end in ((0, half), (half, length)):
        marks[rows, torch.randint(begin, end, (batch,), generator=random)] = 1.0
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(1)


def copy_memory(pause: int, batch: int, random: Generator) -> tuple[Tensor, Tensor]:
    """Draw a batch of copy memory: ten symbols are to be repeated after a pause.

    The problem is by Arjovsky, Shah & Bengio (2016). A model without memory can guess no better
    than 10 log 8 / (pause + 20) nats a step.

    Args:
        pause: steps between the last symbol and the first answer.
        batch: B.
        random: the generator they are drawn from.

    Returns:
        The input (symbols 1 to 8, a pause of 0 and the signal 9) and the answer (0 until the
        symbols are asked for), both `(B, pause + 20)` int64.

    >>> x, y = copy_memory(5, 2, torch.Generator().manual_seed(0))
    >>> x.shape, torch.equal(x[:, :10], y[:, 15:]), x[:, 14].tolist()
    (torch.Size([2, 25]), True, [9, 9])
    """
    said = torch.randint(1, SYMBOLS + 1, (batch, RECALLED), generator=random)
    x = torch.zeros(batch, pause + 2 * RECALLED, dtype=torch.long)
    y = torch.zeros_like(x)
    x[:, :RECALLED] = said
    x[:, pause + RECALLED - 1] = SYMBOLS + 1
    y[:, -RECALLED:] = said
    return x, y

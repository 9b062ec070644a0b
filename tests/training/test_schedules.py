import math

import pytest
import torch
from torch import nn

from elman.training import schedules


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("plateau", [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("cosine", [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0.0]),
    ],
)
def test_values(name, values):
    found = [schedules.factor(name, progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert found == pytest.approx(values)


def test_onecycle_is_that_of_torch():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    # torch ends its rise 0.7 steps before 0.3 of 1001 steps, hence the tolerance.
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=1001)
    for step in range(1001):
        assert schedules.onecycle(step / 1000) == pytest.approx(theirs.get_last_lr()[0], abs=4e-3)
        optimizer.step()
        if step < 1000:
            theirs.step()


def test_step_is_that_of_zaremba():
    # max_epoch = 4, lr_decay = 0.5: "lr_decay ** max(i + 1 - max_epoch, 0.0)"
    found = [schedules.factor("step", 0.9, epoch=i, decay=0.5, decay_after=4) for i in range(13)]
    assert found == [0.5 ** max(i + 1 - 4, 0.0) for i in range(13)]


def test_warmup_as_a_part_of_the_run():
    found = [schedules.factor("cosine", p, warmup=0.2) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert found == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])


def test_warmup_in_steps():
    found = [schedules.factor("linear", 0.5, step=step, warmup=4) for step in (0, 1, 3, 9)]
    assert found == pytest.approx([0.125, 0.25, 0.5, 0.5])


def test_plateau_waits_and_starts_over():
    plateau = schedules.Plateau(decay=0.1, after=2)
    scales = []
    for improved in (True, False, True, False, False, False, False, True):
        plateau.see(improved)
        scales.append(plateau.scale)
    assert scales == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    again = schedules.Plateau(decay=0.1, after=2)
    again.load_state_dict(plateau.state_dict())
    assert again == plateau

import pytest
import torch
from torch import nn

from elman.training import averaging


def test_ema_by_hand():
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    ema = averaging.EMA([weight], decay=0.4)
    expected = 1.0
    for t, value in enumerate([2.0, 5.0, -3.0, 0.5], start=1):
        weight.data.fill_(value)
        ema.update()
        decay = min(0.4, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * value
    assert ema.average[0].item() == pytest.approx(expected)


def test_asgd_begins_when_validation_stops_improving():
    weight = nn.Parameter(torch.tensor([0.0]))
    asgd = averaging.ASGD([weight], after=2)
    triggers = []
    for value in (5.0, 4.0, 3.0, 3.5, 3.2, 3.1):
        asgd.validated(value, higher_is_better=False)
        triggers.append(asgd.triggered)
    # 3.2 is better than min(5, 4), all before it but the last two; 3.1 is worse than 3.
    assert triggers == [False, False, False, False, False, True]


@pytest.mark.parametrize("higher", [False, True])
def test_the_trigger_is_that_of_awd_lstm(higher):
    """len(best) > nonmono and value > min(best[:-nonmono]), best before it is appended to."""
    generator = torch.Generator().manual_seed(0)
    values = (torch.rand(40, generator=generator) + torch.linspace(2, 0, 40)).tolist()
    asgd = averaging.ASGD([nn.Parameter(torch.zeros(1))], after=5)
    log: list[float] = []
    expected = False
    for value in values:
        expected = expected or (len(log) > 5 and value > min(log[:-5]))
        log.append(value)
        asgd.validated(-value if higher else value, higher_is_better=higher)
        assert asgd.triggered == expected
    assert expected


def test_asgd_averages_the_steps_after_the_trigger():
    weight = nn.Parameter(torch.tensor([7.0]))
    asgd = averaging.ASGD([weight], after=1)
    asgd.update()
    assert asgd.average is None
    for value in (1.0, 2.0, 3.0):
        asgd.validated(value, higher_is_better=False)
    for value in (1.0, 2.0, 6.0):
        weight.data.fill_(value)
        asgd.update()
    assert asgd.average[0].item() == pytest.approx(3.0)


def test_applied_gives_back_every_bit():
    weight = nn.Parameter(torch.randn(50))
    before = weight.detach().clone()
    ema = averaging.EMA([weight], decay=0.5)
    weight.data.add_(1 / 3)
    moved = weight.detach().clone()
    with averaging.applied(ema, [weight]):
        assert torch.equal(weight, before)
    assert torch.equal(weight, moved)


@pytest.mark.parametrize("name", ["none", "ema", "asgd"])
def test_state_goes_on(name):
    def make():
        return averaging.make(name, [weight], ema_decay=0.9, asgd_after=1)

    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    first = make()
    for value in (1.0, 2.0, 3.0):
        first.validated(value, higher_is_better=False)
        weight.data.add_(1)
        first.update()
    second = make()
    second.load_state_dict(first.state_dict())
    weight.data.mul_(3)
    first.update()
    second.update()
    if name == "none":
        assert second.average is None
    else:
        assert torch.equal(first.average[0], second.average[0])

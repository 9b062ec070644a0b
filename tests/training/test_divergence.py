import logging
import math

import pytest
import torch

from elman.errors import RunFailed
from elman.training import Settings, fit
from elman.training.divergence import STREAK, DivergenceDetector


def feed(watch, losses, norms=None, start=0):
    norms = norms or [1.0] * len(losses)
    for step, (loss, norm) in enumerate(zip(losses, norms, strict=True), start):
        found = watch.see(step, loss, norm)
        if found:
            return step, found
    return None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_counts_at_once(bad):
    assert "the loss" in DivergenceDetector().see(0, bad, 1.0)
    assert "gradient's norm" in DivergenceDetector().see(0, 1.0, bad)


def test_a_loss_far_above_its_start_counts_after_a_streak():
    step, found = feed(DivergenceDetector(), [2.0] * 30 + [21.0] * 50)
    assert step == 30 + STREAK - 1
    assert "above 20" in found


def test_a_norm_far_above_its_start_counts_after_a_streak():
    step, found = feed(DivergenceDetector(), [1.0] * 80, [0.5] * 30 + [6e3] * 50)
    assert step == 30 + STREAK - 1
    assert "gradient's norm has been above 5e+03" in found


def test_what_is_no_divergence():
    start, learnt = [2.0] * 30, [1e-6] * 100
    assert feed(DivergenceDetector(), start + [1e5, 2.0] * 50) is None  # spikes
    assert (
        feed(DivergenceDetector(), start + learnt + [0.5] * 100) is None
    )  # worse than before, not than untrained
    assert (
        feed(DivergenceDetector(), [1.0] * 200, [1e-3] * 100 + [5.0] * 100) is None
    )  # learning sets in
    assert (
        feed(DivergenceDetector(), [-5.0] * 30 + [20.0] * 100) is None
    )  # a density's loss may be negative


def test_state_goes_on():
    losses = [2.0] * 25 + [50.0] * 40
    whole = feed(DivergenceDetector(), losses)
    first = DivergenceDetector()
    feed(first, losses[:28])
    second = DivergenceDetector()
    second.load_state_dict(first.state_dict())
    assert feed(second, losses[28:], start=28) == whole
    assert not second.calm


@pytest.mark.parametrize("at", [3, 49, 50, 73, 100])
def test_rollback_restores_and_halves_the_rate(line, draws, at, caplog):
    """A loss spoilt once: the run goes on from the good state before it at half the rate."""
    settings = Settings(max_steps=120, lr=0.02, optimizer="adam", clip="none")
    spoilt = line(spoil=lambda call: math.nan if call == at else None)
    with caplog.at_level(logging.WARNING, "elman"):
        fitted = fit(spoilt, draws(), settings)
    good = at // 50 * 50 if at % 50 else max(0, at - 50)
    (event,) = [row for row in fitted.history if "event" in row]
    assert (event["step"], event["to"]) == (at, good)
    assert f"Diverged at step {at}: the loss is nan. Last gradient norms: " in caplog.text
    assert f"Back to step {good} at half the rate (1 of 3)" in caplog.text

    # The same by hand: the sampler's batches from the good step on, again, at half the rate.
    plain = line()
    optimizer = torch.optim.Adam(plain.model.parameters(), lr=0.02, fused=True)
    batches = draws()
    order = [batch for _ in range(12) for batch in batches]
    for step, (x, y) in enumerate(order):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 if step < good else 0.01
        optimizer.zero_grad()
        ((plain.model(x) - y).square().sum() / len(x)).backward()
        optimizer.step()
    last = spoilt.seen[-1]
    torch.testing.assert_close(last["weight"], plain.model.weight.detach(), rtol=1e-6, atol=1e-7)


def test_an_exploding_rate_is_halved_until_it_works(line, draws):
    # Least squares is stable below 2 / (largest curvature), about 1 here.
    settings = Settings(max_steps=400, lr=3.0, optimizer="sgd", clip="none", max_rollbacks=5)
    fitted = fit(line(), draws(rows=64), settings)
    events = [row for row in fitted.history if "event" in row]
    assert 1 <= len(events) <= 3
    assert fitted.best["mse"] < 1e-6


def test_gives_up_after_some_returns(line, draws):
    spoilt = line(spoil=lambda call: math.inf if call >= 60 else None)
    with pytest.raises(RunFailed, match="Gave up after 2 returns to a good state"):
        fit(spoilt, draws(), Settings(max_steps=200, max_rollbacks=2))


def test_a_bad_batch_is_told_from_a_bad_rate(line, draws):
    class Broken(draws):
        def __iter__(self):
            for x, y in super().__iter__():
                here = (self.epoch, self.position) == (2, 5)
                yield x, y * math.nan if here else y

    with pytest.raises(RunFailed, match=r"step 24: .*this step each time: look at the data"):
        fit(line(), Broken(), Settings(max_steps=200))


def test_nothing_to_go_back_to(line, draws):
    with pytest.raises(RunFailed, match="first step: not the rate but the data or the model"):
        fit(line(spoil=lambda call: math.nan), draws(), Settings())


def test_no_rollbacks_at_all(line, draws):
    spoilt = line(spoil=lambda call: math.nan if call == 70 else None)
    with pytest.raises(RunFailed, match=r"Try a lower lr than 0\.02"):
        fit(spoilt, draws(), Settings(max_rollbacks=0, lr=0.02))

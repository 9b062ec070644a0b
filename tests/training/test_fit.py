import math
import time

import pytest
import torch
from torch import nn

from elman.errors import InputError, RunFailed
from elman.training import Settings, fit
from elman.training.pace import Pace


def weights(objective):
    return [p.detach().clone() for p in objective.model.parameters()]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_plain_run_is_the_loop_one_would_write(line, draws):
    ours = line()
    fit(ours, draws(), Settings(epochs=3, lr=0.05, clip="norm", clip_at=0.7))
    plain = line()
    optimizer = torch.optim.AdamW(plain.model.parameters(), lr=0.05, weight_decay=0, fused=True)
    batches = draws()
    for _ in range(3):
        for x, y in batches:
            optimizer.zero_grad()
            ((plain.model(x) - y).square().sum() / len(x)).backward()
            nn.utils.clip_grad_norm_(plain.model.parameters(), 0.7)
            optimizer.step()
    assert equal([ours.seen[-1]["weight"]], [plain.model.weight.detach()])


def test_the_same_seed_gives_the_same_run():
    from training_worker import train

    first, _ = train(None, epochs=2, lr=0.01)
    again, _ = train(None, epochs=2, lr=0.01)
    other, _ = train(None, epochs=2, lr=0.01, seed=1)
    assert equal(first.parameters(), again.parameters())
    assert not equal(first.parameters(), other.parameters())


def test_how_often_one_looks_changes_nothing():
    from training_worker import Objective, Rows

    class Noisy(Objective):
        def validate(self):
            torch.rand(3)
            self.last = weights(self)
            return {"mse": 1.0}

    kept = []
    for every in (1, 8, 24):
        torch.manual_seed(0)
        objective = Noisy()
        fit(objective, Rows(), Settings(max_steps=24, lr=0.01, validate_every=every))
        kept.append(objective.last)
    assert equal(kept[0], kept[1])
    assert equal(kept[0], kept[2])


def test_accumulating_is_one_large_batch(line, draws):
    """Unequal parts too: the mean is over all terms, not over the parts."""

    class Cut(draws):
        def __iter__(self):
            for x, y in super().__iter__():
                yield x[:5], y[:5]
                yield x[5:7], y[5:7]
                yield x[7:], y[7:]

        def __len__(self):
            return 3 * super().__len__()

    large, small = line(dtype=torch.float64), line(dtype=torch.float64)
    fit(large, draws(dtype=torch.float64), Settings(epochs=2, lr=0.05))
    fit(small, Cut(dtype=torch.float64), Settings(epochs=2, lr=0.05, accumulate=3))
    for a, b in zip(weights(large), weights(small), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_what_is_left_of_an_epoch_is_an_update_too(line, draws):
    fitted = fit(line(), draws(length=10), Settings(epochs=2, accumulate=4))
    assert (fitted.steps, fitted.epochs) == (6, 2)


@pytest.mark.parametrize(("steps", "finished"), [(17, 2), (18, 3), (19, 3)])
def test_an_epoch_is_finished_with_its_last_step(line, draws, steps, finished):
    how = Settings(max_steps=steps, validate_every=6)
    fitted = fit(line(scores=[3.0, 2.0, 1.0, 4.0]), draws(length=6), how)
    assert (fitted.steps, fitted.epochs) == (steps, finished)
    assert fitted.best_epoch == (2 if steps == 17 else 3)
    rows = {row["step"]: row["epoch"] for row in fitted.history if "valid" in row}
    assert [rows[step] for step in (6, 12)] == [1, 2]


def test_early_stopping_keeps_the_best(line, draws):
    objective = line(scores=[5.0, 3.0, 4.0, 3.0, 3.5, 1.0])
    fitted = fit(objective, draws(), Settings(epochs=50, patience=3))
    assert fitted.stopped == "patience"
    assert (fitted.epochs, fitted.best, fitted.best_step) == (5, {"mse": 3.0}, 20)
    assert torch.equal(objective.model.weight, objective.seen[1]["weight"])
    assert [row["best"] for row in fitted.history if "valid" in row] == [1, 1, 0, 0, 0]


def test_a_score_to_raise(line, draws):
    objective = line(scores=[0.5, 0.9, math.nan, 0.7])
    objective.higher_is_better = True
    fitted = fit(objective, draws(), Settings(epochs=4))
    assert fitted.best == {"mse": 0.9}
    assert fitted.stopped == "epochs"


def test_the_average_is_what_is_judged_and_kept(line, draws):
    objective = line()
    recorded = []
    original = objective.loss
    objective.loss = lambda batch, carried: (
        recorded.append(objective.model.weight.detach().clone()),
        original(batch, carried),
    )[1]
    fit(objective, draws(), Settings(epochs=3, averaging="ema", ema_decay=0.6, lr=0.01))
    # Before step t the loss sees the parameters after t - 1 updates; the last are not seen.
    average = recorded[0]
    for step, weight in enumerate(recorded[1:], start=1):
        decay = min(0.6, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
        if step == 20:
            torch.testing.assert_close(objective.seen[1]["weight"], average)
    assert torch.equal(objective.model.weight, objective.seen[-1]["weight"])


def test_the_average_is_kept_where_nothing_is_validated(line, draws):
    judged, unjudged = line(), line()
    unjudged.validate = dict
    how = Settings(epochs=3, averaging="ema", ema_decay=0.9, lr=0.01)
    assert fit(judged, draws(), how).best_step == fit(unjudged, draws(), how).steps
    assert torch.equal(judged.model.weight, unjudged.model.weight)


def test_the_rate_follows_plateau_and_warmup(line, draws):
    objective = line(scores=[1.0])
    settings = Settings(
        epochs=6, lr=1.0, schedule="plateau", decay=0.1, decay_after=2, optimizer="sgd", warmup=5
    )
    ticks = []
    fit(objective, draws(length=50), settings, progress=ticks.append)
    fitted_rates = [round(t.lr, 6) for t in ticks]
    assert ticks[-1].finished
    assert fitted_rates[-1] == pytest.approx(0.01)


def test_the_rate_of_every_step(line, draws):
    objective = line()
    rates = []
    step = torch.optim.SGD.step

    def recording(self, *args):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    settings = Settings(
        epochs=5, lr=0.1, schedule="step", decay=0.5, decay_after=2, optimizer="sgd"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", recording)
        fit(objective, draws(length=3), settings)
    assert rates == pytest.approx([0.1] * 6 + [0.05] * 3 + [0.025] * 3 + [0.0125] * 3)


def test_a_budget_is_kept(line, draws):
    class Slow(line):
        def loss(self, batch, carried):
            time.sleep(0.004)
            return super().loss(batch, carried)

        def validate(self):
            time.sleep(0.05)
            return super().validate()

    ticks = []
    began = time.monotonic()
    fitted = fit(
        Slow(), draws(length=10**9), Settings(budget=2, schedule="linear", lr=0.01),
        progress=ticks.append,
    )  # fmt: skip
    took = time.monotonic() - began
    assert fitted.stopped == "budget"
    assert 1.7 <= took <= 2.4
    assert abs(fitted.seconds - took) < 0.2
    assert ticks[-1].lr < 0.001  # the schedule came to its end with the time
    looks = [row for row in fitted.history if "valid" in row]
    assert 4 <= len(looks) <= 10  # a tenth of the time at most
    assert looks[-1]["step"] == fitted.steps
    assert fitted.best["mse"] == min(row["valid"]["mse"] for row in looks)


def test_when_it_looks():
    def looks(settings, batches):
        pace, found = Pace(settings, batches), []
        while pace.over() is None:
            pace.step += 1
            ended = pace.step % batches == 0
            pace.epoch += ended
            if pace.look_due(ended):
                pace.looked(0.0)
                found.append(pace.step)
        return found

    assert looks(Settings(epochs=3), 7) == [7, 14, 21]
    assert looks(Settings(max_steps=100, validate_every=30), 7) == [30, 60, 90]
    assert looks(Settings(max_steps=100), 10**6) == list(range(10, 101, 10))
    assert looks(Settings(max_steps=300), 25)[:3] == [25, 50, 75]


def test_bf16_keeps_parameters_in_float32(line, draws):
    seen = []

    class Half(line):
        def loss(self, batch, carried):
            seen.append(self.model(batch[0]).dtype)
            return super().loss(batch, carried)

        def validate(self):
            seen.append(self.model(torch.zeros(1, 3)).dtype)
            return super().validate()

    objective = Half()
    fitted = fit(objective, draws(), Settings(epochs=20, lr=0.05, precision="bf16"))
    assert seen[0] == torch.bfloat16
    assert seen[-1] == torch.float32
    assert objective.model.weight.dtype == torch.float32
    assert fitted.best["mse"] < 0.01


def test_a_recurrence_in_bf16():
    from training_worker import train

    _, exact = train(None, epochs=2, lr=0.01)
    _, rough = train(None, epochs=2, lr=0.01, precision="bf16")
    assert rough.best["mse"] == pytest.approx(exact.best["mse"], rel=0.1)
    assert rough.best["mse"] != exact.best["mse"]


def test_nothing_to_judge_by(line, draws):
    objective = line()
    objective.validate = dict
    fitted = fit(objective, draws(), Settings(epochs=2))
    assert (fitted.best, fitted.best_step) == ({}, 20)


def test_mistakes_are_explained(line, draws):
    with pytest.raises(InputError, match="no batches"):
        fit(line(), draws(length=0), Settings())
    objective = line()
    objective.metric = "accuracy"
    with pytest.raises(RunFailed, match="validate\\(\\) gave mse but not 'accuracy'"):
        fit(objective, draws(), Settings(epochs=1))
    with pytest.raises(InputError, match="no device 'gpu0'"):
        fit(line(), draws(), Settings(device="gpu0"))
    frozen = line()
    frozen.model.requires_grad_(False)
    with pytest.raises(InputError, match="no parameter to train"):
        fit(frozen, draws(), Settings())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_on_a_gpu_divergence_is_noticed_late_and_undone(line, draws):
    class Moved(line):
        def loss(self, batch, carried):
            return super().loss(tuple(part.cuda() for part in batch), carried)

        def validate(self):
            return {"mse": float(self.model.weight.isnan().sum())}

    spoilt = Moved(spoil=lambda call: math.nan if call == 70 else None)
    fitted = fit(spoilt, draws(), Settings(max_steps=120, device="cuda"))
    assert [row["step"] for row in fitted.history if "event" in row] == [70]
    assert fitted.best == {"mse": 0.0}

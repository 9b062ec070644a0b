"""A run that was killed, however often and whenever, ends as one that was not."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import training_worker
from safetensors.torch import load_file
from training_worker import train

from elman.errors import InputError, RunFailed
from elman.training import Interrupted, Settings, checkpoint, fit, pace
from elman.training.interrupt import Interrupt

# One run with everything that has a state, and one with the defaults.
RICH = {
    "max_steps": 130,
    "lr": 0.02,
    "optimizer": "nadam",
    "averaging": "asgd",
    "asgd_after": 1,
    "schedule": "plateau",
    "decay_after": 1,
    "accumulate": 2,
    "validate_every": 11,
    "checkpoint_every": 5,
    "clip": "adaptive",
    "warmup": 15,
    "decay": 0.8,
    "wobble": 0.5,
}
PLAIN = {"epochs": 15, "lr": 0.02, "schedule": "cosine", "averaging": "ema"}

# Forked, since a process that imports torch anew spends its time on that.
context = multiprocessing.get_context("fork")


def killed(folder: Path, at: int, settings: dict, later: float) -> bool:
    """Start a process on the run and kill -9 it, `later` seconds after `at` batches in all.

    Whether it was still at it.
    """
    pulse = context.Value("i", 0)
    process = context.Process(
        target=train, args=(str(folder),), kwargs={**settings, "pulse": pulse}
    )
    process.start()
    while process.is_alive() and pulse.value < at:
        time.sleep(0.001)
    time.sleep(later)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def finished(folder: Path, settings: dict) -> None:
    process = context.Process(target=train, args=(str(folder),), kwargs=settings)
    process.start()
    process.join()
    assert process.exitcode == 0


def often(monkeypatch) -> None:
    """Checkpoints by the clock come many times a second."""
    monkeypatch.setattr(pace, "SAVE_SECONDS", 0.05)
    monkeypatch.setattr(pace, "SAVE_SHARE", 1.0)


def bits(folder: Path, name: str) -> dict:
    tensors, _ = checkpoint.load(folder / "checkpoints" / name)
    return tensors


def rows(folder: Path) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        a, b = bits(one, name), bits(other, name)
        assert a.keys() == b.keys()
        for key in a:
            assert torch.equal(a[key], b[key]), f"{name}: {key}"
    assert rows(one) == rows(other)


@pytest.mark.parametrize("settings", [RICH, PLAIN], ids=["rich", "plain"])
def test_killed_at_random_moments_and_resumed(tmp_path, monkeypatch, settings):
    train(str(tmp_path / "whole"), **settings)
    often(monkeypatch)
    chance = random.Random(os.urandom(8))
    moments = sorted(chance.sample(range(220), 6))
    kills = [killed(tmp_path / "killed", at, settings, chance.uniform(0, 0.01)) for at in moments]
    assert sum(kills) >= 4
    finished(tmp_path / "killed", settings)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(8))
def test_killed_many_times(tmp_path, monkeypatch, trial):
    test_killed_at_random_moments_and_resumed(tmp_path, monkeypatch, [RICH, PLAIN][trial % 2])


def test_checkpoints_by_the_clock_change_nothing(tmp_path, monkeypatch):
    """Also with a rollback after the kill: it goes where it would have gone."""
    # A loss spoilt for good from one step on, unless the rate has been halved often enough.
    original = training_worker.Objective.loss

    def spoilt(self, batch, carried):
        loss, terms, carried = original(self, batch, carried)
        run = self.model.seen.item()
        rate = spoilt.optimizer.param_groups[0]["lr"] if spoilt.optimizer else 1.0
        return loss * (float("nan") if run > 130 and rate > 0.006 else 1.0), terms, carried

    spoilt.optimizer = None
    make = training_worker.fit.__globals__["Update"]

    class Update(make):
        def __init__(self, *args):
            super().__init__(*args)
            spoilt.optimizer = self.optimizer

    monkeypatch.setitem(training_worker.fit.__globals__, "Update", Update)
    monkeypatch.setattr(training_worker.Objective, "loss", spoilt)
    settings = {"max_steps": 200, "lr": 0.02, "validate_every": 30}
    train(str(tmp_path / "whole"), **settings)
    assert len([row for row in rows(tmp_path / "whole") if "event" in row]) == 2
    often(monkeypatch)
    folder = tmp_path / "stopped"
    for stop in (120, 40, 7):

        def stopping(self, batch, carried, left=[stop]):  # noqa: B006
            left[0] -= 1
            if left[0] == 0:
                raise ConnectionError
            return spoilt(self, batch, carried)

        monkeypatch.setattr(training_worker.Objective, "loss", stopping)
        with pytest.raises(ConnectionError):
            train(str(folder), **settings)
    monkeypatch.setattr(training_worker.Objective, "loss", spoilt)
    train(str(folder), **settings)
    assert_same_run(tmp_path / "whole", folder)


def until_interrupted(folder: str, told: Any, settings: dict) -> None:
    try:
        train(folder, wait=0.005, **settings)
    except Interrupted as error:
        told.send(str(error))
        sys.exit(error.exit_code)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    settings = {"max_steps": 300, "lr": 0.02}
    train(str(tmp_path / "whole"), **settings)
    folder = tmp_path / "stopped"
    receive, send = context.Pipe()
    process = context.Process(target=until_interrupted, args=(str(folder), send, settings))
    process.start()
    while not (folder / "metrics.jsonl").exists() or not (folder / "metrics.jsonl").stat().st_size:
        time.sleep(0.01)
        assert process.is_alive()
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130
    assert f"and saved. Go on with: elman resume {folder}" in receive.recv()
    train(str(folder), **settings)
    assert_same_run(tmp_path / "whole", folder)


def test_ctrl_c_in_a_run_without_a_folder():
    class Stopping(training_worker.Objective):
        def loss(self, batch, carried):
            os.kill(os.getpid(), signal.SIGINT)
            return super().loss(batch, carried)

    with pytest.raises(Interrupted, match="step 1; nothing was saved"):
        fit(Stopping(), training_worker.Rows(), Settings())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_saves_the_state_to_roll_back_to_as_well(tmp_path):

    class Stopping(training_worker.Objective):
        def loss(self, batch, carried):
            if self.model.seen == 70:
                os.kill(os.getpid(), signal.SIGINT)
            return super().loss(batch, carried)

    with pytest.raises(Interrupted):
        fit(Stopping(), training_worker.Rows(), Settings(), run=tmp_path)
    tree = checkpoint.unpack(*checkpoint.load(tmp_path / "checkpoints" / "last"))
    assert (tree["state"]["pace"]["step"], tree["good"]["pace"]["step"]) == (71, 50)


def test_a_finished_run_is_not_trained_on(tmp_path):
    settings = {"max_steps": 40, "lr": 0.02}
    _, first = train(str(tmp_path / "run"), **settings)
    before = bits(tmp_path / "run", "last")
    model, again = train(str(tmp_path / "run"), **settings)
    assert (again.steps, again.best, again.stopped) == (40, first.best, "max_steps")
    assert again.history == first.history
    after = bits(tmp_path / "run", "last")
    assert all(torch.equal(before[key], after[key]) for key in before)
    best = load_file(tmp_path / "run" / "checkpoints" / "best")
    assert all(torch.equal(best[k], v) for k, v in model.state_dict().items())


def test_a_run_can_be_given_more_steps(tmp_path):
    train(str(tmp_path / "run"), max_steps=40, lr=0.02, validate_every=20)
    _, more = train(str(tmp_path / "run"), max_steps=60, lr=0.02, validate_every=20)
    assert [row["step"] for row in more.history if "valid" in row] == [20, 40, 60]


def test_a_second_ctrl_c_does_not_wait():
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # at once: torchrun repeating the terminal
        assert interrupt.requested
        time.sleep(1.1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_is_not_written_over(tmp_path):
    train(str(tmp_path / "run"), max_steps=5)
    with pytest.raises(InputError, match="already holds a run"):
        train(str(tmp_path / "run"), resume=False, max_steps=5)


def test_resuming_with_nothing_there_is_a_start(tmp_path):
    one, _ = train(str(tmp_path / "run"), resume=True, max_steps=5)
    other, _ = train(None, resume=False, max_steps=5)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_another_model_is_refused(tmp_path):
    train(str(tmp_path / "run"), max_steps=5, optimizer="adam")
    with pytest.raises(InputError, match="does not fit this model and these settings"):
        train(str(tmp_path / "run"), max_steps=9, averaging="ema")
    objective = training_worker.Objective()
    objective.model.head = torch.nn.Linear(8, 3)
    with pytest.raises(InputError, match="does not fit this model"):
        fit(objective, training_worker.Rows(), Settings(), run=tmp_path / "run", resume=True)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    train(str(tmp_path / "run"), max_steps=5)
    last = tmp_path / "run" / "checkpoints" / "last"
    last.write_bytes(last.read_bytes()[:-10])
    with pytest.raises(InputError, match="truncated") as error:
        train(str(tmp_path / "run"), max_steps=9)
    assert str(last) in str(error.value)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunFailed, match="could not be written"):
        train(str(tmp_path / "run"), max_steps=5)


# Written by the commit before the parts of a run were one dict: 130 steps with a rollback from 90
# to 50, stopped at 114. To its end that commit took it with the two validations below.
FIRST_FORM = Path(__file__).parent / "runs" / "first_form"
FIRST_SETTINGS = {
    name: value for name, value in RICH.items() if name not in ("accumulate", "checkpoint_every")
}
FIRST_END = {121: 0.0991667811203254, 130: 0.035047164980126055}


def test_a_run_of_the_first_form_goes_on(tmp_path):
    folder = shutil.copytree(FIRST_FORM, tmp_path / "run")
    begun = rows(folder)
    _, fitted = train(str(folder), **FIRST_SETTINGS)
    assert (fitted.steps, fitted.best_step) == (130, 99)
    assert rows(folder)[: len(begun)] == begun
    end = {row["step"]: row["valid"]["mse"] for row in rows(folder)[len(begun) :]}
    assert end == pytest.approx(FIRST_END, rel=1e-4)
    assert fitted.seconds > 1.0  # of which one was spent before
    # It is of today's form now, and goes on once more.
    _, again = train(str(folder), **{**FIRST_SETTINGS, "max_steps": 140})
    assert again.steps == 140


def test_a_run_of_the_first_form_goes_back_to_its_good_state(tmp_path, monkeypatch):
    folder = shutil.copytree(FIRST_FORM, tmp_path / "run")
    original = training_worker.Objective.loss

    def spoilt(self, batch, carried):
        loss, terms, carried = original(self, batch, carried)
        here = not hasattr(self, "spoilt")
        self.spoilt = True
        return loss * (float("nan") if here else 1.0), terms, carried

    monkeypatch.setattr(training_worker.Objective, "loss", spoilt)
    train(str(folder), **FIRST_SETTINGS)
    *_, event = [row for row in rows(folder) if "event" in row]
    assert (event["step"], event["to"]) == (114, 100)
    assert "half the rate (2 of 3)" in event["what"]  # the first was before


def test_a_run_without_health_goes_on(tmp_path):
    folder = shutil.copytree(FIRST_FORM, tmp_path / "run")
    last = folder / "checkpoints" / "last"
    tree = checkpoint.unpack(*checkpoint.load(last))
    del tree["state"]["health"], tree["good"]["health"]
    checkpoint.save(last, *checkpoint.pack(tree))
    _, fitted = train(str(folder), **FIRST_SETTINGS)
    assert fitted.steps == 130

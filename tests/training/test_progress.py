import io
import math
from types import SimpleNamespace

import pytest

from elman.training import Display, Settings, Tick, fit
from elman.training import progress as module
from elman.training.progress import announced, doing, say, stages


def tick(**values):
    usual = {
        "step": 30, "epoch": 2, "fraction": 0.25, "seconds": 20.0, "loss": 1.23456,
        "lr": 1e-3, "rate": 12_345.0, "valid": {"mse": 0.5},
    }  # fmt: skip
    return Tick(**{**usual, **values})


def test_a_line():
    assert str(tick()) == (
        " 25%  step 30  epoch 3  loss 1.235  mse 0.5  lr 0.001  12.3k/s  1:00 left"
    )
    assert math.isnan(tick(fraction=0.0).left)
    losses = str(tick(loss=3_334_211.0, valid={"accuracy": 0.5, "loss": 0.25}))
    assert "loss 3,334,000  accuracy 0.5  validation loss 0.25  lr" in losses


def test_lines_now_and_then_where_there_is_no_terminal(monkeypatch):
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    stream = io.StringIO()
    display = Display(stream)
    for step in range(26):
        now = 100.0 + step
        display(tick(step=step))
    display(tick(step=26, message="Diverged"))
    display(tick(step=27, finished=True))
    lines = stream.getvalue().splitlines()
    assert [line.split("step ")[1].split()[0] for line in lines if "step" in line] == [
        "0", "10", "20", "27",
    ]  # fmt: skip
    assert "Diverged" in lines


def test_a_bar_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    display = Display(stream)
    display(tick())
    display(tick(fraction=1.0, message="Back to step 0", finished=True))
    assert "━" in stream.getvalue()
    assert "Back to step 0" in stream.getvalue()
    assert display.bar is None


def test_a_run_shows_itself(line, draws, capsys):
    fit(line(), draws(), Settings(epochs=3), progress=Display())
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "100%  step 30  epoch 3" in shown.err
    fit(line(), draws(), Settings(epochs=3))
    assert capsys.readouterr().err == ""


def test_a_run_that_fails_lets_go_of_the_terminal(line, draws, monkeypatch):
    monkeypatch.setattr("elman.training.meter.TICK_SECONDS", 0.0)

    def broken(call):
        if call == 300:
            raise ConnectionError

    ticks = []
    with pytest.raises(ConnectionError):
        fit(line(spoil=broken), draws(), Settings(epochs=1000), progress=ticks.append)
    assert [tick.finished for tick in ticks] == [False] * (len(ticks) - 1) + [True]


@pytest.mark.parametrize(("steps", "epoch"), [(7, 1), (10, 1), (11, 2), (20, 2), (25, 3)])
def test_the_last_line_names_the_epoch_that_it_is_in(line, draws, steps, epoch):
    ticks = []
    fit(line(), draws(length=10), Settings(max_steps=steps), progress=ticks.append)
    assert f"step {steps}  epoch {epoch} " in str(ticks[-1])


def test_the_rate_is_that_of_training_to_the_end(line, draws, monkeypatch):
    monkeypatch.setattr("elman.training.meter.TICK_SECONDS", 0.0)
    clock = [0.0]
    monkeypatch.setattr("elman.training.pace.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def takes(seconds):
        clock[0] += seconds

    slow = line(spoil=lambda call: takes(0.004))
    looked = slow.validate
    slow.validate = lambda: (takes(0.3), looked())[1]
    ticks = []
    fit(slow, draws(length=10, rows=8), Settings(max_steps=30), progress=ticks.append)
    rates = [tick.rate for tick in ticks]
    # 8 terms in 4 ms: a validation of 0.3 s would make it 27 a second.
    assert all(100 < rate < 4000 for rate in rates[1:])
    assert rates[-1] == rates[-2]


def test_a_run_that_goes_on_says_from_where(line, draws, tmp_path):
    told = []

    def seen(tick):
        told.extend([tick.message] if tick.message else [])

    settings = Settings(max_steps=5)
    fit(line(), draws(), settings, run=tmp_path / "fresh", progress=seen)
    assert told == []
    fit(line(), draws(), settings, run=tmp_path / "new", resume=True, progress=seen)
    assert told == ["Going on from step 0: nothing had been saved yet."]
    longer = Settings(max_steps=8)
    fit(line(), draws(), longer, run=tmp_path / "new", resume=True, progress=seen)
    assert told[1:] == ["Going on from step 5."]


def test_stages_have_a_line_each(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()

    def baselines():
        for name, took in (("majority", 0.1), ("ridge regression", 2.25)):
            now[0] += took
            yield name, took

    with stages(True, stream):
        say("Judging.")
        with doing("scoring the model"):
            now[0] += 1.0
        with doing("nothing"):
            pass
        assert dict(announced(baselines())) == {"majority": 0.1, "ridge regression": 2.25}
    with doing("after it"):
        now[0] += 9.0
    with stages(False, stream), doing("in quiet"):
        now[0] += 9.0
    assert stream.getvalue().splitlines() == [
        "Judging.",
        "scoring the model: 1.0 s",
        "baseline ridge regression: 2.2 s",
    ]


def test_a_stage_that_fails_lets_go_of_the_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with pytest.raises(ConnectionError), stages(True, stream), doing("reading"):
        raise ConnectionError
    say("not shown")
    assert "reading" in stream.getvalue()
    assert "not shown" not in stream.getvalue()

import io
import math

import pytest

from elman.training import Display, Settings, Tick, fit
from elman.training import progress as module


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

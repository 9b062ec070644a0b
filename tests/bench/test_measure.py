"""What the benchmark computes from what it measures. No test here looks at a time."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from elman.bench import Goal, Note, Report, Row, Settings, markdown, picture
from elman.bench.layers import QUICK, layers
from elman.bench.measure import Spread, Timed, compare, relative_difference, step_of
from elman.bench.own_cells import CELLS, loop, scanned_gru, scanned_lstm
from elman.bench.session import GROUPS, run
from elman.cells import MinGRU, MinLSTM
from elman.errors import InputError
from elman.kernels import run as over_time

ROWS = [
    Row("layers", "LSTM inference", "1,2,3,4", 2, 2.0, low=1.8, high=2.5, goal=Goal("≥", 1.0)),
    Row("layers", "LSTM inference", "1,2,3,4", 1, 0.5, peer="torch.nn.LSTM", ours=2e-3, share=0.5),
    Row("first_use", "first call", "", 2, 4.0, "s", goal=Goal("≤", 3.0)),
    Row("memory", "peak", "", 2, 0.9, "of the peer's", ours=9e6, theirs=1e7),
]
REPORT = Report(
    {"cpu": "one", "cores": 2, "target": "sse", "torch": "2", "compiler": None, "date": "today"},
    {},
    ROWS,
    [Note("stream", "not there")],
)


def test_ratios_are_taken_turn_by_turn():
    timed = Timed({"ours": [1.0, 2.0, 4.0], "peer": [2.0, 6.0, 4.0]}, "cpu", {})
    assert timed.ratio("peer", "ours") == Spread(2.0, 1.5, 2.5)
    assert timed.median("peer") == 4.0
    assert timed.ratio("peer", "ours").times(2).median == 4.0


def test_contenders_take_turns():
    order = []

    def step(name):
        return lambda: order.append(name) or [torch.ones(2)]

    timed = compare(Settings(rounds=3, quick=True), {n: step(n) for n in "ab"}, {"c": step("c")})
    assert "".join(order) == "ab" + "abc" * 3
    assert timed.difference == {"b": 0.0}
    assert {name: len(found) for name, found in timed.seconds.items()} == dict.fromkeys("abc", 3)


def test_training_gives_output_and_every_gradient():
    layer, x = torch.nn.Linear(3, 2), torch.randn(4, 3, requires_grad=True)
    step = step_of("training", lambda: layer(x), layer, x, torch.ones(4, 2))
    assert [tuple(t.shape) for t in step()] == [(4, 2), (4, 3), (2, 3), (2,)]
    assert all(p.grad is None for p in layer.parameters())


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_is_compiled_and_right(name):
    torch.manual_seed(0)
    cell, x = CELLS[name](3, 5), torch.randn(7, 2, 3)
    assert relative_difference([over_time(cell, x, backend="cpu").output], [loop(cell, x)]) < 1e-5


@pytest.mark.parametrize(("cell", "scan"), [(MinGRU, scanned_gru), (MinLSTM, scanned_lstm)])
def test_a_scan_is_the_loop(cell, scan):
    torch.manual_seed(0)
    cell, x = cell(3, 5, positive=True).double(), torch.randn(30, 2, 3, dtype=torch.float64)
    assert relative_difference([scan(cell, x)], [loop(cell, x)]) < 1e-10


def test_layers_have_a_summary_with_the_goals():
    rows = list(layers(Settings(rounds=1, quick=True), 2))
    named = {row.work: row for row in rows}
    mean, worst = named["GRU training, geometric mean"], named["GRU training, worst"]
    found = [row.value for row in rows if row.work == "GRU training"]
    assert len(found) == len(QUICK)
    assert worst.value == min(found)
    assert math.isclose(mean.value, math.prod(found) ** (1 / len(found)))
    assert mean.goal == Goal("≥", 4.0)
    assert worst.goal == Goal("≥", 1.35)
    assert all(row.difference < 1e-4 for row in rows if row.difference is not None)


def test_a_report_survives_json():
    again = Report.from_json(REPORT.to_json())
    assert again == REPORT
    nothing = dataclasses.replace(ROWS[0], value=math.nan)
    assert nothing.to_json()["value"] is None
    assert math.isnan(Row.from_json(nothing.to_json()).value)
    with pytest.raises(ValueError, match="format"):
        Report.from_json(REPORT.to_json() | {"format": 0})


def test_markdown_says_what_was_missed_and_left_out():
    text = markdown(REPORT)
    assert "| LSTM inference | 1,2,3,4 | 2 |  |  | 2× | 1.8–2.5 | ≥ 1 |  |" in text
    assert "≤ 3 (missed)" in text
    assert "| 9 MB | 10 MB | 0.9 of the peer's |" in text
    assert "- not there" in text


@pytest.mark.parametrize(("kind", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_pictures(kind, begins):
    assert picture(REPORT, kind).startswith(begins)
    assert picture(REPORT, kind) == picture(REPORT, kind)
    assert picture(dataclasses.replace(REPORT, rows=[]), kind).startswith(begins)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_leaves_rows_or_says_why_not(group):
    told = []
    report = run([group], Settings(rounds=1, quick=True), [1], told.append)
    assert not report.failures
    assert len(told) == len(report.rows) + len(report.notes) > 0
    assert report.groups() == [group]


def test_flushed_denormals_stand_beside():
    rows = run(["layers"], Settings(rounds=1, quick=True, flush_denormal=True), [1]).rows
    flushed = [row for row in rows if row.peer.endswith("denormals flushed")]
    assert len(flushed) == len(rows) / 2


def test_a_group_that_breaks_off_and_ctrl_c_lose_nothing(monkeypatch):
    with pytest.raises(InputError, match="'lengths'"):
        run(["length"])

    def broken(settings, threads):
        yield ROWS[0]
        raise ValueError("no")

    def stopped(settings, threads):
        yield ROWS[1]
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    for name, measure in {"scan": broken, "memory": stopped, "peers": broken}.items():
        monkeypatch.setitem(GROUPS, name, dataclasses.replace(GROUPS[name], measure=measure))
    report = run(["scan", "memory", "peers"], Settings(rounds=1, quick=True), [1])
    assert report.rows == ROWS[:2]
    assert report.failures == ["scan: ValueError: no"]
    assert report.interrupted
    assert torch.get_num_threads() == before

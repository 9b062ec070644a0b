"""What the benchmark computes from what it measures. No test here looks at a time."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from elman.bench import machine
from elman.bench.layers import QUICK, layers, row_of
from elman.bench.measure import (
    Spread,
    Timed,
    compare,
    multiply_adds,
    operations,
    relative_difference,
    step_of,
)
from elman.bench.own_cells import CELLS, loop, scanned_gru, scanned_lstm
from elman.bench.picture import picture
from elman.bench.report import COLUMNS, FLUSHED, OF_PEER, Goal, Note, Report, Row, markdown
from elman.bench.session import GROUPS, run
from elman.bench.settings import Settings
from elman.cells import MinGRU, MinLSTM, make
from elman.errors import ElmanError, InputError
from elman.kernels import run as over_time
from elman.kernels.emit import TARGETS

ROWS = [
    Row("layers", "LSTM inference", "1,2,3,4", 2, 2.0, low=1.8, high=2.5, goal=Goal("≥", 1.0)),
    Row("layers", "LSTM inference", "1,2,3,4", 1, 0.5, peer="torch.nn.LSTM", ours=2e-3, share=0.5),
    Row("first_use", "first call", "", 2, 4.0, "s", goal=Goal("≤", 3.0)),
    Row("memory", "peak", "", 2, 0.9, OF_PEER, ours=9e6, theirs=1e7),
]
TINY = Settings(rounds=1, quick=True)
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


@pytest.mark.fuzz
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


@pytest.fixture
def rates(monkeypatch):
    """A machine of 1 GFLOP/s a thread, and twice that in bfloat16."""
    monkeypatch.setattr(machine, "multiply_add_rate", lambda threads: 1e9 * threads)
    monkeypatch.setattr(machine, "dot_rate", lambda threads: 2e9 * threads)


def test_operations_are_those_of_all_products():
    assert multiply_adds(make("gru_cho", 3, 2)) == multiply_adds(torch.nn.GRU(3, 2)) == 30
    assert operations("inference", torch.nn.RNN(3, 2), rows=7) == 2 * 7 * 10
    assert operations("training", torch.nn.RNN(3, 2), rows=7) == 3 * 2 * 7 * 10


def test_the_machine_allows_the_time_of_the_arithmetic_and_no_more(rates):
    timed = Timed({"ours": [4.0], "peer": [6.0]}, "cpu", {})
    row = row_of(timed, "layers", "", "", 2, peer="torch", operations=4e9)
    assert (row.value, row.share, row.allowed) == (1.5, 0.5, 3.0)
    half = row_of(timed, "bf16", "", "", 2, peer="torch", operations=4e9, half=True)
    assert (half.share, half.allowed) == (0.25, 6.0)
    unknown = row_of(timed, "stream", "", "", 2, peer="torch")
    assert unknown.share is unknown.allowed is None


def test_bfloat16_without_dot_products_has_the_limit_of_multiply_adds(rates, monkeypatch):
    monkeypatch.setattr(machine, "dot_rate", lambda threads: None)
    assert machine.least_seconds(4e9, 2, half=True) == machine.least_seconds(4e9, 2) == 2.0


def test_without_a_compiler_no_limit_is_known(monkeypatch):
    def refuse():
        raise ElmanError("no compiler")

    monkeypatch.setattr(machine, "_program", refuse)
    machine.multiply_add_rate.cache_clear()
    assert machine.least_seconds(1.0, 1) is None
    (note,) = machine.measure(TINY, 1)
    assert note == Note("limits", "not measured: no compiler")


def test_limits_are_measured_once_and_dot_products_where_there_are_some():
    found = {row.work: row.value for row in machine.measure(TINY, 1)}
    assert found["multiply-adds, float32"] == machine.multiply_add_rate(1) / 1e9
    rate = machine.dot_rate(1)
    assert found.get("dot products, bfloat16") == (rate and rate / 1e9)


def test_the_target_decides_whether_there_are_dot_products(monkeypatch):
    monkeypatch.setattr(machine, "best_target", lambda: TARGETS["sse"])
    machine.dot_rate.cache_clear()
    assert machine.dot_rate(1) is None
    machine.dot_rate.cache_clear()


@pytest.mark.parametrize(
    ("group", "work", "expected"),
    [
        ("lengths", "half-filled LSTM training", 3 * 2 * 7 * 4 * 8 * (3 + 8)),
        ("bf16", "LSTM inference in bf16", 2 * 5 * 2 * 4 * 8 * (8 + 8) / 2),
        pytest.param(
            "cells",
            "reset-before GRU inference",
            2 * 5 * 2 * 3 * 8 * (3 + 8),
            marks=pytest.mark.slow,
        ),
        pytest.param("layers", "RNN training", 3 * 2 * 5 * 2 * 8 * (3 + 8), marks=pytest.mark.slow),
    ],
)
def test_groups_know_their_arithmetic(rates, group, work, expected):
    """The operations of a call, of valid steps alone; those in bfloat16 take half the time."""
    row = next(row for row in run([group], TINY, [1]).rows if row.work == work)
    assert math.isclose(row.share * row.ours, expected / 1e9)
    assert math.isclose(row.allowed, row.theirs / row.ours / row.share)


def test_peers_compute_the_same():
    pytest.importorskip("jax")
    pytest.importorskip("onnxruntime")
    rows = run(["peers"], TINY, [1]).rows
    assert len(rows) == 3
    assert max(row.difference for row in rows) < 1e-5
    assert all(row.allowed for row in rows)


@pytest.mark.fuzz
def test_layers_have_a_summary_with_the_goals():
    rows = list(layers(TINY, 2))
    named = {row.work: row for row in rows}
    mean, worst = named["GRU training, geometric mean"], named["GRU training, worst"]
    found = [row.value for row in rows if row.work == "GRU training"]
    assert len(found) == len(QUICK)
    assert worst.value == min(found)
    assert math.isclose(mean.value, math.prod(found) ** (1 / len(found)))
    assert mean.goal == Goal("≥", 4.0)
    assert worst.goal == Goal("≥", 1.35)
    allowed = {row.value: row.allowed for row in rows if row.work == "GRU training"}
    assert worst.allowed == allowed[worst.value]
    assert math.isclose(mean.allowed, math.prod(allowed.values()) ** (1 / len(allowed)))
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


@pytest.mark.parametrize(
    ("sign", "number", "allowed", "expected"),
    [
        ("≥", 1.0, 9.0, "≥ 1"),
        ("≥", 1.0, 0.5, "≥ 1"),
        ("≥", 3.0, 9.0, "≥ 3 (missed)"),
        ("≥", 3.0, 2.9, "≥ 3 (missed; beyond this machine)"),
        ("≥", 3.0, None, "≥ 3 (missed)"),
        ("≤", 1.0, 0.5, "≤ 1 (missed)"),
    ],
)
def test_what_is_beyond_the_machine_is_said_to_be(sign, number, allowed, expected):
    row = dataclasses.replace(ROWS[0], goal=Goal(sign, number), allowed=allowed)
    texts = row.texts()
    assert texts[COLUMNS.index("to reach")] == expected
    assert texts[COLUMNS.index("the machine allows")] == (f"{allowed:g}×" if allowed else "")
    assert row.beyond == ("beyond" in expected)


def test_a_picture_is_small_and_says_it_in_words():
    shapes = [f"{n},32,128,128" for n in range(40)]
    rows = [
        dataclasses.replace(ROWS[0], work=work, shape=shape, threads=threads, peer=peer, allowed=9)
        for work in ("LSTM inference", "GRU training", "RNN inference")
        for shape in shapes
        for threads in (2, 1)
        for peer in ("torch", f"torch{FLUSHED}")
    ]
    drawn = picture(dataclasses.replace(REPORT, rows=rows)).decode()
    assert len(drawn) < 150_000
    for text in (*shapes, "RNN beside torch", "missed, beyond this machine"):
        assert f">{text}</text>" in drawn


def test_missed_points_are_red_and_hollow_beyond_the_machine():
    def drawn(**changes):
        row = dataclasses.replace(ROWS[0], **changes)
        return picture(dataclasses.replace(REPORT, rows=[row])).decode()

    reached, missed = drawn(), drawn(goal=Goal("≥", 3.0))
    beyond = drawn(goal=Goal("≥", 3.0), allowed=2.5)
    assert [text.count("fill: #c0392b") for text in (reached, missed, beyond)] == [1, 2, 1]
    assert [text.count("fill: #ffffff; stroke: #c0392b") for text in (reached, missed, beyond)] == [
        1, 1, 2,
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_pictures(kind, begins):
    assert picture(REPORT, kind).startswith(begins)
    assert picture(REPORT, kind) == picture(REPORT, kind)
    assert picture(dataclasses.replace(REPORT, rows=[]), kind).startswith(begins)


LONG = ("memory", "first_use")
"""Groups that start processes or fill memory."""


@pytest.mark.parametrize(
    "group",
    [pytest.param(g, marks=pytest.mark.slow if g in LONG else pytest.mark.fuzz) for g in GROUPS],
)
def test_every_group_leaves_rows_or_says_why_not(group):
    told = []
    report = run([group], TINY, [1], told.append)
    assert not report.failures
    assert len(told) == len(report.rows) + len(report.notes) > 0
    assert report.groups() == [group]


@pytest.mark.slow
def test_flushed_denormals_stand_beside():
    rows = run(["layers"], Settings(rounds=1, quick=True, flush_denormal=True), [1]).rows
    flushed = [row for row in rows if row.peer.endswith(FLUSHED)]
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
    report = run(["scan", "memory", "peers"], TINY, [1])
    assert report.rows == ROWS[:2]
    assert report.failures == ["scan: ValueError: no"]
    assert report.interrupted
    assert torch.get_num_threads() == before

"""Batches and streams: every example once, an order that follows from (seed, epoch), resuming."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import Batches, CarriedBatch, CarriedBatches, bucketed, ordered, shuffled
from elman.errors import InputError


def plan_of(kind: str, lengths: list[int], size: int) -> Any:
    if kind == "bucketed":
        return bucketed(lengths, size, pool=3)
    return (shuffled if kind == "shuffled" else ordered)(len(lengths), size)


def batches_of(kind: str, lengths: list[int], size: int, seed: int, **ranks: int) -> Batches[Any]:
    return Batches(plan_of(kind, lengths, size), np.ndarray.tolist, seed=seed, **ranks)


KINDS = st.sampled_from(["shuffled", "bucketed", "ordered"])
LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=60)
SIZES = st.integers(1, 9)


@settings(deadline=None, max_examples=50)
@given(KINDS, LENGTHS, SIZES, st.integers(0, 5))
def test_each_example_once_an_epoch(kind: str, lengths: list[int], size: int, seed: int) -> None:
    batches = batches_of(kind, lengths, size, seed)
    for _ in range(2):
        epoch = list(batches)
        assert sorted(itertools.chain(*epoch)) == list(range(len(lengths)))
        assert len(epoch) == len(batches)
        assert max(map(len, epoch)) <= size
    assert batches.state_dict() == {"epoch": 2, "position": 0}


@settings(deadline=None, max_examples=50)
@given(KINDS, LENGTHS, SIZES, st.integers(0, 5), st.integers(0, 3))
def test_the_order_follows_from_seed_and_epoch_alone(
    kind: str, lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    walked = batches_of(kind, lengths, size, seed)
    for _ in range(epoch):
        list(walked)
    jumped = batches_of(kind, lengths, size, seed)
    jumped.load_state_dict({"epoch": epoch, "position": 0})
    assert list(walked) == list(jumped)


@settings(deadline=None, max_examples=50)
@given(KINDS, LENGTHS, SIZES, st.data())
def test_resuming_in_mid_epoch_goes_on_identically(
    kind: str, lengths: list[int], size: int, data: st.DataObject
) -> None:
    whole = batches_of(kind, lengths, size, 7)
    expected = [*whole, *whole]
    stop = data.draw(st.integers(0, len(expected)))
    first = batches_of(kind, lengths, size, 7)
    endless = itertools.chain.from_iterable(itertools.repeat(first))
    got = list(itertools.islice(endless, stop))
    second = batches_of(kind, lengths, size, 7)
    second.load_state_dict(first.state_dict())
    rest = itertools.chain.from_iterable(itertools.repeat(second))
    got += itertools.islice(rest, len(expected) - stop)
    assert got == expected


@settings(deadline=None, max_examples=50)
@given(KINDS, LENGTHS, SIZES, st.integers(1, 5))
def test_ranks_partition_each_global_batch(
    kind: str, lengths: list[int], size: int, world: int
) -> None:
    alone = list(batches_of(kind, lengths, size, 3))
    shared = [
        list(batches_of(kind, lengths, size, 3, rank=rank, world_size=world))
        for rank in range(world)
    ]
    assert [list(itertools.chain(*parts)) for parts in zip(*shared, strict=True)] == alone
    for parts in zip(*shared, strict=True):
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_epochs_and_seeds_have_different_orders() -> None:
    batches = batches_of("shuffled", [1] * 50, 5, 0)
    first, second = list(batches), list(batches)
    other = list(batches_of("shuffled", [1] * 50, 5, 1))
    assert first != second
    assert first != other
    ordered_batches = batches_of("ordered", [1] * 5, 2, 0)
    assert list(ordered_batches) == list(ordered_batches) == [[0, 1], [2, 3], [4]]


def test_a_bucket_holds_similar_lengths_and_changes() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, size=2000)
    batches = Batches(bucketed(lengths, 20), np.asarray, seed=0)

    def padded(epoch: list[np.ndarray]) -> float:
        cells = sum(len(b) * lengths[b].max() for b in epoch)
        return float(cells / lengths.sum()) - 1

    first, second = list(batches), list(batches)
    assert padded(first) < 0.05
    assert padded(list(Batches(shuffled(2000, 20), np.asarray, seed=0))) > 0.7
    neighbours = {frozenset(b.tolist()) for b in first} & {frozenset(b.tolist()) for b in second}
    assert not neighbours
    # Short batches do not all come first.
    means = [lengths[b].mean() for b in first]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_the_position_is_advanced_before_a_batch_is_handed_out() -> None:
    batches = batches_of("ordered", [1] * 4, 2, 0)
    places = [batches.state_dict() for _ in batches]
    assert places == [{"epoch": 0, "position": 1}, {"epoch": 0, "position": 2}]
    batches.load_state_dict({"epoch": 0, "position": 2})
    assert list(batches) == []
    assert batches.state_dict() == {"epoch": 1, "position": 0}


def test_wrong_sizes_are_explained() -> None:
    with pytest.raises(InputError, match="no examples"):
        shuffled(0, 4)
    with pytest.raises(InputError, match="at least one example"):
        bucketed([3, 4], 0)
    with pytest.raises(InputError, match="Rank 2 does not exist among 2"):
        batches_of("ordered", [1], 1, 0, rank=2, world_size=2)


# Streams


def rows_of(windows: list[CarriedBatch]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets `(row, step)` with each window's context taken off."""
    inputs = torch.cat([w.inputs[w.context :] for w in windows]).numpy().T
    targets = torch.cat([w.targets[w.context :] for w in windows]).numpy().T
    return inputs, targets


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 200), st.integers(1, 6), st.integers(1, 9), st.integers(0, 9))
def test_rows_are_contiguous_and_targets_are_one_ahead(
    n: int, rows: int, k1: int, more: int
) -> None:
    if n <= rows:
        return
    tokens = np.arange(n, dtype=np.uint16)
    stream = CarriedBatches(tokens, rows, k1, k1 + more)
    windows = list(stream)
    assert len(windows) == len(stream)
    inputs, targets = rows_of(windows)
    length = (n - 1) // rows
    expected = np.arange(rows * length).reshape(rows, length)
    np.testing.assert_array_equal(inputs, expected)
    np.testing.assert_array_equal(targets, expected + 1)
    for window in windows:
        assert torch.equal(window.targets, window.inputs + 1)
        assert len(window.inputs) <= k1 + more
        assert window.inputs.dtype == torch.int64
    assert [w.first for w in windows] == [True] + [False] * (len(windows) - 1)


def test_context_repeats_the_steps_before() -> None:
    windows = list(CarriedBatches(np.arange(9), 1, 2, 5))
    assert [w.inputs[:, 0].tolist() for w in windows] == [
        [0, 1], [0, 1, 2, 3], [1, 2, 3, 4, 5], [3, 4, 5, 6, 7],
    ]  # fmt: skip
    assert [w.context for w in windows] == [0, 2, 3, 3]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=12), st.integers(1, 3), st.integers(1, 5))
def test_a_reset_stands_where_a_document_begins(sizes: list[int], rows: int, k1: int) -> None:
    starts = np.cumsum([0, *sizes[:-1]])
    n = sum(sizes)
    if n <= rows:
        return
    windows = list(CarriedBatches(np.arange(n), rows, k1, k1 + 2, starts=starts))
    for window in windows:
        expected = np.isin(window.inputs.numpy(), starts)
        np.testing.assert_array_equal(window.reset.numpy(), expected)
    assert not any(w.reset.any() for w in CarriedBatches(np.arange(n), rows, k1))


@settings(deadline=None, max_examples=50)
@given(st.integers(20, 80), st.integers(2, 6), st.integers(1, 4), st.integers(1, 4))
def test_ranks_share_the_rows_of_a_stream(n: int, rows: int, k1: int, world: int) -> None:
    if world > rows:
        return
    starts = np.arange(0, n, 7)
    alone = list(CarriedBatches(np.arange(n), rows, k1, starts=starts))
    shared = [
        list(CarriedBatches(np.arange(n), rows, k1, starts=starts, rank=r, world_size=world))
        for r in range(world)
    ]
    for whole, *parts in zip(alone, *shared, strict=True):
        assert torch.equal(torch.cat([p.inputs for p in parts], 1), whole.inputs)
        assert torch.equal(torch.cat([p.targets for p in parts], 1), whole.targets)
        assert torch.equal(torch.cat([p.reset for p in parts], 1), whole.reset)


def test_a_stream_resumes_in_mid_epoch() -> None:
    tokens = np.random.default_rng(0).integers(0, 50, 100)
    whole = list(CarriedBatches(tokens, 3, 4, 6))
    first = CarriedBatches(tokens, 3, 4, 6)
    got = [window for _, window in zip(range(3), first, strict=False)]
    second = CarriedBatches(tokens, 3, 4, 6)
    second.load_state_dict(first.state_dict())
    got += list(second)
    assert second.state_dict() == {"epoch": 1, "position": 0}
    assert [w.inputs.tolist() for w in got] == [w.inputs.tolist() for w in whole]
    assert [w.first for w in got] == [w.first for w in whole]


def test_a_stream_that_cannot_be_is_explained() -> None:
    with pytest.raises(InputError, match=r"too few for 5 rows\. Set batch_size to at most 4"):
        CarriedBatches(np.arange(5), 5, 2)
    with pytest.raises(InputError, match="k2 >= k1"):
        CarriedBatches(np.arange(50), 5, 4, 2)
    with pytest.raises(InputError, match="cannot be shared by 3 processes"):
        CarriedBatches(np.arange(50), 2, 4, world_size=3)

"""Training in segments of time: the same gradients from fewer kept numbers."""

from __future__ import annotations

import copy

import pytest
import torch

import elman.nn
from elman.cells import GRU
from elman.errors import InputError, SlowPathWarning
from elman.kernels import packing, record, run, settings
from elman.kernels.memory import Lease

CALLS = {
    "whole": {},
    "lengths": {"lengths": [30, 7, 0, 19]},
    "reset": {"reset": torch.arange(120).view(30, 4) % 7 == 3},
}


def gradients(layer, x, **call):
    x = x.clone().requires_grad_()
    given = tuple(
        torch.full((x.shape[1], n), 0.3, dtype=x.dtype, requires_grad=True)
        for n in layer.cells[0].state_sizes
    )
    states = [given] * len(layer.cells)
    with record() as ran:
        y, final = layer(x, states, **call)
    assert {c.backend for c in ran} == {"cpu"}
    torch.manual_seed(1)
    loss = (y * torch.randn_like(y)).sum()
    loss = loss + sum((s * torch.randn_like(s)).sum() for part in final for s in part)
    return [y, *torch.autograd.grad(loss, [x, *given, *layer.parameters()])]


@pytest.mark.parametrize("segment", [1, 4, 7, 29, 30, 100])
@pytest.mark.parametrize("which", CALLS)
@pytest.mark.parametrize("kind", ["lstm", "gru", "jordan", "minlstm"])
def test_segments_give_what_a_whole_sequence_gives(kind, which, segment):
    torch.manual_seed(0)
    whole = elman.nn.Recurrent(kind, 5, 9, bidirectional=True, dtype=torch.float64)
    cut = copy.deepcopy(whole)
    cut.keep_every = segment
    x = torch.randn(30, 4, 5, dtype=torch.float64)
    found = gradients(cut, x, **CALLS[which])
    for a, b in zip(found, gradients(whole, x, **CALLS[which]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def kept(segment, steps):
    """The most numbers leased at a time, in one forward and backward pass."""
    layer = elman.nn.LSTM(4, 8, keep_every=segment)
    most = now = 0
    begin, end = Lease.__init__, Lease.__del__

    def count(lease, numbers, like):
        nonlocal now, most
        begin(lease, numbers, like)
        lease.flat = lease.flat[:numbers]
        now += numbers
        most = max(most, now)

    def uncount(lease):
        nonlocal now
        now -= len(lease.flat)
        end(lease)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lease, "__init__", count)
        patch.setattr(Lease, "__del__", uncount)
        layer(torch.randn(steps, 2, 4))[0].sum().backward()
    assert now == 0
    return most


def test_what_is_kept_grows_with_the_segment_and_not_with_time():
    assert kept(10, 100) == kept(10, 400)
    assert kept(None, 400) == 4 * kept(None, 100) == 40 * kept(10, 100)


def test_too_little_memory_makes_segments_by_itself(monkeypatch):
    layer, x = elman.nn.GRU(4, 8), torch.randn(400, 2, 4, requires_grad=True)
    whole = torch.autograd.grad(layer(x)[0].square().sum(), x)[0]
    monkeypatch.setattr(settings, "training_memory", 10_000)
    found = layer(x)[0]
    assert "_Recomputed" in str(found.grad_fn.next_functions) + str(found.grad_fn)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), x)[0], whole)


def test_a_second_derivative_goes_to_the_reference_aloud():
    layer = elman.nn.Recurrent("lstm", 3, 4, keep_every=3, dtype=torch.float64)
    x = torch.randn(7, 2, 3, dtype=torch.float64, requires_grad=True)
    with pytest.warns(SlowPathWarning, match="second derivative"):
        assert torch.autograd.gradgradcheck(lambda v: layer(v)[0], (x,), atol=1e-6)


def test_no_segment_is_no_step():
    for make in (
        lambda: elman.nn.LSTM(2, 3, keep_every=0),
        lambda: elman.nn.Recurrent("gru", 2, 3, keep_every=0),
    ):
        with pytest.raises(InputError, match="keep_every must be at least 1"):
            make()


def test_a_weight_written_to_past_torchs_count_is_packed_anew():
    layer, x = elman.nn.LSTM(8, 8), torch.randn(5, 2, 8)
    with torch.no_grad():
        before = layer(x)[0]
        assert torch.equal(layer(x)[0], before)
        version = layer.weight_hh_l0._version
        layer.weight_hh_l0.data.view(-1)[37] += 1e-3
        assert layer.weight_hh_l0._version == version
        assert not torch.equal(layer(x)[0], before)
        layer.weight_hh_l0.data[:2] = layer.weight_hh_l0.data[:2].flip(0)
        changed = layer(x)[0]
    torch.testing.assert_close(changed, layer(x)[0].detach())


def test_what_is_kept_of_weights_is_bounded(monkeypatch):
    monkeypatch.setattr(packing, "KEPT", 20_000)
    x = torch.randn(5, 2, 16)
    with torch.no_grad():
        for _ in range(8):
            elman.nn.GRU(16, 16)(x)
    assert sum(t.nbytes for _, t in packing._known.values()) <= 20_000


@pytest.mark.parametrize("hidden", [4, 128])
@pytest.mark.parametrize("lengths", [None, [20, 0, 13, 40, 7, 40, 1, 39]])
def test_memory_of_results_is_not_used_again_while_they_are_seen(hidden, lengths):
    layer, x = elman.nn.LSTM(3, hidden), torch.randn(40, 8, 3)
    with torch.no_grad():
        output = layer(x, lengths=lengths)[0]
        kept, wanted = output[5:7], output[5:7].clone()
        del output
        layer(-x, lengths=lengths)
        assert torch.equal(kept, wanted)
        assert torch.equal(layer(x, lengths=lengths)[0][5:7], wanted)


@pytest.mark.parametrize("hidden", [4, 128])
def test_a_result_changed_in_place_is_noticed(hidden):
    layer, x = elman.nn.LSTM(3, hidden), torch.randn(40, 8, 3, requires_grad=True)
    output = layer(x)[0]
    output.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_a_first_state_of_ones_own_is_in_the_gradients():
    cell, x = GRU(3, 4), torch.randn(5, 2, 3)
    begun = torch.randn(2, 4)
    found = []
    for backend in ("cpu", "reference"):
        cell.zero_grad()
        cell.init_state = lambda batch, device=None, dtype=None: (begun,)
        run(cell, x, backend=backend).output.sum().backward()
        found.append(cell.U.weight.grad.clone())
    torch.testing.assert_close(*found)

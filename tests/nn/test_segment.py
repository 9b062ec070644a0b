"""Forecasting models: their equations, their normalisation, and what they may not see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from elman.errors import InputError
from elman.nn import Recurrent
from elman.nn.segment import DirectForecaster, SegmentForecaster
from elman.nn.window_norm import NORMS, WindowNorm


@pytest.mark.parametrize("kind", NORMS)
def test_normalisation_is_undone_by_its_inverse(kind: str) -> None:
    torch.manual_seed(0)
    norm = WindowNorm(3, kind)  # type: ignore[arg-type]
    if kind == "revin":
        with torch.no_grad():
            norm.gain.copy_(torch.tensor([0.5, 2.0, -1.0]))
            norm.offset.copy_(torch.tensor([1.0, 0.0, 3.0]))
    past = torch.randn(4, 10, 3) * 5 + 100
    x, taken = norm(past)
    torch.testing.assert_close(norm.inverse(x, taken), past)
    # With an axis of outputs more, each output is put back alike.
    both = norm.inverse(torch.stack([x, x], dim=-1), taken)
    torch.testing.assert_close(both, torch.stack([past, past], dim=-1))


def test_standard_windows_have_no_mean_and_unit_spread() -> None:
    past = torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0)) * 7 + 3
    x, _ = WindowNorm(2, "standard")(past)
    torch.testing.assert_close(x.mean(1), torch.zeros(2, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(1, unbiased=False), torch.ones(2, 2), atol=1e-5, rtol=0)


def test_a_constant_window_stays_finite() -> None:
    x, taken = WindowNorm(1, "revin")(torch.full((1, 5, 1), 7.0))
    assert torch.isfinite(x).all()
    torch.testing.assert_close(
        WindowNorm(1, "standard").inverse(x, taken), torch.full((1, 5, 1), 7.0)
    )


def by_hand(model: SegmentForecaster, past: Tensor) -> Tensor:
    """SegRNN as its paper writes it, one window and channel at a time, with torch's own cell."""
    w, d = model.segment, model.place.shape[1]
    cell = torch.nn.GRUCell(2 * d, 2 * d)
    own = model.recurrent.cells[0]
    cell.load_state_dict(
        {
            "weight_ih": own.W.weight,
            "weight_hh": own.U.weight,
            "bias_ih": own.W.bias,
            "bias_hh": own.U.bias,
        }
    )
    out = torch.empty(len(past), model.horizon, model.channels, model.outputs)
    for b, window in enumerate(past):
        for c in range(model.channels):
            x = window[len(window) % w :, c] - window[-1, c]
            h = torch.zeros(1, 2 * d)
            for segment in x.split(w):
                h = cell(torch.relu(model.embed(segment))[None], h)
            steps = []
            for place in model.place:
                y = cell(torch.cat([place, model.channel[c]])[None], h)
                steps.append(model.head(y).reshape(w, model.outputs))
            out[b, :, c] = torch.cat(steps)[: model.horizon] + window[-1, c]
    return out


def test_the_segment_model_is_the_one_of_the_paper() -> None:
    torch.manual_seed(0)
    model = SegmentForecaster(2, 14, 7, 4, hidden_size=6, outputs=3)
    past = torch.randn(3, 14, 2)
    torch.testing.assert_close(model(past), by_hand(model, past))


def test_only_the_oldest_values_that_fill_no_segment_are_unused() -> None:
    torch.manual_seed(0)
    model = SegmentForecaster(1, 10, 4, 4, hidden_size=6)
    past = torch.randn(1, 10, 1, requires_grad=True)
    model(past).sum().backward()
    used = past.grad.abs().flatten() > 0
    assert used.tolist() == [False] * 2 + [True] * 8


@pytest.mark.parametrize("kind", ["segment", "direct"])
def test_what_is_known_ahead_reaches_the_forecast(kind: str) -> None:
    torch.manual_seed(0)
    if kind == "segment":
        model = SegmentForecaster(2, 8, 5, 4, known=3, hidden_size=6)
    else:
        model = DirectForecaster(2, 8, 5, known=3, hidden_size=6)
    past, known = torch.randn(2, 8, 2), torch.randn(2, 13, 3, requires_grad=True)
    model(past, known).square().sum().backward()
    assert (known.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("cell", ["lstm", "elman", "indrnn"])
def test_any_cell_and_several_layers(cell: str) -> None:
    torch.manual_seed(0)
    model = SegmentForecaster(
        2,
        12,
        6,
        4,
        recurrent=lambda n: Recurrent(cell, n, 8, 2, batch_first=True, dropout=0.5),
        hidden_size=8,
        dropout=0.5,
    )
    model.eval()
    past = torch.randn(5, 12, 2)
    whole = model(past)
    # Windows do not speak with each other.
    torch.testing.assert_close(whole[2:3], model(past[2:3]))


def test_a_level_added_to_the_past_is_added_to_the_forecast() -> None:
    torch.manual_seed(0)
    for model in (
        SegmentForecaster(2, 12, 6, 4, hidden_size=8),
        DirectForecaster(2, 12, 6, hidden_size=8),
    ):
        past = torch.randn(3, 12, 2)
        torch.testing.assert_close(model(past + 5.0), model(past) + 5.0)


def test_a_batch_without_windows_has_gradients_too() -> None:
    # A process of a data-parallel run may be left without rows in the last batch.
    for model in (SegmentForecaster(2, 12, 5, 4), DirectForecaster(2, 12, 5)):
        y = model(torch.zeros(0, 12, 2))
        assert y.shape == (0, 5, 2, 1)
        y.sum().backward()
        assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="does not fit a lookback of 4"):
        SegmentForecaster(1, 4, 2, 5)
    with pytest.raises(InputError, match="even"):
        SegmentForecaster(1, 4, 2, 2, hidden_size=7)
    with pytest.raises(InputError, match="Did you mean 'last'"):
        WindowNorm(1, "lst")  # type: ignore[arg-type]

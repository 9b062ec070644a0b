"""Recurrent models that forecast a whole horizon at once.

A model that reads its own forecasts as inputs adds error to error. Both models here read the past
with a recurrence and write all steps of the horizon in parallel. One reads the past segment by
segment, which makes a long past a short sequence; the other reads it step by step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from elman.errors import InputError
from elman.nn import state as states
from elman.nn.recurrent import Recurrent
from elman.nn.window_norm import Norm, WindowNorm


class SegmentForecaster(nn.Module):
    """Segment-wise recurrence with parallel decoding (SegRNN, Lin et al. 2023).

    Each channel is forecast by itself, with shared weights. The past is cut into segments of
    `segment` values; each is one step of the recurrence, with the input relu(W x_i + b). From
    its final state one more step is made for each segment j of the future, all in parallel; its
    input is the embedding of the segment's place and of the channel, [p_j ; c]. A linear map
    turns the output into the segment's values. Columns known ahead are read with the past
    segments, and a linear map of them is added to the input of future segments.

    Args:
        channels: series forecast together, `C`.
        lookback: values of the past, `L`; the oldest `L mod segment` are not used.
        horizon: steps ahead, `H`.
        segment: values in a segment.
        known: columns known ahead of time, `K`.
        outputs: numbers forecast for each step and channel, `O` (a point and quantiles).
        recurrent: makes the recurrence for a number of input features, batch first; a GRU of
            `hidden_size` units if None.
        hidden_size: numbers that stand for a segment; even.
        dropout: dropout before the output map, and between layers.
        norm: how each window is normalised, a kind of `WindowNorm`.

    >>> model = SegmentForecaster(channels=2, lookback=12, horizon=5, segment=4, hidden_size=8)
    >>> model(torch.zeros(3, 12, 2)).shape
    torch.Size([3, 5, 2, 1])

    Raises:
        InputError: a segment longer than the past, or an odd hidden size.
    """

    def __init__(
        self,
        channels: int,
        lookback: int,
        horizon: int,
        segment: int,
        *,
        known: int = 0,
        outputs: int = 1,
        recurrent: Callable[[int], Recurrent] | None = None,
        hidden_size: int = 128,
        dropout: float = 0.0,
        norm: Norm = "last",
    ) -> None:
        super().__init__()
        if not 1 <= segment <= lookback:
            raise InputError(
                f"a segment of {segment} values does not fit a lookback of {lookback}.",
                fix="Set segment to at most the lookback.",
            )
        if hidden_size % 2:
            raise InputError(f"hidden_size={hidden_size} must be even for the segment model.")
        self.channels, self.horizon, self.segment, self.outputs = (
            channels,
            horizon,
            segment,
            outputs,
        )
        self.past_segments = lookback // segment
        self.future_segments = -(-horizon // segment)
        self.norm = WindowNorm(channels, norm)
        self.embed = nn.Linear(segment * (1 + known), hidden_size)
        self.recurrent = (recurrent or _gru(hidden_size))(hidden_size)
        self.place = nn.Parameter(torch.randn(self.future_segments, hidden_size // 2))
        self.channel = nn.Parameter(torch.randn(channels, hidden_size // 2))
        self.ahead = nn.Linear(segment * known, hidden_size, bias=False) if known else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.recurrent.output_size, segment * outputs)

    def forward(self, past: Tensor, known: Tensor | None = None) -> Tensor:
        """Return forecasts `(B, H, C, O)` from `past` `(B, L, C)` and `known` `(B, L + H, K)`."""
        batch, lookback, channels = past.shape
        used = self.past_segments * self.segment
        x, taken = self.norm(past[:, lookback - used :])
        segments = self._cut(x.transpose(1, 2).unsqueeze(-1))  # (B, C, n, w)
        future = torch.cat(
            [
                self.place.expand(channels, -1, -1),
                self.channel.unsqueeze(1).expand(-1, self.future_segments, -1),
            ],
            dim=-1,
        ).expand(batch, -1, -1, -1)  # (B, C, m, d)
        if self.ahead is not None:
            assert known is not None
            before = self._cut(known[:, None, lookback - used : lookback])
            segments = torch.cat([segments, before.expand(-1, channels, -1, -1)], dim=-1)
            after = known[:, None, lookback:]
            missing = self.future_segments * self.segment - after.shape[2]
            after = torch.cat([after, after[:, :, -1:].expand(-1, -1, missing, -1)], dim=2)
            future = future + self.ahead(self._cut(after))
        rows = batch * channels
        embedded = torch.relu(self.embed(segments)).flatten(0, 1)
        _, state = self.recurrent(embedded)
        each = torch.arange(rows, device=past.device).repeat_interleave(self.future_segments)
        step = future.flatten(0, 2).unsqueeze(1)
        decoded, _ = self.recurrent(step, states.index(state, each))
        y = self.head(self.dropout(decoded))
        y = y.reshape(batch, channels, self.future_segments * self.segment, self.outputs)
        return self.norm.inverse(y[:, :, : self.horizon].transpose(1, 2), taken)

    def _cut(self, x: Tensor) -> Tensor:
        """Cut `(B, C, n * w, F)` into segments `(B, C, n, w * F)`."""
        rows, channels, steps, features = x.shape
        return x.reshape(rows, channels, steps // self.segment, self.segment * features)


class DirectForecaster(nn.Module):
    """A recurrence over the past and a map to every step ahead (MQ-RNN, Wen et al. 2017).

    All channels are read together. With h the last output of the recurrence and z_k the columns
    known ahead at step k:  u_k = relu(A h + B z_k + e_k),  ŷ_k = W u_k + b.

    Arguments, shapes and errors are those of `SegmentForecaster`, without segments.

    >>> model = DirectForecaster(channels=2, lookback=12, horizon=5, known=1, hidden_size=8)
    >>> model(torch.zeros(3, 12, 2), torch.zeros(3, 17, 1)).shape
    torch.Size([3, 5, 2, 1])
    """

    def __init__(
        self,
        channels: int,
        lookback: int,
        horizon: int,
        *,
        known: int = 0,
        outputs: int = 1,
        recurrent: Callable[[int], Recurrent] | None = None,
        hidden_size: int = 128,
        dropout: float = 0.0,
        norm: Norm = "last",
    ) -> None:
        super().__init__()
        self.channels, self.lookback, self.horizon, self.outputs = (
            channels,
            lookback,
            horizon,
            outputs,
        )
        self.norm = WindowNorm(channels, norm)
        self.recurrent = (recurrent or _gru(hidden_size))(channels + known)
        self.context = nn.Linear(self.recurrent.output_size, hidden_size)
        self.place = nn.Parameter(torch.randn(horizon, hidden_size))
        self.ahead = nn.Linear(known, hidden_size, bias=False) if known else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, channels * outputs)

    def forward(self, past: Tensor, known: Tensor | None = None) -> Tensor:
        """Return forecasts `(B, H, C, O)` from `past` `(B, L, C)` and `known` `(B, L + H, K)`."""
        x, taken = self.norm(past)
        if self.ahead is not None:
            assert known is not None
            x = torch.cat([x, known[:, : self.lookback]], dim=-1)
        y, _ = self.recurrent(x)
        u = self.context(y[:, -1]).unsqueeze(1) + self.place
        if self.ahead is not None and known is not None:
            u = u + self.ahead(known[:, self.lookback :])
        out = self.head(self.dropout(torch.relu(u)))
        return self.norm.inverse(out.unflatten(-1, (self.channels, self.outputs)), taken)


def _gru(hidden_size: int) -> Callable[[int], Recurrent]:
    return lambda size: Recurrent("gru", size, hidden_size, batch_first=True)

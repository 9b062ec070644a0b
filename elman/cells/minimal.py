"""Cells whose gates see the input alone, so that they can run in parallel over time."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import softplus

from elman.cells.base import Cell, State
from elman.cells.init import chrono as draw_chrono
from elman.cells.init import initialise, start_open


def positive_part(a: Tensor) -> Tensor:
    """Return g(a): a + 1/2 where a ≥ 0, σ(a) elsewhere; it is continuous and positive.

    Feng et al. 2024, appendix B.3.
    """
    return torch.where(a >= 0, a + 0.5, torch.sigmoid(a))


class MinGRU(Cell):
    """Minimal GRU (Feng et al. 2024, "Were RNNs all we needed?", arXiv:2410.01201).

    z = σ(W x + b)
    n = W x + b          or g(W x + b), see `positive`
    h' = (1 - z) ⊙ h + z ⊙ n

    This is the paper's sequential form, algorithm 1. The rows of `W` hold z, n. Only the gate
    multiplies the state, so a scan can compute all steps at once.

    Use it for long sequences where training time counts, in stacks of several layers: one
    layer cannot make its gates depend on the past.

    Parameters start with `W` Glorot (2010) and biases zero.

    Args:
        positive: candidates pass through g(a) = a + 1/2 for a ≥ 0, σ(a) below, as in the
            paper's log-space code (appendix B); by default they do not (appendix A).
        chrono: longest dependency expected, in steps: the bias of z starts at -log(uniform on
            [1, chrono - 1]), since this gate forgets when open (Tallec & Ollivier 2018).

    >>> MinGRU(3, 4).recurrent_weights()
    []
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        positive: bool = False,
        chrono: int | None = None,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.positive, self.chrono = positive, chrono
        self.W = nn.Linear(input_size, 2 * hidden_size, bias, device, dtype)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, "glorot", generator)
        if self.chrono is not None and self.W.bias is not None:
            z = self.W.bias[: self.hidden_size]
            draw_chrono(z, steps=self.chrono, generator=generator).neg_()

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (h,) = state
        z, n = self.W(x).chunk(2, -1)
        z, n = torch.sigmoid(z), positive_part(n) if self.positive else n
        h = (1 - z) * h + z * n
        return h, (h,)


class MinLSTM(Cell):
    """Minimal LSTM (Feng et al. 2024, "Were RNNs all we needed?", arXiv:2410.01201).

    f, i = σ(W x + b)
    n = W x + b          or g(W x + b), see `positive`
    h' = (f ⊙ h + i ⊙ n) / (f + i)

    This is the paper's sequential form with length independence scaling, algorithm 3. The rows
    of `W` hold f, i, n. Only the gates multiply the state, so a scan can compute all steps at
    once.

    Use it where you would use `MinGRU`; the paper finds that training `MinGRU` is steadier.

    Parameters start with `W` Glorot (2010) and biases zero; `forget_bias` changes the bias of f.

    Args:
        positive: candidates pass through g(a) = a + 1/2 for a ≥ 0, σ(a) below, as in the
            paper's log-space code (appendix B); by default they do not (appendix A).
        scaled: False leaves out the division by f + i.
        forget_bias: start of the bias of f (Gers et al. 2000).
        chrono: longest dependency expected, in steps: the bias of f starts at log(uniform on
            [1, chrono - 1]) and that of i at its negative (Tallec & Ollivier 2018); it
            replaces `forget_bias`.

    >>> MinLSTM(3, 1, forget_bias=1.0).W.bias.tolist()
    [1.0, 0.0, 0.0]
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        positive: bool = False,
        scaled: bool = True,
        forget_bias: float = 0.0,
        chrono: int | None = None,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.positive, self.scaled = positive, scaled
        self.forget_bias, self.chrono = forget_bias, chrono
        self.W = nn.Linear(input_size, 3 * hidden_size, bias, device, dtype)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, "glorot", generator)
        if self.W.bias is not None:
            f, i, _ = self.W.bias.chunk(3)
            start_open(f, self.forget_bias, self.chrono, generator)
            if self.chrono is not None:
                i.copy_(-f)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (h,) = state
        f, i, n = self.W(x).chunk(3, -1)
        n = positive_part(n) if self.positive else n
        if self.scaled:
            # f / (f + i) through log σ: both gates may round to zero, their ratio does not.
            odds = softplus(-i) - softplus(-f)
            f, i = torch.sigmoid(odds), torch.sigmoid(-odds)
        else:
            f, i = torch.sigmoid(f), torch.sigmoid(i)
        h = f * h + i * n
        return h, (h,)

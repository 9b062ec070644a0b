"""The linear recurrent unit: a linear recurrence with a complex diagonal."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import Cell, State
from elman.errors import InputError


class LRU(Cell):
    """Linear recurrent unit (Orvieto et al. 2023, arXiv:2303.06349).

    λ = exp(-exp(ν) + i exp(θ))
    s' = λ ⊙ s + exp(γ) ⊙ (B x)
    y = Re(C s') + D x

    The state s is complex and kept as two real tensors (Re s, Im s) of `hidden_size`. `W` is B
    with the real rows before the imaginary ones, `V_re` and `V_im` are C, `W_y` is D, here a
    full matrix because x and y may differ in size.

    Use it for very long sequences, in stacks with a nonlinear layer between: the recurrence is
    linear, stable by its parameters, and a scan may compute all steps at once.

    Parameters start as in the paper: λ uniform on the ring `r_min` ≤ |λ| ≤ `r_max` with phase up to
    `max_phase`, exp(γ) = sqrt(1 - |λ|²), which gives every unit a state of equal variance, and
    B, C, D normal with variance 1 / (2 inputs), 1 / states and 1 / inputs.

    Args:
        output_size: size of y; `hidden_size` by default.
        r_min, r_max: range of |λ| at the start; nearer 1 is a longer memory.
        max_phase: largest phase of λ at the start; small for long, slow patterns.
        bias: adds a bias to y; the paper has none.

    >>> cell = LRU(3, 8, output_size=2, r_min=0.9, r_max=0.999)
    >>> cell.state_sizes, cell.output_size
    ((8, 8), 2)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        output_size: int | None = None,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, state_sizes=(hidden_size, hidden_size), output_size=output_size
        )
        if not 0 <= r_min <= r_max <= 1:
            raise InputError(f"r_min={r_min}, r_max={r_max} must satisfy 0 ≤ r_min ≤ r_max ≤ 1.")
        self.r_min, self.r_max, self.max_phase = r_min, r_max, max_phase
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.nu = nn.Parameter(torch.empty(hidden_size, **like))
        self.theta = nn.Parameter(torch.empty(hidden_size, **like))
        self.gamma = nn.Parameter(torch.empty(hidden_size, **like))
        self.W = nn.Linear(input_size, 2 * hidden_size, bias=False, **like)
        self.V_re = nn.Linear(hidden_size, self.output_size, bias, **like)
        self.V_im = nn.Linear(hidden_size, self.output_size, bias=False, **like)
        self.W_y = nn.Linear(input_size, self.output_size, bias=False, **like)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        # Kept off the ends, where ν, θ or γ would be infinite: |λ| = 0 or 1 and phase 0.
        low, high = (min(max(r**2, 1e-6), 1 - 1e-6) for r in (self.r_min, self.r_max))
        squared = torch.empty_like(self.nu, dtype=torch.float64)
        squared.uniform_(low, high, generator=generator)
        self.nu.copy_((-0.5 * squared.log()).log())
        self.gamma.copy_(0.5 * (1 - squared).log())
        self.theta.uniform_(1e-6, 1, generator=generator).mul_(self.max_phase).log_()
        self.W.weight.normal_(std=(2 * self.input_size) ** -0.5, generator=generator)
        self.W_y.weight.normal_(std=self.input_size**-0.5, generator=generator)
        for readout in (self.V_re, self.V_im):
            readout.weight.normal_(std=self.hidden_size**-0.5, generator=generator)
        if self.V_re.bias is not None:
            self.V_re.bias.zero_()

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        re, im = state
        modulus, phase, gain = (-self.nu.exp()).exp(), self.theta.exp(), self.gamma.exp()
        a, b = modulus * phase.cos(), modulus * phase.sin()
        x_re, x_im = self.W(x).chunk(2, -1)
        re, im = a * re - b * im + gain * x_re, a * im + b * re + gain * x_im
        y = self.V_re(re) - self.V_im(im) + self.W_y(x)
        return y, (re, im)

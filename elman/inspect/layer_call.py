"""A call of a recurrent layer is kept, so that it can be made again on other inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(eq=False)
class LayerCall:
    """One call of a layer with all it stacks, which can be made again on another input.

    Attributes:
        layer: ours, or torch.nn's.
        args, kwargs: what it was called with.
    """

    layer: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def batch_first(self) -> bool:
        """True if the input was `(B, T, F)`."""
        return bool(self.layer.batch_first)

    @property
    def given(self) -> dict[str, Any]:
        """The arguments of the call, by name."""
        ours = ("x", "state", "lengths", "reset")
        names = ("input", "hx") if isinstance(self.layer, nn.RNNBase) else ours
        return {**dict(zip(names, self.args, strict=False)), **self.kwargs}

    @property
    def x(self) -> Tensor | None:
        """The input, `(T, B, F)`; None if it was packed or had no batch."""
        given = self.given
        x = given.get("x", given.get("input"))
        if not isinstance(x, Tensor) or x.dim() != 3:
            return None
        x = x.detach()
        return x.transpose(0, 1) if self.batch_first else x

    @property
    def reset(self) -> Tensor | None:
        """`(T, B)`, where a new sequence begins; None if nowhere."""
        reset: Tensor | None = self.given.get("reset")
        return reset.t() if reset is not None and self.batch_first else reset

    def again(self, x: Tensor) -> Tensor:
        """Return the output `(T, N, D)` of the same call on `(T, N, F)`, N rows being B again and
        again; without gradients, as in evaluation mode."""
        assert self.x is not None
        times = x.shape[1] // self.x.shape[1]

        def repeated(value: Any, dim: int) -> Any:
            if isinstance(value, Tensor):
                return torch.cat([value.detach()] * times, dim)
            if isinstance(value, tuple | list):
                return tuple(repeated(v, dim) for v in value)
            return value

        named = self.given
        for name in ("x", "input", "return_states"):
            named.pop(name, None)
        if named.get("lengths") is not None:
            named["lengths"] = torch.as_tensor(named["lengths"])
        rows = {"state": 0, "hx": 1, "lengths": 0, "reset": 0 if self.batch_first else 1}
        named = {name: repeated(value, rows[name]) for name, value in named.items()}
        training = self.layer.training
        self.layer.eval()
        try:
            with torch.no_grad():
                given = x.transpose(0, 1) if self.batch_first else x
                output: Tensor = self.layer(given, **named)[0]
        finally:
            self.layer.train(training)
        return output.transpose(0, 1) if self.batch_first else output

"""The transforms of torch that the code is running under.

Fused recurrent kernels have no batching rule and no forward derivative, and what they do
under `vmap` or `jvp` differs from one build of torch to the next: an error here, a slow
loop there. Dispatch asks this module first and goes to the reference loop, which is made
of operations that every transform knows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from elman.errors import InputError

_Function = TypeVar("_Function", bound=Callable[..., Any])


def constant(function: _Function) -> _Function:
    """`torch.compiler.assume_constant_result`, which would import the whole compiler now."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


_REASONS = {"Vmap": "vmap", "Jvp": "jvp"}


def active() -> str | None:
    """The transform in force that fused kernels cannot follow, or None.

    `torch.func.grad` alone is none of them: it asks for one backward pass, which they have.

    >>> active() is None
    True
    >>> torch.func.vmap(lambda t: torch.tensor(active() == "vmap"))(torch.zeros(2))
    tensor([True, True])
    """
    if torch.compiler.is_compiling():
        return None
    for interpreter in torch._C._functorch.get_interpreter_stack() or ():
        if interpreter.key().name in _REASONS:
            return _REASONS[interpreter.key().name]
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation"
    return None


def untraceable(module: nn.Module) -> InputError:
    """Return the refusal of torch.jit.trace, which would write down what kernels do not show it."""
    return InputError(
        "torch.jit.trace and torch.onnx.export(dynamo=False) cannot follow "
        f"{type(module).__name__}: its kernels are no operations of torch.",
        fix="Use torch.export.export; or give torch.jit.trace an elman.nn.LSTM, GRU or RNN without "
        "options of its own, lengths, reset or return_states, which it takes for torch.nn's.",
    )


def without_python() -> bool:
    """Return whether AOTInductor is making a package that runs without Python."""
    virtualized = sys.modules.get("torch._inductor.virtualized")
    return virtualized is not None and bool(getattr(virtualized.V.graph, "aot_mode", False))


def _unquantised(module: nn.Module, _: object) -> None:
    raise InputError(
        f"torch.ao.quantization does not know {type(module).__name__} and would leave it as it is.",
        fix="Quantise the other parts of the model one by one; a layer that need not be Elman's "
        "can be a torch.nn layer, which takes the same state_dict, and any layer runs in bfloat16 "
        "after layer.bfloat16().",
    )


unquantised = property(None, _unquantised)
"""For `qconfig`, the attribute that torch's quantisation sets on every module of a model."""


def capturing(x: Tensor) -> bool:
    """Return whether a graph is being captured, or `x` has no values: under `torch.compile`,
    `torch.export`, a fake tensor's or any other dispatch mode.

    >>> capturing(torch.zeros(1))
    False
    >>> with torch._subclasses.FakeTensorMode():
    ...     capturing(torch.zeros(1))
    True
    """
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        return True
    if type(x) in (Tensor, nn.Parameter):
        return False
    return torch._C._dispatch_keys(x).has(torch._C.DispatchKey.Python)


def in_force() -> str | None:
    """Any transform at all, by its name: the one asked for most often, which must be quick."""
    if forward_ad._current_level < 0 and not torch._C._functorch.get_interpreter_stack():
        return None
    return active() or "torch.func.grad"


@constant
def any_active() -> bool:
    """Return whether a transform of torch.func is in force, `grad` included; in a graph too."""
    return bool(torch._C._functorch.get_interpreter_stack())

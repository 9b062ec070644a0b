"""What went through the recurrent layers of a model, in one form for all that looks at it.

A `Passage` is one layer in one direction over one batch: what it read, every state, what it gave
out, and the gradients that came back. Its time is the layer's own: step 0 is what it read first,
also where it reads backwards, and padding lies at the end. `observe` makes them from any model
with layers of ours, torch.nn's RNN, LSTM and GRU, or a loop over cells written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import elman.nn
from elman.cells.base import Cell, State
from elman.errors import InputError
from elman.kernels import run
from elman.kernels.program import lent
from elman.kernels.witness import Witness, handed_on, present, witnessed
from elman.nn.torch_compatible import _Extended

_Found = TypeVar("_Found")


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
        """Whether the input was `(B, T, F)`."""
        return bool(self.layer.batch_first)

    @property
    def x(self) -> Tensor | None:
        """The input, `(T, B, F)`; None if it was packed or had no batch."""
        x = self.args[0] if self.args else None
        if not isinstance(x, Tensor) or x.dim() != 3:
            return None
        x = x.detach()
        return x.transpose(0, 1) if self.batch_first else x

    def again(self, x: Tensor) -> Tensor:
        """The output `(T, N, D)` of the same call on `(T, N, F)`, N rows being B again and again;
        without gradients, as in evaluation mode."""
        assert self.x is not None
        batch = self.x.shape[1]
        times = x.shape[1] // batch
        torch_like = isinstance(self.layer, nn.RNNBase)

        def repeated(value: Any, dim: int) -> Any:
            if isinstance(value, Tensor):
                return torch.cat([value.detach()] * times, dim)
            if isinstance(value, tuple | list):
                return tuple(repeated(v, dim) for v in value)
            return value

        rest = list(self.args[1:])
        if rest:
            rest[0] = repeated(rest[0], 1 if torch_like else 0)
        named = dict(self.kwargs)
        for name, dim in (("state", 0), ("hx", 1), ("lengths", 0)):
            if named.get(name) is not None:
                value = named[name]
                value = torch.as_tensor(value) if name == "lengths" else value
                named[name] = repeated(value, dim)
        if named.get("reset") is not None:
            named["reset"] = repeated(named["reset"], 0 if self.batch_first else 1)
        for k, dim in ((1, 0), (2, 0 if self.batch_first else 1)):
            if len(rest) > k and rest[k] is not None:
                rest[k] = repeated(torch.as_tensor(rest[k]), dim)
        named.pop("return_states", None)
        training = self.layer.training
        self.layer.eval()
        try:
            with torch.no_grad():
                given = x.transpose(0, 1) if self.batch_first else x
                output: Tensor = self.layer(given, *rest, **named)[0]
        finally:
            self.layer.train(training)
        return output.transpose(0, 1) if self.batch_first else output


@dataclass(eq=False)
class Passage:
    """One recurrent layer in one direction over one batch.

    Attributes:
        name: of the layer: its path in the model, `.l0` and so on for which of a stack, and
            `_reverse` if it reads backwards.
        cell: its step.
        x: `(T, B, input_size)`, what it read.
        start: `(B, size)` each, the state before the first step.
        states: `(T, B, size)` each, after every step.
        output: `(T, B, output_size)`.
        lengths: `(B,)`, steps of each row; what lies beyond is zero.
        weights: tensors in the place of the cell's parameters of these names.
        reverse: whether its step 0 is the last of the sequence.
        seen: where gradients come to.
        by: the call of a whole layer that it was part of.
    """

    name: str
    cell: Cell
    x: Tensor
    start: State
    states: State
    output: Tensor
    lengths: Tensor
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    reverse: bool = False
    seen: Witness | _Loop | None = None
    by: LayerCall | None = None

    @classmethod
    def of(
        cls,
        cell: Cell,
        x: Tensor,
        lengths: Tensor | Sequence[int] | None = None,
        state: Sequence[Tensor] | None = None,
        name: str = "",
    ) -> Passage:
        """A cell run over `x` `(T, B, input_size)` alone.

        >>> import elman.cells
        >>> passage = Passage.of(elman.cells.make("gru", 2, 3), torch.randn(7, 4, 2))
        >>> passage.states[0].shape, passage.steps, passage.batch
        (torch.Size([7, 4, 3]), 7, 4)
        """
        with witnessed() as runs:
            run(cell, x, state, lengths=lengths)
        return _passage(runs[0], name or type(cell).__name__.lower())

    @property
    def steps(self) -> int:
        """T."""
        return self.x.shape[0]

    @property
    def batch(self) -> int:
        """B."""
        return self.x.shape[1]

    @cached_property
    def valid(self) -> Tensor:
        """`(T, B)`, true where a step was taken."""
        return torch.arange(self.steps, device=self.x.device)[:, None] < self.lengths

    @cached_property
    def before(self) -> State:
        """`(T, B, size)` each: the state that each step began from."""
        return tuple(
            torch.cat([first[None], after[:-1]])
            for first, after in zip(self.start, self.states, strict=True)
        )

    @property
    def gradients(self) -> State | None:
        """`(T, B, size)` each: of the last backward pass, by the state after each step.

        None if there was none.
        """
        found = None if self.seen is None else self.seen.gradients
        if found is None:
            return None
        return tuple(in_own_time(g, self.lengths if self.reverse else None) for g in found)

    def step(
        self, x: Tensor, state: State, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """The layer's step on any rows: `(N, input_size)` and `(N, size)` each; differentiable.

        With `weights`, by these in the place of parameters.
        """
        with lent(self.cell, self.weights if weights is None else weights):
            output, new = self.cell(x, state)
        return output, tuple(new)

    @property
    def pieces(self) -> list[Tensor]:
        """The output in the graph, in the order in which it came; whole, or step by step."""
        if self.seen is None:
            return []
        if isinstance(self.seen, _Loop):
            return self.seen.outputs
        assert self.seen.result is not None
        return [self.seen.result.output]

    @property
    def ends(self) -> list[Tensor]:
        """The state after the last step in the graph, `(B, size)` each, where it is handed out."""
        if self.seen is None or isinstance(self.seen, _Loop):
            return []
        assert self.seen.result is not None
        return list(self.seen.result.state)

    @property
    def entrances(self) -> list[Tensor]:
        """Tensors of the graph that everything in the layer leads back to: its input, or the first
        state of a loop written by hand."""
        if self.seen is None:
            return []
        if isinstance(self.seen, _Loop):
            return [s for s in self.seen.states[0] if s.requires_grad]
        return [self.seen.call.x] if self.seen.call.x.requires_grad else []

    def all_steps(self, least: int = 0) -> tuple[Tensor, State]:
        """What goes into every step taken, as rows: `(N, input_size)` and `(N, size)` each.

        Raises:
            InputError: fewer than `least` steps were taken.
        """
        taken = int(self.lengths.sum())
        if taken < least:
            raise InputError(
                f"{self.name or 'The passage'} took {taken} steps, and fewer than {least} tell "
                "nothing.",
                fix="Look at longer sequences.",
            )
        return self.x[self.valid], tuple(s[self.valid] for s in self.before)


def in_own_time(rows: Tensor, lengths: Tensor | None) -> Tensor:
    """`(T, B, ...)` with the first steps of each row turned round, as its length says; its own
    inverse. As it is without lengths."""
    if lengths is None:
        return rows
    steps = torch.arange(rows.shape[0], device=rows.device)[:, None]
    where = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return rows.gather(0, where.view(*where.shape, *(1,) * (rows.dim() - 2)).expand_as(rows))


def observe(module: nn.Module, call: Callable[[], _Found]) -> tuple[_Found, list[Passage]]:
    """Call something that runs `module`, and see what goes through its recurrent layers.

    Gradients arrive in the passages with every backward pass through what was computed.

    Args:
        module: any model; layers that it calls twice are seen twice.
        call: what runs it.

    Returns:
        What `call` gave, and a passage a layer, direction and call, in order.

    >>> model = nn.Sequential(nn.Linear(2, 3), elman.nn.GRU(3, 4, num_layers=2))
    >>> (output, _), (first, second) = observe(model, lambda: model(torch.randn(6, 1, 2)))
    >>> first.name, second.name, torch.equal(second.output, output)
    ('1.l0', '1.l1', True)
    """
    spans: list[tuple[str, int, int, LayerCall]] = []
    loops: list[_Loop] = []
    with ExitStack() as stack:
        runs = stack.enter_context(witnessed())
        inner: set[nn.Module] = set()
        for path, part in module.named_modules():
            if isinstance(part, elman.nn.Recurrent | nn.RNNBase):
                stack.enter_context(_counted(part, path, runs, spans))
                inner |= set(part.modules())
                if isinstance(part, nn.RNNBase) and not isinstance(part, _Extended):
                    stack.enter_context(_ours_instead(part))
            elif isinstance(part, Cell | nn.RNNCellBase) and part not in inner:
                stack.enter_context(_looped(part, path, loops))
        found = call()
    names = [f"run {k}" for k in range(len(runs))]
    by: list[LayerCall | None] = [None] * len(runs)
    for path, begin, end, made in spans:
        both = 2 if any(run.call.reverse for run in runs[begin:end]) else 1
        for k in range(end - begin):
            end_ = "_reverse" if runs[begin + k].call.reverse else ""
            names[begin + k] = ".".join(filter(None, [path, f"l{k // both}{end_}"]))
            by[begin + k] = made
    passages = [_passage(*run) for run in zip(runs, names, by, strict=True)]
    return found, passages + [loop.passage() for loop in loops]


def _passage(run: Witness, name: str, by: LayerCall | None = None) -> Passage:
    call, result = run.call, run.result
    assert result is not None
    assert result.states is not None
    steps, batch = call.x.shape[:2]
    lengths = call.lengths
    if lengths is None:
        lengths = torch.full((batch,), steps, device=call.x.device)
    turned = lengths if call.reverse else None
    return Passage(
        name,
        run.cell,
        in_own_time(call.x.detach(), turned),
        tuple(s.detach() for s in call.state),
        tuple(in_own_time(s.detach(), turned) for s in result.states),
        in_own_time(result.output.detach(), turned),
        lengths,
        {name: t.detach() for name, t in run.weights.items()},
        call.reverse,
        run,
        by,
    )


@contextmanager
def _counted(
    part: nn.Module,
    path: str,
    runs: list[Witness],
    spans: list[tuple[str, int, int, LayerCall]],
) -> Iterator[None]:
    """Keep which runs are a layer's: a span of `runs` for each of its calls."""
    begins: list[int] = []

    def before(*_: Any) -> None:
        begins.append(len(runs))

    def after(_: nn.Module, args: Any, kwargs: Any, __: Any) -> None:
        spans.append((path, begins.pop(), len(runs), LayerCall(part, args, kwargs)))

    hooks = (
        part.register_forward_pre_hook(before),
        part.register_forward_hook(after, with_kwargs=True),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


_OURS = {nn.RNN: elman.nn.RNN, nn.LSTM: elman.nn.LSTM, nn.GRU: elman.nn.GRU}


@contextmanager
def _ours_instead(part: nn.RNNBase) -> Iterator[None]:
    """A layer of torch.nn's computed by ours, on its own parameters."""
    kind = next((ours for theirs, ours in _OURS.items() if isinstance(part, theirs)), None)
    if kind is None:
        yield
        return
    kept = {n: getattr(part, n) for n in ("bias", "batch_first", "dropout", "bidirectional")}
    if part.proj_size:
        kept["proj_size"] = part.proj_size
    if isinstance(part, nn.RNN):
        kept["nonlinearity"] = part.nonlinearity
    sizes = part.input_size, part.hidden_size, part.num_layers
    layer = kind(*sizes, **kept, device="meta")

    def forward(*args: Any, **kwargs: Any) -> Any:
        layer.train(part.training)
        own: dict[str, Tensor] = dict(part.named_parameters())
        return torch.func.functional_call(layer, own, args, kwargs)

    old = part.__dict__.get("forward")
    part.forward = forward
    try:
        yield
    finally:
        if old is None:
            del part.forward
        else:
            part.forward = old


class _TorchStep(Cell):
    """One of torch.nn's cells as one of ours."""

    def __init__(self, module: nn.RNNCellBase) -> None:
        n = module.hidden_size
        states = 2 if isinstance(module, nn.LSTMCell) else 1
        super().__init__(module.input_size, n, state_sizes=(n,) * states)
        self.module = module

    def recurrent_weights(self) -> list[str]:
        """The one that torch calls weight_hh."""
        return ["module.weight_hh"]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """torch's step."""
        found = self.module(x, state if len(state) > 1 else state[0])
        new = (found,) if isinstance(found, Tensor) else tuple(found)
        return new[0], new


@dataclass(eq=False)
class _Loop:
    """Calls of one cell, each with the state that the one before gave."""

    path: str
    cell: Cell
    start: State
    x: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    came: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @property
    def gradients(self) -> State | None:
        """As a `Witness` has them."""
        if not self.came:
            return None
        return tuple(
            torch.stack(
                [self.came.get((t, i), torch.zeros_like(s[i])) for t, s in enumerate(self.states)]
            )
            for i in range(len(self.start))
        )

    def goes_on(self, state: State) -> bool:
        """Whether a state is the one that the last call gave."""
        last = self.states[-1]
        return len(last) == len(state) and all(a is b for a, b in zip(last, state, strict=True))

    def take(self, x: Tensor, output: Tensor, new: State) -> tuple[Tensor, State]:
        """One more call: what it hands on, under names that autograd reports on."""
        output, new = handed_on(output, new, partial(self._come, len(self.x)))
        self.x.append(x.detach())
        self.outputs.append(output)
        self.states.append(new)
        return output, new

    def _come(self, t: int, i: int, gradient: Tensor) -> None:
        if (t, i) in self.came:
            self.came.clear()
        self.came[t, i] = gradient.detach()

    def passage(self) -> Passage:
        """What was seen."""
        x = torch.stack(self.x)
        states = zip(*self.states, strict=True)
        return Passage(
            self.path,
            self.cell,
            x,
            tuple(s.detach() for s in self.start),
            tuple(torch.stack(s).detach() for s in states),
            torch.stack(self.outputs).detach(),
            torch.full((x.shape[1],), len(self.x), device=x.device),
            seen=self,
        )


@contextmanager
def _looped(part: Cell | nn.RNNCellBase, path: str, loops: list[_Loop]) -> Iterator[None]:
    """Follow a loop written by hand over a cell."""
    cell = part if isinstance(part, Cell) else _TorchStep(part)

    def after(_: nn.Module, args: tuple[Any, ...], given: Any) -> Any:
        if present() is not None or args[0].dim() != 2:
            return given
        x, state = args[0], args[1] if len(args) > 1 else None
        state = (state,) if isinstance(state, Tensor) else state
        if isinstance(part, Cell):
            output, new = given[0], tuple(given[1])
        else:
            new = (given,) if isinstance(given, Tensor) else tuple(given)
            output = new[0]
        if state is None:
            state = tuple(torch.zeros_like(s) for s in new)
        mine = [loop for loop in loops if loop.cell is cell and loop.goes_on(tuple(state))]
        if not mine:
            mine = [_Loop(path, cell, tuple(state))]
            loops.extend(mine)
        output, new = mine[-1].take(x, output, new)
        if isinstance(part, Cell):
            return output, new
        return new[0] if isinstance(given, Tensor) else new

    hook = part.register_forward_hook(after)
    try:
        yield
    finally:
        hook.remove()

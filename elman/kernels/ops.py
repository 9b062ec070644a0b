"""Running a cell as one PyTorch operator: for `torch.compile`, `torch.export` and their kin.

A capture of a graph cannot look into compiled kernels, and would write a plain loop out step by
step. So it sees `torch.ops.elman.sequence`: tensors in, tensors out, and the name of a
cell (`elman.cells.structure`) for the step. When the graph runs, the operator asks dispatch
for a backend as any call does.

A cell's tensors come as arguments. They are put into a twin of the cell, which has none of its own.

The backward pass is an operator too. The autograd graph of the forward one waits in this process
until then, known by the address of a tensor that goes from one to the other and whose memory
keeps it alive. It holds none of the operator's arguments and results, which a compiler may have
written over meanwhile, but takes the arguments of the backward pass. If the graph is not found (a
tensor was copied, nobody had announced the gradients), the forward pass runs again.
"""

from __future__ import annotations

import threading
import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Unpack
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils import _pytree
from torch.utils._python_dispatch import _disable_current_modes

from elman.cells import structure
from elman.cells.base import Cell
from elman.errors import InputError, SlowPathWarning
from elman.kernels import transforms
from elman.kernels.sequence import Hold, Options, Result, prepare

_MASKED = -1.0
"""Stands in `rates` for a mask in place of a probability."""


# --- what a captured graph calls ----------------------------------------------------------------


def run(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor] | None = None,
    *,
    weights: dict[str, Tensor] | None = None,
    backend: str | None = None,
    **options: Unpack[Options],
) -> Result:
    """`elman.kernels.run` as one operator of a graph, `weights` in place of the cell's own."""
    call = prepare(cell, x, state, begin=False, **options)
    handle = cell._handle
    given = weights or {}
    own = [
        given[name] if name in given else structure.at(cell, name) for name in _tensors((handle,))
    ]
    values = [_fixed(structure.at(cell, name)) for name in _options((handle,))]
    held = call.hold or (None,) * len(cell.state_sizes)
    device = call.x.device.type
    differentiated = [t.requires_grad for t in (call.x, *call.state, *own)]
    keep = torch.is_grad_enabled() and any(differentiated) and not torch.compiler.is_exporting()
    results = torch.ops.elman.sequence(
        call.x,
        list(call.state),
        own,
        call.lengths,
        call.reset,
        [h for h in held if isinstance(h, Tensor)],
        [_MASKED if isinstance(h, Tensor) else float(h or 0) for h in held],
        _name((handle, *values)),
        call.reverse,
        call.return_states,
        backend or "",
        torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None,
        differentiated if keep else [],
    )
    n = len(cell.state_sizes)
    return Result(
        results[0],
        tuple(results[1 : 1 + n]),
        tuple(results[1 + n : 1 + 2 * n]) if call.return_states else None,
    )


def register(module: nn.Module) -> list[str]:
    """Make the cells in `module` known to exported programs that are loaded in this process.

    Returns:
        Their names.

    >>> from elman.cells import make
    >>> register(make("gru", 3, 4))[0].partition("-")[0]
    'GRU'
    """
    named = []
    for part in module.modules():
        # torch.nn's kinds keep theirs in a tuple, out of the way of their state_dict.
        hidden = [c for v in vars(part).values() if isinstance(v, tuple) for c in v]
        for cell in (part, *hidden):
            if isinstance(cell, Cell):
                named.append(_known_as(cell))
    return named


# A tracer calls these while it captures and takes what they return for a constant. Their argument
# is a tuple because a handle in one is compared and not identified.


@transforms.constant
def _tensors(handle: tuple[structure.Handle]) -> tuple[str, ...]:
    return structure.tensors(_alive(handle[0]))


@transforms.constant
def _options(handle: tuple[structure.Handle]) -> tuple[str, ...]:
    return structure.options(_alive(handle[0]))


def changed_by(cell: Cell) -> str:
    """Return why a graph must hold the step itself: it changes the cell, which an operator, that
    runs a twin of it, would not; "" if it does not."""
    return _changed_by((cell._handle,))


@transforms.constant
def _changed_by(handle: tuple[structure.Handle]) -> str:
    from elman.kernels.program import HOOKS  # which imports this module, as does:
    from elman.kernels.trace import Untraceable, trace

    cell = _alive(handle[0])
    if any(getattr(module, hooks) for module in cell.modules() for hooks in HOOKS):
        return ""  # to trace it would call them; the operator runs the reference, hooks and all
    try:
        # Or what tracing does would stand in the graph that torch.export makes.
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            trace(cell)
    except Untraceable as error:
        return str(error) if error.changes else ""
    return ""


@transforms.constant
def _name(handle_and_values: tuple[Any, ...]) -> str:
    """The cell's name; the values of its options are there for the tracer to guard them."""
    return _known_as(_alive(handle_and_values[0]))


def _alive(handle: structure.Handle) -> Cell:
    cell = handle.module
    assert isinstance(cell, Cell)
    return cell


def _fixed(value: Any) -> Any:
    """An option in a form that a tracer cannot make a variable of."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, tuple | list):
        return tuple([_fixed(v) for v in value])
    return value


# --- cells by name ------------------------------------------------------------------------------


@dataclass
class _Twin:
    """A cell without tensors, and the places where they go."""

    cell: Cell
    places: list[tuple[dict[str, Any], str]]

    @classmethod
    def of(cls, cell: Cell) -> _Twin:
        twin = hollow(cell, {})
        assert isinstance(twin, Cell)
        places = []
        for name in structure.tensors(cell):
            path, _, last = name.rpartition(".")
            part = structure.at(twin, path) if path else twin
            groups = (part._parameters, part._buffers, part.__dict__)
            places.append((next(g for g in groups if last in g), last))
        return cls(twin, places)

    def fill(self, tensors: Sequence[Tensor]) -> None:
        """Put tensors where they belong."""
        for (group, name), tensor in zip(self.places, tensors, strict=True):
            group[name] = tensor


def hollow(module: nn.Module, done: dict[int, nn.Module]) -> nn.Module:
    """A module like this one with places of its own for its tensors, and everything else shared."""
    if id(module) in done:
        return done[id(module)]
    twin = done[id(module)] = type(module).__new__(type(module))
    for name, value in module.__dict__.items():
        if isinstance(value, structure.Handle):
            continue
        if isinstance(value, types.MethodType) and value.__self__ is module:
            value = types.MethodType(value.__func__, twin)
        twin.__dict__[name] = value
    twin._parameters = dict(module._parameters)
    twin._buffers = dict(module._buffers)
    twin._modules = {
        name: None if part is None else hollow(part, done) for name, part in module._modules.items()
    }
    return twin


@dataclass
class _Known:
    """A cell by name: its twin, with tensors without values while nobody uses it."""

    twin: _Twin
    hollow: list[Tensor]
    lock: threading.RLock = field(default_factory=threading.RLock)
    busy: bool = False


_cells: dict[str, _Known] = {}


def _known_as(cell: Cell) -> str:
    # Compilers keep graphs on disk; one made for other operators must not be found again.
    name = structure.name_of(cell, _FORWARD + _BACKWARD)
    if name not in _cells:
        twin = _Twin.of(cell)
        hollow = [torch.empty(group[key].shape, device="meta") for group, key in twin.places]
        twin.fill(hollow)
        _cells[name] = _Known(twin, hollow)
    return name


def _find(name: str) -> _Known:
    if name not in _cells:
        kind = name.partition("-")[0]
        raise InputError(
            f"This program runs a cell {kind} that this process does not know.",
            fix=f"Make a layer of the same {kind} with the same options, in the same mode (train "
            "or eval), and pass it to elman.kernels.ops.register before the program runs.",
        )
    return _cells[name]


@contextmanager
def _cell(name: str, tensors: Sequence[Tensor]) -> Iterator[Cell]:
    """The cell of that name with these tensors, for one thread at a time.

    One twin for all, because kernels are made for a cell and making them is no work for threads.
    """
    known = _find(name)
    with known.lock:
        if known.busy:  # a hook inside the cell runs a layer of the same form
            twin = _Twin.of(known.twin.cell)
            twin.fill(tensors)
            yield twin.cell
            return
        known.busy = True
        known.twin.fill(tensors)
        try:
            yield known.twin.cell
        finally:
            known.twin.fill(known.hollow)
            known.busy = False


# --- the operators --------------------------------------------------------------------------------


class _Arguments(NamedTuple):
    """The arguments of the operator, in its order."""

    x: Tensor
    state: list[Tensor]
    weights: list[Tensor]
    lengths: Tensor | None
    reset: Tensor | None
    masks: list[Tensor]
    rates: list[float]
    cell: str
    reverse: bool
    return_states: bool
    backend: str
    autocast: torch.dtype | None
    differentiated: list[bool]

    @property
    def differentiable(self) -> list[Tensor]:
        """Return the tensors that may have a gradient."""
        return [self.x, *self.state, *self.weights]

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of the results."""
        single = self.x.dtype != torch.float64
        return self.x.dtype if self.autocast is None or not single else self.autocast

    def replaced(self, differentiable: Sequence[Tensor]) -> _Arguments:
        """Return the arguments with other tensors in the place of the differentiable ones."""
        x, *rest = differentiable
        n = len(self.state)
        return self._replace(x=x, state=rest[:n], weights=rest[n:])


_ARGUMENTS = """Tensor x, Tensor[] state, Tensor[] weights, Tensor? lengths, Tensor? reset,
Tensor[] masks, float[] rates, str cell, bool reverse, bool return_states, str backend,
ScalarType? autocast, bool[] differentiated"""

_FORWARD = f"({_ARGUMENTS}) -> Tensor[]"
_BACKWARD = (
    f"(Tensor[] grads, bool[] given, Tensor[] results, {_ARGUMENTS}, bool[] needed) -> Tensor[]"
)


@torch.library.custom_op("elman::sequence", mutates_args=(), schema=_FORWARD)
def _sequence(*arguments: Any) -> list[Tensor]:
    """Output, final states, every state if wanted, and what stands for the kept graph.

    `differentiated` tells for x, states and weights whether gradients will be asked for; empty,
    nothing is kept.
    """
    args = _Arguments(*arguments)
    if not any(args.differentiated):
        with torch.no_grad():
            return [
                *_separate(_results(args), args.differentiable),
                torch.zeros(1, dtype=torch.uint8),
            ]
    results, kept = _kept(args)
    token = torch.frombuffer(kept, dtype=torch.uint8)
    _graphs[token.data_ptr()] = kept
    return [*results, token]


@torch.library.custom_op("elman::sequence_backward", mutates_args=(), schema=_BACKWARD)
def _sequence_backward(
    grads: list[Tensor], given: list[bool], results: list[Tensor], *arguments: Any
) -> list[Tensor]:
    """Gradients of those of x, states and weights that are `needed`.

    `grads` are those of the results for which `given` is true; the others are zero.
    """
    *own, needed = arguments
    args = _Arguments(*own)
    *values, token = results
    kept = _graphs.get(token.data_ptr())
    if kept is None or any(n and not k for n, k in zip(needed, args.differentiated, strict=False)):
        values, kept = _kept(args._replace(differentiated=list(needed)))
    return kept.gradients(_spread(grads, given), [*args.differentiable, *values], needed)


@_sequence.register_fake
def _(*arguments: Any) -> list[Tensor]:
    args = _Arguments(*arguments)
    cell = _find(args.cell).twin.cell
    if transforms.without_python():
        raise InputError(
            f"AOTInductor cannot compile {type(cell).__name__}: its kernels are called from "
            "Python, and the package would run without it.",
            fix="Use torch.export.save, and load the program where Elman is imported.",
        )
    steps, batch = args.x.shape[:2]
    sizes = cell.state_sizes
    shapes = [(steps, batch, cell.output_size), *((batch, n) for n in sizes)]
    if args.return_states:
        shapes += [(steps, batch, n) for n in sizes]
    results = [args.x.new_empty(shape, dtype=args.dtype) for shape in shapes]
    return [*results, torch.empty(1, dtype=torch.uint8)]


@_sequence_backward.register_fake
def _(
    grads: list[Tensor], given: list[bool], results: list[Tensor], *arguments: Any
) -> list[Tensor]:
    *own, needed = arguments
    wanted = zip(_Arguments(*own).differentiable, needed, strict=True)
    return [t.new_empty(t.shape) for t, need in wanted if need]


def _spread(tensors: Sequence[Tensor | None], places: Sequence[bool]) -> list[Tensor | None]:
    """One tensor for each true place, None for the others."""
    rest = iter(tensors)
    return [next(rest) if place else None for place in places]


def _results(args: _Arguments) -> list[Tensor]:
    """Return the tensors that dispatch gives for the arguments."""
    from elman.kernels import dispatch  # which imports this module

    masks = iter(args.masks)
    hold: Hold = tuple(next(masks) if p == _MASKED else (p or None) for p in args.rates)
    autocast = torch.autocast(args.x.device.type, args.autocast, enabled=args.autocast is not None)
    with _cell(args.cell, args.weights) as cell, autocast:
        result = dispatch.run(
            cell,
            args.x,
            tuple(args.state) if args.state else None,
            lengths=args.lengths,
            reset=args.reset,
            reverse=args.reverse,
            hold=hold,
            return_states=args.return_states,
            backend=args.backend or None,
        )
    results = [result.output, *result.state, *(result.states or ())]
    odd = next((r.dtype for r in results if r.dtype != args.dtype), None)
    if odd is not None:
        raise InputError(
            f"A {type(cell).__name__} gives {odd} for an input of {args.dtype}, which a captured "
            "graph does not expect.",
            fix="Let input, state and parameters have one dtype.",
        )
    return results


def _separate(tensors: Sequence[Tensor], others: Sequence[Tensor | None]) -> list[Tensor]:
    """Tensors as a graph wants them: dense, none sharing memory with another or with `others`."""
    taken = {_memory(t) for t in others if t is not None}
    separate = []
    for t in tensors:
        t = t.detach()
        whole = t.is_contiguous() and t.untyped_storage().nbytes() == t.nbytes
        if not whole or _memory(t) in taken:
            t = t.clone(memory_format=torch.contiguous_format)
        taken.add(_memory(t))
        separate.append(t)
    return separate


def _memory(t: Tensor) -> int:
    return t.untyped_storage().data_ptr() or -id(t)


# --- what waits for the backward pass -------------------------------------------------------------


class _Saved:
    """A tensor that autograd saved; one of the operator's own as where it lies among those."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor: Tensor | None = tensor.detach()
        self.among: Sequence[Tensor] = ()
        self.place = (0, tensor.shape, tensor.stride(), 0)

    def give_up(self, own: Sequence[Tensor]) -> None:
        """Hold no memory that belongs to one of `own`."""
        t = self.tensor
        if t is None or not t.numel():
            return
        begin, end = t.data_ptr(), t.data_ptr() + (_extent(t)) * t.element_size()
        for i, o in enumerate(own):
            same = o.dtype == t.dtype and o.is_contiguous()
            if same and o.data_ptr() <= begin and end <= o.data_ptr() + o.nbytes:
                offset = (begin - o.data_ptr()) // t.element_size()
                self.place = (i, t.shape, t.stride(), offset)
                self.tensor = None
                return

    def get(self) -> Tensor:
        """The tensor, from what the backward pass was given if it was given up."""
        if self.tensor is not None:
            return self.tensor
        i, shape, stride, offset = self.place
        owner = self.among[i].contiguous()
        return owner.as_strided(shape, stride, owner.storage_offset() + offset)


def _extent(t: Tensor) -> int:
    """Numbers from the first to the last of a tensor."""
    return 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True))


class _Kept(bytearray):
    """The autograd graph of one run, in the memory of the tensor that stands for it."""

    ends: list[Any]
    beginnings: list[Any]
    saved: list[_Saved]

    def gradients(
        self, grads: Sequence[Tensor | None], own: Sequence[Tensor], needed: Sequence[bool]
    ) -> list[Tensor]:
        """Return gradients of the needed arguments; `own`: the operator's arguments and results."""
        wanted = [b for b, need in zip(self.beginnings, needed, strict=True) if need]
        pairs = [(e, g) for e, g in zip(self.ends, grads, strict=True) if e and g is not None]
        found: Sequence[Tensor | None] = [None] * len(wanted)
        if pairs:
            for saved in self.saved:
                saved.among = own
            try:
                with _apart_from_the_operator():
                    found = torch.autograd.grad(
                        [e for e, _ in pairs],
                        wanted,
                        [g for _, g in pairs],
                        retain_graph=True,
                        allow_unused=True,
                    )
            finally:
                for saved in self.saved:
                    saved.among = ()
        tensors = [t for t, need in zip(own, needed, strict=False) if need]
        filled = [
            torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found, strict=True)
        ]
        return _separate(filled, [*own, *grads])


_graphs: WeakValueDictionary[int, _Kept] = WeakValueDictionary()


def _kept(args: _Arguments) -> tuple[list[Tensor], _Kept]:
    """Results, and the graph for their gradients."""
    kept = _Kept(1)
    kept.saved = saved = []

    def pack(tensor: Tensor) -> _Saved:
        saved.append(_Saved(tensor))
        return saved[-1]

    with _apart_from_the_operator(), torch.enable_grad():
        leaves = [
            t.detach().requires_grad_(need)
            for t, need in zip(args.differentiable, args.differentiated, strict=True)
        ]
        with torch.autograd.graph.saved_tensors_hooks(pack, _Saved.get):
            graphed = _results(args.replaced(leaves))
        edge = torch.autograd.graph.get_gradient_edge
        kept.ends = [edge(r) if r.requires_grad else None for r in graphed]
        kept.beginnings = [edge(t) if t.requires_grad else None for t in leaves]
    results = _separate(graphed, args.differentiable)
    own = [*args.differentiable, *results]
    for s in saved:
        s.give_up(own)
    return results, kept


@contextmanager
def _apart_from_the_operator() -> Iterator[None]:
    """Autograd as outside of an operator, where it is switched off."""
    c = torch._C
    excluded = c._dispatch_tls_local_exclude_set()
    for key in _AUTOGRAD:
        excluded = excluded.remove(key)
    with c._ForceDispatchKeyGuard(c._dispatch_tls_local_include_set(), excluded):
        yield


_AUTOGRAD = [
    getattr(torch._C.DispatchKey, name)
    for name in (
        "AutogradFunctionality",
        "AutogradOther",
        "AutogradNestedTensor",
        "ADInplaceOrView",
    )
]


# --- derivatives ----------------------------------------------------------------------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    """Save an operator's arguments, and in front of them the results of `sequence`."""
    flat, ctx.form = _pytree.tree_flatten((list(output), list(inputs)))
    ctx.plain = [None if isinstance(v, Tensor) else v for v in flat]
    ctx.save_for_backward(*(v if isinstance(v, Tensor) else None for v in flat))
    ctx.set_materialize_grads(False)


def _saved(ctx: Any) -> Any:
    flat = [p if s is None else s for s, p in zip(ctx.saved_tensors, ctx.plain, strict=True)]
    return _pytree.tree_unflatten(flat, ctx.form)


def _nothing(argument: Any) -> Any:
    """No gradient, in the form that autograd expects for an argument."""
    if isinstance(argument, list) and all(a is None or isinstance(a, Tensor) for a in argument):
        return [None] * len(argument)
    return None


def _first(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    results, inputs = _saved(ctx)
    needs: Any = ctx.needs_input_grad[:3]
    needed = [needs[0], *_flags(needs[1]), *_flags(needs[2])]
    *flows, _ = grads
    found = torch.ops.elman.sequence_backward(
        [g for g in flows if g is not None],
        [g is not None for g in flows],
        results,
        *inputs,
        needed,
    )
    return _by_argument(_Arguments(*inputs), _spread(found, needed))


def _second(ctx: Any, cotangents: list[Tensor | None]) -> tuple[Any, ...]:
    """The derivative of the gradients, by the reference; aloud."""
    warnings.warn(_SECOND, SlowPathWarning, stacklevel=2)
    _, (grads, given, results, *own, needed) = _saved(ctx)
    args = _Arguments(*own)
    with torch.enable_grad():
        # Views, so that what one argument was computed from another by is no part of this.
        tensors = [
            t.view_as(t) if t.requires_grad else t.detach().requires_grad_(t.is_floating_point())
            for t in (*grads, *args.differentiable)
        ]
        flows, arguments = tensors[: len(grads)], tensors[len(grads) :]
        outputs = _results(args.replaced(arguments)._replace(backend="reference"))
        pairs = zip(outputs, _spread(flows, given), strict=True)
        first = _gradients(
            [(o, g) for o, g in pairs],
            [t for t, need in zip(arguments, needed, strict=True) if need],
            create_graph=True,
        )
    second = _gradients(
        list(zip(first, cotangents, strict=True)), tensors, create_graph=torch.is_grad_enabled()
    )
    by_flow, by_argument = second[: len(grads)], second[len(grads) :]
    rest = _by_argument(args, by_argument)
    return (by_flow, _nothing(given), _nothing(results), *rest, _nothing(needed))


def _gradients(
    pairs: Sequence[tuple[Tensor | None, Tensor | None]],
    wanted: Sequence[Tensor],
    create_graph: bool,
) -> list[Tensor | None]:
    """`torch.autograd.grad` for results and their gradients, of which some may not be."""
    live = [(r, g) for r, g in pairs if r is not None and g is not None and r.requires_grad]
    floating = [t.requires_grad for t in wanted]
    if not live or not any(floating):
        return [None] * len(wanted)
    found = torch.autograd.grad(
        [r for r, _ in live],
        [t for t in wanted if t.requires_grad],
        [g for _, g in live],
        create_graph=create_graph,
        allow_unused=True,
    )
    return _spread(found, floating)


def _by_argument(args: _Arguments, found: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """Gradients of x, states and weights as autograd wants them: one entry for each argument."""
    n = 1 + len(args.state)
    return (found[0], list(found[1:n]), list(found[n:]), *(_nothing(a) for a in args[3:]))


def _flags(needs: Any) -> list[bool]:
    """Return autograd's flags for a list of tensors; for an empty one it gives no list."""
    return list(needs) if isinstance(needs, list | tuple) else []


_SECOND = (
    "A second derivative runs on the reference loop, one step at a time: compiled kernels have a "
    "first one only."
)

_sequence.register_autograd(_first, setup_context=_keep)
_sequence_backward.register_autograd(_second, setup_context=_keep)

"""A passage records what went through a recurrent layer, in one form for all measurements.

A `Passage` is one layer in one direction over one batch: what it read, every state, what it gave
out, and the gradients that came back. Its time is the layer's own: step 0 is what it read first,
also where it reads backwards, and padding lies at the end. Its steps are what the layer did: they
begin anew where it was reset and keep what zoneout keeps. `observe` makes them from any model with
layers of ours, torch.nn's RNN, LSTM and GRU, or a loop over cells written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import elman.nn
from elman.cells.base import Cell, State
from elman.errors import InputError
from elman.inspect import in_graph
from elman.inspect.by_hand import Loop, looped
from elman.inspect.handed import Runs, goes_on
from elman.inspect.layer_call import LayerCall
from elman.kernels import Hold, run
from elman.kernels.program import lent
from elman.kernels.reference import held
from elman.kernels.witness import Witness, witnessed
from elman.nn.torch_compatible import _Extended

_Found = TypeVar("_Found")


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
        anew: `(T, B)`, true at steps that a reset came before, and that began from `fresh`; None
            without resets.
        fresh: `(B, size)` each, the state after a reset; empty without resets.
        zoneout: of each state the share of the old value that is kept in a step, as in evaluation;
            empty without zoneout.
        hold: what was kept in this run: for each state a share or None, or while training
            `(T, B, size)`, true where it was the old value; None without zoneout.
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
    seen: Runs | Loop | None = None
    by: LayerCall | None = None
    anew: Tensor | None = None
    fresh: State = ()
    zoneout: tuple[float, ...] = ()
    hold: Hold | None = None

    @classmethod
    def of(
        cls,
        cell: Cell,
        x: Tensor,
        lengths: Tensor | Sequence[int] | None = None,
        state: Sequence[Tensor] | None = None,
        name: str = "",
    ) -> Passage:
        """Run a cell over `x` `(T, B, input_size)` alone.

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
        """The number of steps, T."""
        return self.x.shape[0]

    @property
    def batch(self) -> int:
        """The number of rows, B."""
        return self.x.shape[1]

    @cached_property
    def valid(self) -> Tensor:
        """Mask `(T, B)`, true where a step was taken."""
        return torch.arange(self.steps, device=self.x.device)[:, None] < self.lengths

    @cached_property
    def before(self) -> State:
        """`(T, B, size)` each: the state that each step began from."""
        before = tuple(
            torch.cat([first[None], after[:-1]])
            for first, after in zip(self.start, self.states, strict=True)
        )
        if self.anew is None:
            return before
        return tuple(
            torch.where(self.anew[..., None], fresh, old)
            for fresh, old in zip(self.fresh, before, strict=True)
        )

    def since(self, at: Tensor) -> Tensor:
        """`(B,)`: the step with which the sequence of step `at[b]` of each row began."""
        return since(self.anew, at)

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
        self,
        x: Tensor,
        state: State,
        weights: Mapping[str, Tensor] | None = None,
        hold: Hold | None = None,
    ) -> tuple[Tensor, State]:
        """Take the layer's step on any rows: `(N, input_size)` and `(N, size)` each;
        differentiable.

        With `weights`, by these in the place of parameters. Zoneout keeps its share, as in
        evaluation, or what `hold` says, masks being `(N, size)`.
        """
        with lent(self.cell, self.weights if weights is None else weights):
            output, new = self.cell(x, state)
        keep = self.zoneout if hold is None else hold
        return held(keep, state, output, tuple(new)) if keep else (output, tuple(new))

    @property
    def pieces(self) -> list[Tensor]:
        """The output in the graph, in the order in which it came: `(n, B, output_size)` of n steps,
        or `(B, output_size)` of one."""
        return [] if self.seen is None else self.seen.outputs

    @property
    def ends(self) -> list[Tensor]:
        """The state after the last step in the graph, `(B, size)` each, where it is handed out."""
        return [] if self.seen is None else self.seen.ends

    @property
    def entrances(self) -> list[Tensor]:
        """Tensors of the graph that everything in the layer leads back to: what it reads, and the
        first state of a loop written by hand."""
        if self.seen is None:
            return []
        return [x for x in self.seen.read if x.requires_grad] + self.seen.first

    @property
    def read(self) -> list[Tensor]:
        """The input in the graph, in pieces as the output; nothing outside a graph."""
        if self.seen is None or not all(x.requires_grad for x in self.seen.read):
            return []
        return self.seen.read

    def all_steps(self, least: int = 0) -> tuple[Tensor, State]:
        """Return the inputs and states of every step taken: `(N, input_size)`, `(N, size)` each.

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

    def part(self, rows: Tensor | slice, steps: slice = slice(None)) -> Passage:
        """Return some rows of some steps, from the state that the first of these began from; out of
        the graph.

        Args:
            rows: `(B,)` bool, indices or a slice.
            steps: a stretch of them.
        """
        first, last, _ = steps.indices(self.steps)

        def cut(whole: Tensor) -> Tensor:
            return whole[first:last, rows]

        hold = self.hold
        if hold is not None:
            hold = tuple(cut(h) if isinstance(h, Tensor) else h for h in hold)
        return replace(
            self,
            x=cut(self.x),
            start=tuple(before[first, rows] for before in self.before),
            states=tuple(cut(s) for s in self.states),
            output=cut(self.output),
            lengths=(self.lengths[rows] - first).clamp(0, last - first),
            seen=None,
            by=None,
            anew=None if self.anew is None else cut(self.anew),
            fresh=tuple(f[rows] for f in self.fresh),
            hold=hold,
        )


def since(anew: Tensor | None, at: Tensor) -> Tensor:
    """Return `(B,)`: the last step up to `at[b]` at which row b of `(T, B)` is true, or else 0."""
    if anew is None or len(anew) == 0:
        return torch.zeros_like(at)
    steps = torch.arange(len(anew), device=at.device)[:, None]
    return torch.where(anew & (steps <= at), steps, 0).amax(0)


def in_own_time(rows: Tensor, lengths: Tensor | None) -> Tensor:
    """`(T, B, ...)` with the first steps of each row turned round, as its length says; its own
    inverse. As it is without lengths."""
    if lengths is None:
        return rows
    steps = torch.arange(rows.shape[0], device=rows.device)[:, None]
    where = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return rows.gather(0, where.view(*where.shape, *(1,) * (rows.dim() - 2)).expand_as(rows))


def search(
    module: nn.Module, call: Callable[[], _Found], states: Sequence[str] = ()
) -> tuple[_Found, list[Passage]]:
    """Do as `observe`, and follow loops written by hand: over layers, and over plain linear maps.

    Args:
        module: any model; it runs twice where such a loop is found, and does the same each time.
        call: what runs it.
        states: local variables of a loop that hold its states; found in the graph if empty.

    Raises:
        InputError: a name holds no states, or a loop cannot be followed.
    """
    known = in_graph.find(module, call, states)
    if known is None:
        found, passages = observe(module, call)
        return found, joined(passages)
    (found, loops), passages = observe(module, lambda: in_graph.follow(module, call, known))
    return found, joined(passages) + [_passage_by_hand(loop) for loop in loops]


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
    loops: list[Loop] = []
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
                stack.enter_context(looped(part, path, loops))
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
    return found, passages + [_passage_by_hand(loop) for loop in loops]


def joined(passages: Sequence[Passage]) -> list[Passage]:
    """Make one passage of calls of a layer of which each begins from the state that the one before
    gave, as a loop written by hand over a layer makes them, a step or a few a call."""
    chains: list[list[Passage]] = []
    for passage in passages:
        mine = [
            c
            for c in chains
            if c[-1].name == passage.name
            and c[-1].cell is passage.cell
            and goes_on(c[-1].seen, passage.seen)
        ]
        if mine:
            mine[-1].append(passage)
        else:
            chains.append([passage])
    return [_one_of(chain) for chain in chains]


def _one_of(chain: Sequence[Passage]) -> Passage:
    first = chain[0]
    if len(chain) == 1:
        return first
    return replace(
        first,
        x=torch.cat([p.x for p in chain]),
        states=tuple(map(torch.cat, zip(*[p.states for p in chain], strict=True))),
        output=torch.cat([p.output for p in chain]),
        lengths=torch.stack([p.lengths for p in chain]).sum(0),
        seen=Runs([run for p in chain if isinstance(p.seen, Runs) for run in p.seen.runs]),
        by=None,
    )


def _passage(run: Witness, name: str, by: LayerCall | None = None) -> Passage:
    call, result = run.call, run.result
    assert result is not None
    assert result.states is not None
    steps, batch = call.x.shape[:2]
    lengths = call.lengths
    if lengths is None:
        lengths = torch.full((batch,), steps, device=call.x.device)
    turned = lengths if call.reverse else None
    anew, fresh = _begun_anew(run, lengths)
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
        Runs([run]),
        by,
        anew,
        fresh,
        _shares(call.hold, by),
        call.hold
        and tuple(in_own_time(h.bool(), turned) if isinstance(h, Tensor) else h for h in call.hold),
    )


def _begun_anew(run: Witness, lengths: Tensor) -> tuple[Tensor | None, State]:
    """Return the steps, in the run's own time, that began from a fresh state, and that state."""
    call, (steps, batch, *_) = run.call, run.call.x.shape
    if call.reset is None or not bool(call.reset.any()):
        return None, ()
    valid = torch.arange(steps, device=lengths.device)[:, None] < lengths
    anew = in_own_time(call.reset & valid, lengths if call.reverse else None)
    if call.reverse:
        # Backwards it is the step after the one that begins a sequence which begins anew.
        anew = torch.cat([torch.zeros_like(anew[:1]), anew[:-1]]) & valid
    with lent(run.cell, run.weights), torch.no_grad():
        return anew, tuple(run.cell.init_state(batch, call.x.device, call.x.dtype))


def _shares(hold: Hold | None, by: LayerCall | None) -> tuple[float, ...]:
    """Return the shares that zoneout keeps in evaluation: the layer's rates, or without a layer the
    part of the masks that kept the old value."""
    if hold is None:
        return ()
    if by is not None and isinstance(by.layer, elman.nn.Recurrent):
        return by.layer.zoneout
    return tuple(float(h.double().mean()) if isinstance(h, Tensor) else h or 0.0 for h in hold)


def _passage_by_hand(loop: Loop) -> Passage:
    x = torch.stack(loop.x)
    states = zip(*loop.states, strict=True)
    return Passage(
        loop.path,
        loop.cell,
        x,
        tuple(s.detach() for s in loop.start),
        tuple(torch.stack(s).detach() for s in states),
        torch.stack(loop.outputs).detach(),
        torch.full((x.shape[1],), len(loop.x), device=x.device),
        seen=loop,
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
    """Compute a layer of torch.nn by ours, on its own parameters."""
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

"""Loops over plain linear maps are found in what a model computed, and followed from outside.

Such a loop has neither a layer nor a cell. But everything that torch computed for the model, in
order, with the line of code that each came from, shows it: a line whose result leads to its own
next result is in a loop, and the state is what leads from one turn to the next, the fewest numbers
through which it all goes. A loop has to have three turns or more.

The model runs twice: once to find the loops, and once to follow their states by names of their own
in the graph, as `by_hand` does with those of cells.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only

import elman.nn
from elman.cells.base import Cell, State
from elman.errors import InputError
from elman.inspect.by_hand import Loop

LEAST = 3
"""Turns of which a loop has at least so many."""


class ByHand(Cell):
    """Stands for the step of a loop that is known only by what it computed."""

    def __init__(self, sizes: Sequence[int], input_size: int) -> None:
        super().__init__(max(input_size, 1), sizes[-1], state_sizes=tuple(sizes))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Refuse: there is nothing to call.

        Raises:
            InputError: always.
        """
        raise InputError("The step of a loop over plain linear maps cannot be taken again.")


@dataclass(eq=False)
class _Made:
    """Something that torch computed.

    Attributes:
        key: the places in the code that led to it, and the parameters that it used.
        reads: which of what was made before it used, and which of its results.
        given: tensors it used that nothing before made, such as the batch; by identity.
        outputs: what it made.
        parameters: those it used, by identity.
        layer: whether it is a call of a layer or cell that is followed on its own.
    """

    key: Any
    reads: list[tuple[int, int]] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    parameters: tuple[int, ...] = ()
    layer: bool = False


_Place = tuple[int, int]
"""A tensor: which thing made it, and which of its results it is."""


@dataclass(eq=False)
class _Turns:
    """A loop, as places in what was made.

    Attributes:
        name: how it is told.
        states: for each turn where its states are, in the order in which they are made.
        reads: for each turn where what it reads is; empty if that is not known.
    """

    name: str
    states: list[list[_Place]]
    reads: list[list[_Place]] = field(default_factory=list)


class _Recorder(TorchFunctionMode):
    """Keeps all that torch computes, in order, but for what layers and cells do inside."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.made: list[_Made] = []
        self.maker: dict[int, _Place] = {}
        self.names = names
        self.bound: dict[str, list[_Place]] = {name: [] for name in names}
        self.inside = 0
        self.changed_in_place: set[int] = set()
        self._kept: list[Any] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        made = self.begin(args, kwargs, sys._getframe(1))
        given = func(*self.changed(args), **self.changed(kwargs))
        if func is Tensor.__setitem__:
            self.end(made, args[0], args)
            return given
        return self.end(made, given, args)

    def begin(self, args: Any, kwargs: Any, frame: FrameType | None) -> _Made:
        """Begin with something new that uses these."""
        made = _Made(None)
        for tensor in _tensors((args, kwargs)):
            if isinstance(tensor, nn.Parameter):
                made.parameters += (id(tensor),)
            elif id(tensor) in self.maker:
                made.reads.append(self.maker[id(tensor)])
            else:
                made.given.append(id(tensor))
                self._kept.append(tensor)
        made.key = (*self._way(frame), *made.parameters)
        self.made.append(made)
        return made

    def _way(self, frame: FrameType | None) -> Iterator[tuple[CodeType, Any]]:
        """Return the places in the code that are under way; the way that a module's call takes
        inside torch depends on who looks on, and is left out."""
        while frame is not None and frame.f_code is not _watched.__code__:
            if frame.f_globals.get("__name__") != nn.Module.__module__:
                yield frame.f_code, _positions(frame.f_code)[frame.f_lasti // 2]
            for name in self.names:
                value = frame.f_locals.get(name) if name in frame.f_code.co_varnames else None
                if isinstance(value, Tensor) and id(value) in self.maker:
                    self.bound[name].append(self.maker[id(value)])
            frame = frame.f_back

    def changed(self, given: Any) -> Any:
        """Return what something is to be given in the place of its arguments."""
        return given

    def end(self, made: _Made, given: Any, args: Any) -> Any:
        """Keep what was made, and return what is to be given out."""
        here = len(self.made) - 1  # nothing is kept that is computed inside
        made.outputs = list(_tensors(given))
        inputs = {id(t) for t in _tensors(args)}
        for slot, tensor in enumerate(made.outputs):
            if id(tensor) in inputs:
                self.changed_in_place.add(here)
            self.maker[id(tensor)] = here, slot
        return given


class _Follower(_Recorder):
    """Gives the states and inputs of known loops names of their own in the graph, as they come."""

    def __init__(self, before: Sequence[_Made], found: Sequence[_Turns]) -> None:
        super().__init__()
        self.before = before
        self.found = found
        self.instead: dict[int, Tensor] = {}
        self.loops: list[Loop | None] = [None] * len(found)
        self.last: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.entering: dict[_Place, tuple[int, int, int]] = {}
        self.read: dict[tuple[int, int, int], Tensor] = {}
        for k, turns in enumerate(found):
            for t, places in enumerate(turns.states):
                self.last[max(places)[0]].append((k, t))
            for t, places in enumerate(turns.reads):
                for m, place in enumerate(places):
                    self.entering[place] = k, t, m

    def changed(self, given: Any) -> Any:
        """Return arguments with the new names of states."""
        return tree_map_only(Tensor, lambda t: self.instead.get(id(t), t), given)

    def end(self, made: _Made, given: Any, args: Any) -> Any:
        """Give new names to what is an input or a state of a loop."""
        super().end(made, given, args)
        here = len(self.made) - 1  # nothing is kept that is computed inside
        if here >= len(self.before) or self.before[here].key != made.key:
            raise InputError(
                "The model computed other things when it ran a second time, so that its loop "
                "cannot be followed.",
                fix="Let it do the same each time: no branch on random numbers, no counter.",
            )
        for slot, tensor in enumerate(made.outputs):
            entry = self.entering.get((here, slot))
            if entry is not None:
                known = tensor if tensor.requires_grad else tensor.detach().requires_grad_()
                self.read[entry] = self._named(tensor, known.view_as(known))
        for k, t in self.last[here]:
            self._take(k, t)
        return self.changed(given)

    def _named(self, tensor: Tensor, new: Tensor) -> Tensor:
        self._kept.append(tensor)
        self.instead[id(tensor)] = new
        self.maker[id(new)] = self.maker[id(tensor)]
        return new

    def _take(self, k: int, t: int) -> None:
        turns = self.found[k]
        tensors = [self.made[i].outputs[slot] for i, slot in turns.states[t]]
        flat = tuple(_rows(s) for s in tensors)
        reads = [self.read[k, t, m] for m in range(len(turns.reads[t]))] if turns.reads else []
        x = (
            torch.cat([_rows(r.detach()) for r in reads], 1)
            if reads
            else flat[0].new_zeros(len(flat[0]), 0)
        )
        if self.loops[k] is None:
            cell = ByHand([s.shape[1] for s in flat], x.shape[1])
            self.loops[k] = Loop(turns.name, cell, tuple(torch.zeros_like(s) for s in flat))
        loop = self.loops[k]
        assert loop is not None
        _, new = loop.take(x, flat[-1], flat, reads)
        for old, alias in zip(tensors, new, strict=True):
            self._named(old, alias.view(old.shape))


@contextmanager
def _layers_as_one(module: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Take each call of a layer or cell that is followed on its own for one thing."""
    waiting: list[_Made] = []

    def before(_: nn.Module, args: Any, kwargs: Any) -> Any:
        recorder.inside += 1
        if recorder.inside > 1:
            return None
        made = recorder.begin(args, kwargs, sys._getframe(1))
        made.layer = True
        waiting.append(made)
        return recorder.changed(args), recorder.changed(kwargs)

    def after(_: nn.Module, args: Any, kwargs: Any, given: Any) -> Any:
        # What giving new names computes is no part of the model.
        try:
            if recorder.inside == 1:
                return recorder.end(waiting.pop(), given, (args, kwargs))
            return None
        finally:
            recorder.inside -= 1

    with ExitStack() as stack:
        for part in module.modules():
            if isinstance(part, elman.nn.Recurrent | nn.RNNBase | Cell | nn.RNNCellBase):
                hooks = (
                    part.register_forward_pre_hook(before, with_kwargs=True),
                    part.register_forward_hook(after, with_kwargs=True),
                )
                for hook in hooks:
                    stack.callback(hook.remove)
        yield


def _watched(module: nn.Module, call: Callable[[], Any], recorder: _Recorder) -> Any:
    with _layers_as_one(module, recorder), recorder:
        return call()


def find(module: nn.Module, call: Callable[[], Any], names: Sequence[str] = ()) -> Any:
    """Run `call` and find the loops over plain maps in it.

    Args:
        module: the model that `call` runs.
        call: what runs it.
        names: local variables of the loop that hold its states; found in the graph if empty.

    Returns:
        The loops for `follow`, or None if there are none.

    Raises:
        InputError: a name holds no tensor that a loop makes, or states are changed in place.
    """
    recorder = _Recorder(names)
    _watched(module, call, recorder)
    told = {id(p): name for name, p in module.named_parameters()}
    graph = _Graph(recorder.made, told)
    found = [graph.named(recorder.bound)] if names else graph.loops()
    if not found:
        return None
    places = {i for turns in found for states in turns.states for i, _ in states}
    if places & recorder.changed_in_place:
        raise InputError(
            "A loop of this model changes its state in place, so that the state of each step "
            "cannot be followed.",
            fix="Write h = h + x in the place of h.add_(x) or h += x.",
        )
    for made in recorder.made:
        made.outputs = []
    return recorder.made, found


def follow(module: nn.Module, call: Callable[[], Any], known: Any) -> tuple[Any, list[Loop]]:
    """Run `call` again and follow the states of loops that `find` found.

    Raises:
        InputError: the model computed other things than the first time.
    """
    before, found = known
    follower = _Follower(before, found)
    result = _watched(module, call, follower)
    return result, [loop for loop in follower.loops if loop is not None]


class _Graph:
    """Everything that was made, and which of it led to which."""

    def __init__(self, made: Sequence[_Made], told: dict[int, str]) -> None:
        self.made = made
        self.told = told
        self.used: list[list[int]] = [[] for _ in made]
        for j, new in enumerate(made):
            for i, _ in new.reads:
                self.used[i].append(j)

    def loops(self) -> list[_Turns]:
        """Return the loops, in order."""
        lines: dict[Any, list[int]] = defaultdict(list)
        for i, new in enumerate(self.made):
            if not new.layer and any(_real(t) for t in new.outputs):
                lines[new.key].append(i)
        chains = [c for line in lines.values() if len(line) >= LEAST for c in self._chains(line)]
        # Those that use parameters first: their turns are the loop's own.
        chains.sort(key=lambda chain: (not self.made[chain[0]].parameters, chain[0]))
        found: list[tuple[int, int, _Turns]] = []
        for chain in chains:
            first, last = chain[0], chain[-1]
            if any(first <= end and begin <= last for begin, end, _ in found):
                continue
            if self._is_a_stack(chain) or any(m.layer for m in self.made[first:last]):
                continue
            turns = self._turns(chain)
            if turns is not None:
                found.append((first, last, turns))
        return [turns for _, _, turns in sorted(found, key=lambda one: one[0])]

    def _chains(self, line: Sequence[int]) -> list[list[int]]:
        """Cut what one line of code made into chains of which each leads to the next."""
        reach, chains = self._reach(line), [[line[0]]]
        for k in range(1, len(line)):
            led = max((reach[i] for i, _ in self.made[line[k]].reads), default=-1)
            if led == k - 1:
                chains[-1].append(line[k])
            else:
                chains.append([line[k]])
        return [chain for chain in chains if len(chain) >= LEAST]

    def _reach(self, line: Sequence[int]) -> list[int]:
        """Return for everything made the last of `line` that led to it; -1 for none."""
        at = {i: k for k, i in enumerate(line)}
        reach: list[int] = []
        for j, new in enumerate(self.made):
            known = max((reach[i] for i, _ in new.reads), default=-1)
            reach.append(at.get(j, known))
        return reach

    def _is_a_stack(self, chain: Sequence[int]) -> bool:
        """Say whether each turn uses parameters of its own, as a stack of layers does."""
        if self.made[chain[0]].parameters:
            return False
        times: dict[int, int] = defaultdict(int)
        for new in self.made[chain[0] : chain[-1]]:
            for parameter in new.parameters:
                times[parameter] += 1
        return any(count < (len(chain) - 1) / 2 for count in times.values())

    def _turns(self, chain: Sequence[int]) -> _Turns | None:
        """Find the states of a loop: the fewest numbers that all goes through between two turns."""
        middle = len(chain) // 2
        begin, period = chain[middle - 1], chain[middle] - chain[middle - 1]
        reach = self._reach(chain)
        leads = self._leads(chain)
        best: tuple[int, int, list[_Place]] | None = None
        for past in range(period - 1, -1, -1):
            cut = begin + past
            crossing = [
                (i, slot)
                for i in range(max(0, cut - period + 1), cut + 1)
                if reach[i] >= 0
                for slot, tensor in enumerate(self.made[i].outputs)
                if _real(tensor)
                and any(
                    cut < j <= cut + period and leads[j] and (i, slot) in self.made[j].reads
                    for j in self.used[i]
                )
            ]
            size = sum(self.made[i].outputs[slot].numel() for i, slot in crossing)
            if crossing and (best is None or size < best[0]):
                best = size, past, crossing
        if best is None:
            return None
        _, past, crossing = best
        states, ends = [], []
        for anchor in chain:
            places = [(anchor + i - begin, slot) for i, slot in crossing]
            if all(
                0 <= i < len(self.made)
                and self.made[i].key == self.made[j].key
                and slot < len(self.made[i].outputs)
                and self.made[i].outputs[slot].shape == self.made[j].outputs[slot].shape
                for (i, slot), (j, _) in zip(places, crossing, strict=True)
            ):
                states.append(places)
                ends.append(anchor + past)
            elif states:
                break
        name = self._name(chain[0])
        return self._with_reads(name, states, ends, reach) if len(states) >= LEAST else None

    def _leads(self, chain: Sequence[int]) -> list[bool]:
        """Return for everything made whether it leads to one of the chain."""
        leads = [False] * len(self.made)
        anchors = set(chain)
        for j in range(len(self.made) - 1, -1, -1):
            leads[j] = j in anchors or any(leads[k] for k in self.used[j])
        return leads

    def _with_reads(
        self, name: str, states: list[list[_Place]], ends: Sequence[int], reach: Sequence[int]
    ) -> _Turns:
        """Add what each turn reads, where every turn reads alike."""
        period = ends[1] - ends[0]
        middle = ends[len(ends) // 2]
        steps = {self.made[j].key for j in range(middle - period + 1, middle + 1) if reach[j] >= 0}
        led = [r >= 0 or new.key in steps for r, new in zip(reach, self.made, strict=True)]
        reads = [self._entering(end - period, end, period, led) for end in ends]
        # The first turn has a first state, which nothing in the loop made.
        usual = {self.made[i].key for i, _ in reads[len(reads) // 2]}
        reads = [
            [place for place in places if self.made[place[0]].key in usual] for places in reads
        ]
        shapes = [[self._tensor(place).shape for place in places] for places in reads]
        batch = self._tensor(states[0][0]).shape[:1]
        alike = all(s == shapes[0] for s in shapes) and all(s[:1] == batch for s in shapes[0])
        places = [place for own in reads for place in own]
        return _Turns(name, states, reads if alike and len(set(places)) == len(places) > 0 else [])

    def _entering(self, begin: int, end: int, period: int, led: Sequence[bool]) -> list[_Place]:
        """Return what comes into the turn after `begin` up to `end` and into no other."""
        found: dict[_Place, None] = {}
        for j in range(max(begin + 1, 0), min(end + 1, len(self.made))):
            for place in self.made[j].reads:
                new = led[j] and not led[place[0]] and _real(self._tensor(place))
                if new and all(begin - period < user <= end for user in self._users(place)):
                    found[place] = None
        # Back to what it was made from, as long as that served nothing else.
        while True:
            makers = {i for i, _ in found}
            deeper = [
                place
                for place in found
                if self.made[place[0]].reads
                and not self.made[place[0]].given
                and all(
                    _real(self._tensor(p)) and makers.issuperset(self._users(p))
                    for p in self.made[place[0]].reads
                )
            ]
            if not deeper:
                return list(found)
            for place in deeper:
                del found[place]
                found |= dict.fromkeys(self.made[place[0]].reads)

    def _users(self, place: _Place) -> list[int]:
        return [j for j in self.used[place[0]] if place in self.made[j].reads]

    def _tensor(self, place: _Place) -> Tensor:
        return self.made[place[0]].outputs[place[1]]

    def _name(self, anchor: int) -> str:
        names = [self.told[p] for p in self.made[anchor].parameters if p in self.told]
        return f"loop over {names[0].removesuffix('.weight')}" if names else "loop"

    def named(self, bound: dict[str, list[_Place]]) -> _Turns:
        """Return the loop whose states local variables of these names hold."""
        roles: list[list[_Place]] = []
        for name, places in bound.items():
            line: list[_Place] = []
            for i, slot in reversed(places):
                key = self.made[i].key
                line = [(j, slot) for j, new in enumerate(self.made) if new.key == key]
                if len(line) >= LEAST:
                    break
            if len(line) < LEAST or not _real(self._tensor(line[0])):
                raise InputError(
                    f"No local variable {name!r} of the model's code held {LEAST} states or more, "
                    "one after another, while it ran.",
                    fix="Give states= the names of the variables that the loop carries from one "
                    'step to the next, such as states=["h", "c"].',
                )
            roles.append(line)
        if len({len(line) for line in roles}) > 1:
            counts = ", ".join(f"{n!r} {len(r)}" for n, r in zip(bound, roles, strict=True))
            raise InputError(f"The states do not come equally often: {counts}.")
        states = [sorted(places) for places in zip(*roles, strict=True)]
        ends = [max(places)[0] for places in states]
        first = [place[0] for place in roles[0]]
        return self._with_reads(f"loop of {', '.join(bound)}", states, ends, self._reach(first))


@cache
def _positions(code: CodeType) -> list[Any]:
    """Return lines and columns of each instruction: which one makes a call changes as Python learns
    the types, where it stands does not."""
    return list(code.co_positions())


def _tensors(given: Any) -> Iterable[Tensor]:
    return [t for t in tree_flatten(given)[0] if isinstance(t, Tensor)]


def _real(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() > 0 and tensor.numel() > 0


def _rows(tensor: Tensor) -> Tensor:
    return tensor.flatten(1) if tensor.dim() > 1 else tensor[None]

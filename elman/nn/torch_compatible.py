"""`RNN`, `LSTM` and `GRU` in place of torch.nn's, with lengths, resets and options of our cells.

Constructor, parameters and state_dict are torch's. On a CPU a call goes layer by layer through
`elman.kernels`, with torch's parameters in place of the cells'; elsewhere torch's own call is used
where it can serve.

The classes derive from `torch.nn.RNNBase` and take methods of `torch.nn.LSTM` and the others one
by one, because `torch.compile` refuses instances of those classes.

The constructors take the options of our cells too. Options that say where weights start change
nothing else. Options that change the equation replace the parameters by the cell's, under torch's
names where torch has them, and every call then goes through `elman.kernels`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from operator import methodcaller
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman import cells
from elman.cells.base import Cell
from elman.errors import InputError, nearest
from elman.kernels import SequenceError, transforms
from elman.kernels.dispatch import Choice, announce, forced
from elman.kernels.program import lent
from elman.nn.stack import OneWay, check_input, run_layers, swapped
from elman.nn.stream import LayerStream

_ARGUMENTS = (
    "input_size",
    "hidden_size",
    "num_layers",
    "bias",
    "batch_first",
    "dropout",
    "bidirectional",
    "device",
    "dtype",
)
"""Arguments that all three constructors of torch.nn have."""

_START = ("forget_bias", "chrono", "init")
"""Options that say where weights start. All others change the equation."""

_NAMES = {
    "W.weight": "weight_ih",
    "U.weight": "weight_hh",
    "W.bias": "bias_ih",
    "U.bias": "bias_hh",
    "V.weight": "weight_hr",
}
"""Torch's names of the parameters of our cells, in its order."""


class _Extended(nn.RNNBase):
    """Base of the three: everything but the cell."""

    _torch: ClassVar[type[nn.RNNBase]]
    """torch's own layer."""

    _also: ClassVar[tuple[str, ...]] = ()
    """Further arguments of torch's constructor."""

    _defaults: ClassVar[dict[str, Any]]
    """The options of the cell that the constructor takes; the defaults make it torch's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        known = (*_ARGUMENTS, *self._also, *self._defaults, "keep_every")
        for name in kwargs:
            if name not in known and name != "proj_size":  # of which torch says more itself
                raise InputError(
                    f"{type(self).__name__} has no option {name!r}.", fix=nearest(name, known)
                )
        self.keep_every: int | None = kwargs.pop("keep_every", None)
        if self.keep_every is not None and self.keep_every < 1:
            raise InputError(f"keep_every must be at least 1 step, got {self.keep_every}.")
        self._options = {n: kwargs.pop(n, default) for n, default in self._defaults.items()}
        self._asked = {n: v for n, v in self._options.items() if v != self._defaults[n]}
        self._altered = any(name not in _START for name in self._asked)
        super().__init__(*self._for_base(args, kwargs), **kwargs)
        for name in ("forget_bias", "chrono"):
            if name in self._asked and not self.bias:
                raise InputError(f"{name} is where a bias starts, and bias=False leaves none.")
        # Without storage and, in a tuple, not registered: parameters and state_dict stay torch's.
        later = (self.proj_size or self.hidden_size) * (1 + self.bidirectional)
        self._cells = (self._cell(self.input_size), self._cell(later))
        own = dict(self._cells[0].named_parameters())
        self._names = {ours: theirs for ours, theirs in _NAMES.items() if ours in own}
        self._names |= {n: n.replace(".", "_") for n in own if n not in _NAMES}
        ends = [_end(layer, direction) for layer, direction in self._runs()]
        self._named = [[(ours, n + end) for ours, n in self._names.items()] for end in ends]
        if self._altered:
            self._replace_parameters()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew as torch.nn does, except where the options say otherwise."""
        if not hasattr(self, "_cells"):
            return  # torch's constructor asks for this while there is nothing to draw yet
        by_torch = self._options["init"] == "torch"
        if by_torch:
            super().reset_parameters()
        if not self._asked:
            return
        start = methodcaller("reset_special" if by_torch else "reset_parameters")
        for layer, direction in self._runs():
            cell = self._cells[min(layer, 1)]
            with lent(cell, self._weights(layer, direction)):
                start(cell)

    def flatten_parameters(self) -> None:
        """Lay the weights out for cuDNN, if the equation is torch's."""
        if not self._altered:
            super().flatten_parameters()

    def extra_repr(self) -> str:
        """Return the arguments that differ from their defaults, for `print`."""
        return ", ".join([super().extra_repr(), *(f"{n}={v!r}" for n, v in self._asked.items())])

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        return_states: bool = False,
    ) -> Any:
        """Run the layers over a batch of sequences; without keyword arguments, torch.nn's call.

        Args:
            input: `(T, B, input_size)`, `(B, T, input_size)` if `batch_first`, `(T, input_size)`
                for one row without a batch, or a PackedSequence.
            hx: the state before the first step as torch.nn takes it, `(layers * directions, B,
                size)` each, also if `batch_first`; zeros if None.
            lengths: `(B,)` integers, steps of each row, zero included, on any device.
            reset: bool, shaped as `input` without its features: true where a new sequence begins.
            return_states: also return every state after every step.

        Returns:
            `(output, hidden)` as torch.nn returns them, output zero beyond each row's length. With
            `return_states` a third item, shaped as hidden with a time axis more: `(layers *
            directions, T, B, size)` each, `(layers * directions, B, T, size)` if `batch_first`.
            For a PackedSequence the states are padded and in the order of its rows.

        Raises:
            SequenceError: a shape, type or range is wrong; the message says which.
        """
        self._check(input, hx, reset)
        if lengths is None and reset is None and not return_states:
            if (reason := self._fits_torch(input)) is not None:
                announce(Choice("torch", reason, type(self).__name__))
                return self._torch.forward(self, input, hx)
            if self._stays_single(input, hx):
                with torch.autocast("cpu", enabled=False):
                    return self.forward(input.float(), hx)
        call: dict[str, Any] = {"lengths": lengths, "reset": reset, "return_states": return_states}
        if isinstance(input, PackedSequence):
            output, hidden, states = self._run_packed(input, hx, **call)
        elif input.dim() == 2:
            output, hidden, states = self._run_unbatched(input, hx, **call)
        else:
            output, hidden, states = self._run_batched(input, hx, **call)
        return (output, hidden, states) if return_states else (output, hidden)

    qconfig = transforms.unquantised

    def _slow_forward(self, *args: Any, **kwargs: Any) -> Any:
        """The call that torch.jit.trace and the older ONNX exporter make, which write down torch's
        own operations: torch.nn's call, where it can serve."""
        # The exporter gives every argument by its place, and makes a tensor of False.
        names = ("input", "hx", "lengths", "reset", "return_states")
        call = dict(zip(names, args, strict=False)) | kwargs
        wanted = call.get("return_states", False)
        beyond = bool(wanted) or any(call.get(name) is not None for name in ("lengths", "reset"))
        if self._altered or beyond:
            raise transforms.untraceable(self)
        return super()._slow_forward(  # type: ignore[no-untyped-call]
            *[call[name] for name in names[:2] if name in call]
        )

    def stream(self, batch: int = 1) -> LayerStream:
        """Return the layer on a stream: step by step, in constant memory, as in evaluation mode.

        A stream keeps the weights it began with, and nothing for gradients; see
        `elman.nn.stream`.

        Args:
            batch: rows that are fed side by side.

        Raises:
            InputError: the layer is bidirectional, or there is no row.

        >>> stream = LSTM(3, 8).stream(batch=2)
        >>> y = stream.step(torch.ones(2, 3))
        >>> h, c = stream.state
        >>> y.shape, c.shape, torch.equal(h[0], y)
        (torch.Size([2, 8]), torch.Size([1, 2, 8]), True)
        """

        def by_layer(hx: Any) -> list[tuple[Tensor, ...]]:
            self._check_state(hx, batch)
            parts = (hx,) if isinstance(hx, Tensor) else hx
            return [tuple(part[layer] for part in parts) for layer in range(self.num_layers)]

        return LayerStream(
            self,
            [(self._cells[min(k, 1)], self._weights(k, 0)) for k in range(self.num_layers)],
            batch,
            pack=self._stacked,
            unpack=by_layer,
        )

    def _cell(self, input_size: int) -> Cell:
        """Make a cell of this layer's kind; its weights are given at each run."""
        raise NotImplementedError

    def _for_base(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return the positional arguments of `nn.RNNBase`: the mode, then torch's layer's."""
        if "proj_size" in kwargs and "proj_size" not in self._also:
            raise InputError("proj_size is for an LSTM.")
        return (self._torch.__name__, *args)

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Give layers and directions in the order in which they run."""
        return itertools.product(range(self.num_layers), range(1 + self.bidirectional))

    def _replace_parameters(self) -> None:
        """Replace the parameters that torch's constructor has made by the cell's."""
        like = self.get_parameter("weight_ih_l0")
        for name in self._flat_weights_names:
            delattr(self, name)
        self._all_weights = []
        for layer, direction in self._runs():
            shaped = dict(self._cells[min(layer, 1)].named_parameters())
            end = _end(layer, direction)
            for ours, theirs in self._names.items():
                empty = torch.empty_like(shaped[ours], device=like.device, dtype=like.dtype)
                self.register_parameter(theirs + end, nn.Parameter(empty))
            self._all_weights.append([theirs + end for theirs in self._names.values()])
        self._flat_weights_names = list(itertools.chain(*self._all_weights))
        self._init_flat_weights()

    def _fits_torch(self, input: Tensor | PackedSequence) -> str | None:
        """Return why torch.nn's own call is taken, or None where it is not."""
        data = input.data if isinstance(input, PackedSequence) else input
        if torch._C._get_tracing_state() is not None:  # an older exporter, see `_slow_forward`
            return "torch.jit.trace takes torch.nn's own call"
        if self._altered or transforms.capturing(data):
            return None
        if forced() == "reference" or transforms.active() is not None:
            return None
        reason = "torch.nn's own call" if forced() == "torch" else self._better_in_torch(data)
        whole = self.batch_first and data.dim() == 3 and data is input
        return reason if data.shape[1 if whole else 0] > 0 else None

    def _better_in_torch(self, data: Tensor) -> str | None:
        """Return why torch.nn's own call is the faster one, or None."""
        plain = data.dtype in (torch.float32, torch.float64, torch.bfloat16)
        if data.device.type != "cpu" or not plain:
            return "torch.nn's own call"
        if not torch.is_autocast_enabled("cpu"):
            return None
        if torch.get_autocast_dtype("cpu") != torch.bfloat16:
            return "torch.nn's own call"
        # In bfloat16 torch has one kernel for a whole LSTM; of all others it makes a loop.
        fused = self.mode == "LSTM" and not self.proj_size and data.dtype != torch.float64
        if fused and torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return "autocast asks for bfloat16, in which torch's is faster"
        return None

    def _stays_single(self, input: Tensor | PackedSequence, hx: Any) -> bool:
        """Return whether torch.nn would give float32 under autocast: a GRU adds its state."""
        data = input.data if isinstance(input, PackedSequence) else input
        return (
            self.mode == "GRU"
            and (data if hx is None else hx).dtype == torch.float32
            and data.dtype in (torch.float32, torch.bfloat16)
            and torch.is_autocast_enabled("cpu")
            and data.is_cpu
            and not transforms.capturing(data)
        )

    def _run_batched(self, input: Tensor, hx: Any, reset: Tensor | None, **call: Any) -> Any:
        first = self.batch_first
        reset = None if reset is None else swapped(reset, first)
        output, hidden, states = self._run(swapped(input, first), hx, reset=reset, **call)
        if first:
            states = _each(lambda s: s.transpose(1, 2), states)
        return swapped(output, first), hidden, states

    def _run_unbatched(
        self, input: Tensor, hx: Any, lengths: Any, reset: Tensor | None, **call: Any
    ) -> Any:
        if lengths is not None:
            raise SequenceError(
                "lengths has an entry for each row of a batch; this input has no batch."
            )
        reset = None if reset is None else reset[:, None]
        hx = _each(lambda h: h[:, None], hx)
        output, hidden, states = self._run(input[:, None], hx, lengths=None, reset=reset, **call)
        return output[:, 0], _each(lambda h: h[:, 0], hidden), _each(lambda s: s[:, :, 0], states)

    def _run_packed(
        self, packed: PackedSequence, hx: Any, lengths: Any, reset: Tensor | None, **call: Any
    ) -> Any:
        if lengths is not None or reset is not None:
            raise SequenceError(
                "A PackedSequence has its own lengths and no place for resets.",
                fix="Pass the padded tensor with lengths= and reset= instead.",
            )
        data, batch_sizes, order, back = packed
        steps, batch = len(batch_sizes), int(batch_sizes[0])
        rank = torch.arange(batch, device=data.device)
        running = rank < batch_sizes.to(data.device)[:, None]
        where = running.flatten().nonzero()[:, 0]
        x = data.new_zeros(steps * batch, data.shape[1]).index_copy(0, where, data)
        if order is not None:
            hx = _each(lambda h: h.index_select(1, order), hx)
        output, hidden, states = self._run(
            x.view(steps, batch, -1), hx, lengths=running.sum(0), reset=None, **call
        )
        if back is not None:
            hidden = _each(lambda h: h.index_select(1, back), hidden)
            states = _each(lambda s: s.index_select(2, back), states)
        kept = output.flatten(0, 1).index_select(0, where)
        return PackedSequence(kept, batch_sizes, order, back), hidden, states

    def _run(self, x: Tensor, hx: Any, *, return_states: bool, **call: Any) -> Any:
        """Run the stack on `x` `(T, B, F)`; `hx`, the final state and all states as in torch.nn."""
        state = None
        if hx is not None:
            parts = hx if isinstance(hx, tuple | list) else (hx,)
            state = [tuple(part[k] for part in parts) for k in range(len(parts[0]))]
        found = run_layers(
            x,
            self._one_way,
            num_layers=self.num_layers,
            directions=1 + self.bidirectional,
            state=state,
            between=self._dropped if self.dropout else None,
            return_states=return_states,
            keep_every=self.keep_every,
            **call,
        )
        states = self._stacked(found.states) if return_states else None
        return found.output, self._stacked(found.state), states

    def _one_way(self, layer: int, direction: int) -> OneWay:
        weights = self._weights(layer, direction)
        return OneWay(self._cells[min(layer, 1)], direction == 1, weights)

    def _dropped(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.dropout, self.training)

    def _weights(self, layer: int, direction: int) -> dict[str, Tensor]:
        names = self._named[layer * (1 + self.bidirectional) + direction]
        return {ours: getattr(self, theirs) for ours, theirs in names}

    def _stacked(self, parts: list[tuple[Tensor, ...]]) -> Any:
        stacked = tuple(
            torch.stack(part) if len(part) > 1 else part[0].unsqueeze(0)
            for part in zip(*parts, strict=True)
        )
        return stacked if self.mode == "LSTM" else stacked[0]

    def _check(self, input: Tensor | PackedSequence, hx: Any, reset: Tensor | None) -> None:
        # A reset with a PackedSequence is refused where that is run.
        x, placed = (input.data, None) if isinstance(input, PackedSequence) else (input, reset)
        weight: Any = self.weight_ih_l0
        check_input(
            "input",
            x,
            placed,
            weight,
            input_size=self.input_size,
            batch_first=self.batch_first,
            unbatched=True,
        )
        if hx is not None:
            batch: int | None = None
            if isinstance(input, PackedSequence):
                batch = int(input.batch_sizes[0])
            elif input.dim() == 3:
                batch = input.shape[0 if self.batch_first else 1]
            self._check_state(hx, batch)

    def _check_state(self, hx: Any, batch: int | None) -> None:
        name = type(self).__name__
        if self.mode == "LSTM":
            if isinstance(hx, Tensor) or len(hx) != 2:
                came = "a tensor" if isinstance(hx, Tensor) else f"{len(hx)} items"
                raise SequenceError(f"{name} takes its state as (h_0, c_0), got {came}.")
            sizes = {"h_0": self.proj_size or self.hidden_size, "c_0": self.hidden_size}
        else:
            if not isinstance(hx, Tensor):
                raise SequenceError(f"{name} takes its state as one tensor h_0, got {type(hx)}.")
            hx, sizes = (hx,), {"h_0": self.hidden_size}
        rows = self.num_layers * (1 + self.bidirectional)
        for (what, size), h in zip(sizes.items(), hx, strict=True):
            axes = {"num_layers * directions": rows, "batch": batch, "size": size}
            if batch is None:
                del axes["batch"]
            form = ", ".join(f"{axis}={n}" for axis, n in axes.items())
            if h.dim() != len(axes):
                raise SequenceError(
                    f"{what} must have {len(axes)} axes ({form}) for this input, "
                    f"got {h.dim()}: {tuple(h.shape)}."
                )
            for i, (axis, expected) in enumerate(axes.items()):
                if h.shape[i] != expected:
                    raise SequenceError(
                        f"{what} must be ({form}): axis {i} ({axis}) is {h.shape[i]}, expected "
                        f"{expected}. A state has this form whatever batch_first is."
                    )


class RNN(_Extended):
    """`torch.nn.RNN` with `lengths=`, `reset=` and `return_states=` in its call.

    Takes torch.nn's arguments and, by keyword:

    Args:
        init: how weights start, by a name that `elman.cells.Elman` knows; "torch" draws
            torch.nn's.

    Raises:
        InputError: no such option; the message names the nearest.

    >>> layer = RNN(2, 3, nonlinearity="relu")
    >>> _ = layer.load_state_dict(torch.nn.RNN(2, 3).state_dict())
    >>> output, h_n = layer(torch.zeros(5, 1, 2), lengths=[3])
    >>> bool((output[2] == h_n[0]).all())
    True
    """

    _torch = nn.RNN
    _also = ("nonlinearity",)
    _defaults: ClassVar[dict[str, Any]] = {"init": "torch"}

    def _for_base(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        named = kwargs.pop("nonlinearity", "tanh")
        self.nonlinearity = args[3] if len(args) > 3 else named
        if self.nonlinearity not in ("tanh", "relu"):
            raise InputError(
                f"nonlinearity={self.nonlinearity!r} is not known.",
                fix=nearest(self.nonlinearity, ("tanh", "relu")),
            )
        _, *rest = super()._for_base((*args[:3], *args[4:]), kwargs)
        return (f"RNN_{self.nonlinearity.upper()}", *rest)

    def _cell(self, input_size: int) -> Cell:
        return cells.Elman(
            input_size,
            self.hidden_size,
            nonlinearity=self.nonlinearity,
            bias=self.bias,
            device="meta",
            **self._options,
        )


class LSTM(_Extended):
    """`torch.nn.LSTM` with `lengths=`, `reset=` and `return_states=` in its call.

    Takes torch.nn's arguments and, by keyword, the options of `elman.cells.LSTM`. The first
    three say where weights start, and the layer remains torch.nn's. With one of the others it
    computes another equation, by `elman.kernels`. Parameters that torch.nn has too keep their
    names (their rows are the cell's gates: i, g, o if `coupled`); others are named as in the
    cell, with torch's ending: `p_i_l0`, `norm_x_weight_l0_reverse`.

    Args:
        forget_bias: start of the bias of f, the sum of torch's two biases; None leaves it as
            drawn.
        chrono: longest dependency expected, in steps: the biases of f and i start so as to
            remember up to that long; it replaces `forget_bias`.
        init: how weights start, by a name that the cell knows; "torch" draws torch.nn's.
        peepholes: the gates see the cell.
        coupled: f = 1 - i.
        layer_norm: W x and U h are normalised before they are added, and c' before its tanh.

    Raises:
        InputError: no such option (the message names the nearest), or one that says where a
            bias starts with `bias=False`.

    >>> layer = LSTM(2, 3, forget_bias=1.0)
    >>> (layer.bias_ih_l0 + layer.bias_hh_l0)[3:6].tolist()
    [1.0, 1.0, 1.0]
    >>> [name for name, _ in LSTM(2, 3, coupled=True, peepholes=True).named_parameters()]
    ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0', 'p_i_l0', 'p_o_l0']

    >>> layer = LSTM(2, 3, num_layers=2, batch_first=True)
    >>> with torch.no_grad():
    ...     output, (h_n, c_n), (h, c) = layer(torch.ones(1, 5, 2), return_states=True)
    >>> c.shape, torch.equal(c[:, :, -1], c_n), torch.equal(h[-1], output)
    (torch.Size([2, 1, 5, 3]), True, True)
    """

    _torch = nn.LSTM
    check_forward_args: Any = nn.LSTM.check_forward_args
    get_expected_cell_size: Any = nn.LSTM.get_expected_cell_size
    permute_hidden: Any = nn.LSTM.permute_hidden
    _also = ("proj_size",)
    _defaults: ClassVar[dict[str, Any]] = {
        "forget_bias": None,
        "chrono": None,
        "init": "torch",
        "peepholes": False,
        "coupled": False,
        "layer_norm": False,
    }

    def _cell(self, input_size: int) -> Cell:
        return cells.LSTM(
            input_size,
            self.hidden_size,
            proj_size=self.proj_size,
            bias=self.bias,
            device="meta",
            **self._options,
        )


class GRU(_Extended):
    """`torch.nn.GRU` with `lengths=`, `reset=` and `return_states=` in its call.

    Takes torch.nn's arguments and, by keyword, the options of `elman.cells.GRU`. The first two
    say where weights start, and the layer remains torch.nn's.

    Args:
        chrono: longest dependency expected, in steps: the bias of z starts so as to remember
            up to that long.
        init: how weights start, by a name that the cell knows; "torch" draws torch.nn's.
        reset_after: False resets the state before the product, Cho's own form, which runs
            by `elman.kernels`. Its weight_hh has the rows of r and z, `U_n_weight_l0` (and so
            on) those of n; it has no bias_hh.

    Raises:
        InputError: no such option (the message names the nearest), or `chrono` with
            `bias=False`.

    >>> GRU(2, 3, reset_after=False)
    GRU(2, 3, reset_after=False)
    >>> layer = GRU(2, 3)
    >>> reset = torch.tensor([[False], [True], [False]])
    >>> whole, _ = layer(torch.ones(3, 1, 2), reset=reset)
    >>> torch.allclose(whole[1:], layer(torch.ones(2, 1, 2))[0], atol=1e-6)
    True
    """

    _torch = nn.GRU
    _defaults: ClassVar[dict[str, Any]] = {"chrono": None, "init": "torch", "reset_after": True}

    def _cell(self, input_size: int) -> Cell:
        return cells.GRU(
            input_size, self.hidden_size, bias=self.bias, device="meta", **self._options
        )


def _end(layer: int, direction: int) -> str:
    """Return the ending of torch's names of a layer's parameters."""
    return f"_l{layer}" + ("_reverse" if direction else "")


def _each(f: Callable[[Tensor], Tensor], state: Any) -> Any:
    if state is None:
        return None
    if isinstance(state, tuple | list):
        return tuple(f(s) for s in state)
    return f(state)

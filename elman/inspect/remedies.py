"""Remedies from the literature, as settings of `elman train`, each with its source.

The cell itself says which options it has, so that no remedy is proposed that it cannot take.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import Any

from elman.cells import CELLS, make, options_of
from elman.inspect.facts import LayerFacts, RunFacts
from elman.training import Settings

FAR = 20
"""Steps beyond which no ungated network is worth mending: what keeps it from exploding makes it
vanish (Bengio, Simard & Frasconi 1994)."""
EXPANDS = 1.2
"""Spectral radius of the step's Jacobian beyond which it is the weights that explode."""
UPDATES, LEAPS = 0.03, 0.2
"""Size of an update over that of the weights: too much for long, and too much even once; around
1e-3 is usual."""
NEARER = 0.5
"""Share of the need: so much less is worth reading a sequence the other way."""
LONG = 4
"""Times the need: a window so long carries gradients of which three quarters serve nothing."""
FEW, LENGTHY = 200, 100
"""Training sequences at most, and steps at least, where convolutions beside the recurrence have
scored best (docs/tasks/classify.md)."""
_SLOWEST = 1e-3
"""Share of the learning rate that a remedy leaves at least: figures that ask for less are of a
training that broke."""


@dataclass(frozen=True)
class Remedy:
    """A remedy from the literature.

    Attributes:
        what: in words.
        settings: of `elman train`, to be changed together; empty where it is no setting.
        source: who found it.
    """

    what: str
    settings: dict[str, Any]
    source: str

    @property
    def line(self) -> str:
        """The settings as options of `elman train` in a shell.

        >>> print(Remedy("", {"clip_at": 0.5, "cell_options": {"chrono": 40}}, "").line)
        --set clip_at=0.5 --set 'cell_options={chrono: 40}'
        """
        pairs = [f"{name}={_yaml(value)}" for name, value in self.settings.items()]
        return " ".join(f"--set {shlex.quote(pair) if ' ' in pair else pair}" for pair in pairs)

    @property
    def code(self) -> str:
        """Write the settings as code or words, for a model that is no run of `elman train`.

        >>> print(Remedy("", {"cell": "lstm", "cell_options": {"chrono": 40}}, "").code)
        elman.nn.Recurrent("lstm", input_size, hidden_size, chrono=40)
        >>> print(Remedy("", {"clip": "norm", "clip_at": 0.5}, "").code)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        """
        left = dict(self.settings)
        cell, options = left.pop("cell", None), left.pop("cell_options", None)
        of_layer = {k: left.pop(k) for k in _OF_LAYER if k in left}
        told = []
        if cell is not None or options is not None or of_layer:
            given = [f'"{cell}", input_size, hidden_size'] if cell is not None else ["..."]
            given += [f"{k}={v!r}" for k, v in ((options or {}) | of_layer).items()]
            told.append(f"elman.nn.Recurrent({', '.join(given)})")
            if cell is None and options == {}:
                told[-1] += ", no option of the cell changed"
        told += [words.format(left[name]) for name, words in _IN_CODE.items() if name in left]
        return "; ".join(told)


_OF_LAYER = ("num_layers", "bidirectional", "residual", "dropout", "recurrent_dropout")
_IN_CODE = {
    "clip_at": "torch.nn.utils.clip_grad_norm_(model.parameters(), {})",
    "lr": "lr={} in the optimizer",
    "reverse": "x.flip(0), time being the first axis",
    "k1": "state detached every {} steps, and not more often",
    "k2": "gradients through {} steps",
    "patience": "a stop after {} validations without a gain",
    "front_channels": "elman.nn.ManyToOne(..., beside=elman.nn.conv.ConvFront1d(input_size, {}))",
}
"""Settings of training as a loop of one's own has them."""


def changes(remedy: Remedy, run: RunFacts) -> bool:
    """Say whether a remedy would change a run: an option that its cell has anyway does not.

    >>> run = RunFacts(settings={"cell": "lstm", "cell_options": {}})
    >>> changes(Remedy("", {"cell_options": {"forget_bias": 1.0}}, ""), run)
    False
    """
    if not run.settings or not remedy.settings:
        return True
    return _spelt_out(run.settings | remedy.settings) != _spelt_out(run.settings)


def _spelt_out(settings: dict[str, Any]) -> dict[str, Any]:
    cell = settings.get("cell")
    own = options_of(cell) if cell in CELLS else {}
    known = settings | {"cell_options": own | (settings.get("cell_options") or {})}
    if "clip" in settings:
        clipping = {k: settings.get(k) for k in ("clip", "clip_at")}
        known["clip_at"] = Settings.recorded(clipping).clip_threshold
    return known


# Options of the cell


def _name(cell: str) -> str | None:
    """Return the name that `elman train` has for a cell of this class."""
    return next((name for name, kind in CELLS.items() if kind.__name__ == cell), None)


def _has(facts: LayerFacts, option: str) -> bool:
    name = _name(facts.cell)
    return name is not None and option in options_of(name)


def gated(facts: LayerFacts) -> bool:
    """Say whether gates keep the state, with biases that can begin at a chosen memory."""
    return _has(facts, "chrono")


def with_options(run: RunFacts, **changed: Any) -> dict[str, Any]:
    """Return the setting that changes these options of the cell and leaves the others."""
    return {"cell_options": {**(run.settings.get("cell_options") or {}), **changed}}


def begun(run: RunFacts, settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings that say how weights begin, with every other such setting taken out."""
    return settings | ({"init_scale": None} if run.settings.get("init_scale") is not None else {})


def orthogonal(
    facts: LayerFacts,
    run: RunFacts,
    what: str = "recurrent weights that begin orthogonal",
    source: str = "Saxe, McClelland & Ganguli 2014",
) -> tuple[Remedy, ...]:
    """Return recurrent weights that begin orthogonal, where the cell has a choice."""
    if not _has(facts, "init"):
        return ()
    return (Remedy(what, begun(run, with_options(run, init="orthogonal")), source),)


def normalised(facts: LayerFacts, run: RunFacts, what: str) -> tuple[Remedy, ...]:
    """Return layer normalisation within the cell, where it has that."""
    if not _has(facts, "layer_norm"):
        return ()
    return (Remedy(what, with_options(run, layer_norm=True), "Ba, Kiros & Hinton 2016"),)


def to_move(facts: LayerFacts, run: RunFacts) -> tuple[Remedy, ...]:
    """Return remedies for a gate that is always open or always shut."""
    options = run.settings.get("cell_options") or {}
    usual = {k: v for k, v in options.items() if k not in ("forget_bias", "chrono")}
    return (
        Remedy(
            "biases of the gates that begin where a gate can move",
            begun(run, {"cell_options": usual}),
            "Jozefowicz, Zaremba & Sutskever 2015",
        ),
        *normalised(facts, run, "normalise what goes into the gates"),
        *to_slow(run),
    )


def to_bound(facts: LayerFacts, run: RunFacts) -> tuple[Remedy, ...]:
    """Return remedies for a state that grows without bound."""
    if _has(facts, "coupled"):
        options = dict(run.settings.get("cell_options") or {})
        # A gate that began shut or open for good would be both gates' now.
        options.pop("forget_bias", None)
        coupled = Remedy(
            "input and forget gate coupled, f = 1 - i, which bounds the cell",
            {"cell_options": {**options, "coupled": True}},
            "Greff et al. 2017",
        )
        # Normalised where it is read, the cell grows as before.
        return coupled, *normalised(facts, run, "the cell state normalised before it is read")
    start = () if gated(facts) else orthogonal(facts, run)
    if facts.cell == "GRU":
        return start
    return *start, Remedy(
        "a gated cell whose state is a mean of bounded ones",
        {"cell": "gru", "cell_options": {}},
        "Cho et al. 2014",
    )


def to_revive(facts: LayerFacts, run: RunFacts) -> tuple[Remedy, ...]:
    """Return units that cannot die instead of rectified ones, gated where memory is long."""
    settings: dict[str, Any] = {"cell": "elman", "cell_options": {"nonlinearity": "tanh"}}
    if _has(facts, "nonlinearity"):
        settings = {"cell": _name(facts.cell), **with_options(run, nonlinearity="tanh")}
    tanh = Remedy("units that cannot die: tanh", settings, "Glorot & Bengio 2010")
    if run.need is None or run.need <= FAR:
        return (tanh,)
    gates = Remedy(
        "units that cannot die, behind gates that begin open for as long as is needed",
        begun(run, {"cell": "lstm", "cell_options": {"chrono": round(run.need)}}),
        "Hochreiter & Schmidhuber 1997; Tallec & Ollivier 2018",
    )
    return gates, tanh


def to_remember(facts: LayerFacts, run: RunFacts) -> tuple[Remedy, ...]:
    """Return remedies for a short memory, the one for this cell first; reading from the other end
    comes before all where the memory that there is would do from there."""
    need = max(4, round(run.need or 0))
    turned = _turned(run)
    if gated(facts):
        found = [
            Remedy(
                f"biases of the gates that begin with horizons up to {need} {run.unit}",
                begun(run, with_options(run, chrono=need)),
                "Tallec & Ollivier 2018",
            )
        ]
        # A chrono start says what the bias of the forget gate is, whatever forget_bias.
        chrono = (run.settings.get("cell_options") or {}).get("chrono")
        if _has(facts, "forget_bias") and chrono is None:
            found.append(
                Remedy(
                    "a bias of the forget gate that begins at 1",
                    begun(run, with_options(run, forget_bias=1.0)),
                    "Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015",
                )
            )
    else:
        found = [
            Remedy(
                "a gated cell whose gates begin open for as long as is needed",
                begun(run, {"cell": "lstm", "cell_options": {"chrono": need}}),
                "Hochreiter & Schmidhuber 1997; Tallec & Ollivier 2018",
            )
        ]
        if facts.cell != "IRNN":
            found.append(
                Remedy(
                    "rectified units that begin as the identity",
                    begun(run, {"cell": "irnn", "cell_options": {}}),
                    "Le, Jaitly & Hinton 2015",
                )
            )
        found += orthogonal(facts, run)
    if facts.horizon is not None and facts.horizon >= (run.need_reversed or 0.0):
        return *turned, *found
    return *found, *turned


def _turned(run: RunFacts) -> tuple[Remedy, ...]:
    """Return reading from the end, or from both, where the need stands far from the end."""
    settings = run.settings
    if run.need is None or run.need_reversed is None:
        return ()
    if settings.get("bidirectional", True):  # both ends are read, or there is no such setting
        return ()
    if run.need_reversed > NEARER * run.need:
        return ()
    both: dict[str, Any] = {"bidirectional": True}
    if settings.get("reverse"):
        both["reverse"] = False
    from_both = Remedy("reading from both ends", both, "Schuster & Paliwal 1997")
    if settings.get("reverse", True):
        return (from_both,)
    what = f"reading from the end, so that the need is {run.need_reversed:.3g} {run.unit}"
    return Remedy(what, {"reverse": True}, "Sutskever, Vinyals & Le 2014"), from_both


def to_calm(facts: LayerFacts, run: RunFacts) -> tuple[Remedy, ...]:
    """Return remedies for gradients that explode, the one for this cell first."""
    at = run.norms[0] if run.norms is not None and math.isfinite(run.norms[0]) else 1.0
    clipped = Remedy(
        "clip the norm of the gradient, at the median that was measured",
        {"clip": "norm", "clip_at": rounded(min(at, 1.0)) or 1.0},
        "Pascanu, Mikolov & Bengio 2013",
    )
    rest = (*_shorter(run), *to_slow(run))
    if gated(facts):
        return clipped, *rest
    far = run.need is not None and run.need > FAR
    lstm: dict[str, Any] = {"cell": "lstm", "cell_options": {}}
    if far:
        lstm = begun(run, {"cell": "lstm", "cell_options": {"chrono": round(run.need or 0)}})
    gates = Remedy("a gated cell", lstm, "Hochreiter & Schmidhuber 1997")
    what = "recurrent weights that begin orthogonal, of radius 1"
    start = tuple(r for r in orthogonal(facts, run, what) if changes(r, run))
    # Clipping helps a step that is now and then too long, not a matrix that always is.
    if far:
        return gates, clipped, *start, *rest
    if facts.radius is not None and facts.radius > EXPANDS:
        return *(start or (gates,)), clipped, *((gates,) if start else ()), *rest
    return clipped, *start, gates, *rest


def _shorter(run: RunFacts) -> tuple[Remedy, ...]:
    """Return a shorter window, where gradients flow through far more steps than the data needs:
    over k of them they grow by the k-th power of what they grow by in one."""
    if not run.window or not run.need or run.window < LONG * run.need:
        return ()
    enough = max(2, math.ceil(2 * run.need))
    k1 = run.settings.get("k1")
    if k1 is None or enough >= run.window:
        return ()
    settings = {"k2": max(k1, enough)} if run.settings.get("k2") else {"k1": enough}
    return (
        Remedy(
            f"windows of {max(settings.values())} {run.unit}, twice what the data needs",
            settings,
            "Williams & Peng 1990",
        ),
    )


def to_look_back(run: RunFacts, steps: int, what: str) -> Remedy:
    """Return longer windows; without a setting where training has no windows."""
    name = "k2" if run.settings.get("k2") else "k1"
    return Remedy(
        f"windows of {steps} {run.unit}, {what}",
        {name: steps} if name in run.settings else {},
        "Williams & Peng 1990; Tallec & Ollivier 2017",
    )


def to_reach_down(facts: LayerFacts, layers: int, run: RunFacts) -> tuple[Remedy, ...]:
    """Return remedies for gradients that vanish between the layers of a stack of so many."""
    residual = Remedy(
        "connections past each layer: what it reads is added to what it gives out",
        {"residual": True},
        "He, Zhang, Ren & Sun 2016; Wu et al. 2016",
    )
    fewer = min(4, layers - 1)
    # One layer alone has nothing to be joined to.
    parted = {"residual": False} if fewer == 1 and run.settings.get("residual") else {}
    short = Remedy(
        "one layer" if fewer == 1 else f"{fewer} layers: plain stacks seldom gain beyond four",
        {"num_layers": fewer, **parted},
        "Wu et al. 2016",
    )
    return (
        residual,
        *orthogonal(
            facts,
            run,
            "weights between layers that keep the gradient's size, recurrent ones orthogonal",
            "Glorot & Bengio 2010; Saxe, McClelland & Ganguli 2014",
        ),
        *normalised(facts, run, "layer normalisation within the cell"),
        short,
    )


def to_clip_less(run: RunFacts) -> tuple[Remedy, ...]:
    """Return remedies for clipping that always acts."""
    if run.norms is None or not math.isfinite(run.norms[1]):
        return to_slow(run)
    # A model held back has hardly moved: once it learns, gradients are larger than measured.
    at = max(rounded(run.norms[1]), Settings.of({"clip": "norm"}).clip_threshold)
    return (
        Remedy(
            "a threshold that nine steps in ten stay below",
            {"clip": "norm", "clip_at": at},
            "Pascanu, Mikolov & Bengio 2013",
        ),
        *to_slow(run),
    )


def to_generalise(layers: list[LayerFacts], run: RunFacts) -> tuple[Remedy, ...]:
    """Return remedies for learning by heart; none that does less than is done already."""
    settings = run.settings
    found = [*_beside(layers, run)]
    stopping = {"patience": 5} if (settings.get("patience") or math.inf) > 5 else {}
    if float(settings.get("dropout") or 0.0) < 0.5:
        found.append(
            Remedy(
                "dropout of a half, and a stop when validation no longer gains",
                {"dropout": 0.5, **stopping},
                "Zaremba, Sutskever & Vinyals 2014; Prechelt 1998",
            )
        )
    if float(settings.get("recurrent_dropout") or 0.0) < 0.3 and all(map(_recurs, layers)):
        found.append(
            Remedy(
                "dropout of the recurrent weights",
                {"recurrent_dropout": 0.3},
                "Merity, Keskar & Socher 2018",
            )
        )
    if stopping:
        # The best parameters are kept anyway: alone it saves time, and no more.
        found.append(Remedy("stop when validation no longer gains", stopping, "Prechelt 1998"))
    return tuple(found)


def _beside(layers: list[LayerFacts], run: RunFacts) -> tuple[Remedy, ...]:
    """Return convolutions beside the recurrence, for few long series of which each has a label."""
    longest = max((facts.steps for facts in layers), default=0)
    few = run.sequences is not None and run.sequences <= FEW
    if not few or longest < LENGTHY or run.settings.get("front_channels") != []:
        return ()
    settings = {
        **{"front_channels": [128, 256, 128], "front_kernel": [8, 5, 3], "front_stride": 1},
        **{"front_norm": "batch", "front_beside": True, "hidden_size": 8, "dropout": 0.8},
    }
    what = f"convolutions beside the recurrence (LSTM-FCN), for {run.sequences} long series"
    return (Remedy(what, settings, "Karim et al. 2018; Wang, Yan & Oates 2017"),)


def to_train_on(run: RunFacts) -> tuple[Remedy, ...]:
    """Return training for twice as long, in the measure that ended it."""
    bound = run.stopped
    given = run.settings.get(bound)
    if bound not in ("epochs", "max_steps", "budget"):
        settings: dict[str, Any] = {}
    elif bound == "budget":
        settings = {"budget": f"{round(2 * given)}s"} if given else {}
    else:
        settings = {bound: 2 * given} if given else {}
    return (Remedy("training for twice as long", settings, "Prechelt 1998"),)


def to_hurry(run: RunFacts) -> tuple[Remedy, ...]:
    """Return a learning rate at which weights move as much as is usual, where they creep."""
    lr = run.settings.get("lr")
    if lr is None or not run.update_ratio:
        return ()
    factor = min(100.0, 1e-3 / run.update_ratio)
    return (Remedy("a rate at which weights move", {"lr": rounded(lr * factor)}, "Bengio 2012"),)


def to_judge() -> tuple[Remedy, ...]:
    """Return ways to a score that can be trusted."""
    return (
        Remedy("a larger test part, or the mean over several seeds", {}, "Bouthillier et al. 2021"),
    )


def _recurs(facts: LayerFacts) -> bool:
    """Say whether the cell has weights that multiply the state."""
    name = _name(facts.cell)
    return name is None or bool(make(name, 1, 2).recurrent_weights())


def to_slow(run: RunFacts) -> tuple[Remedy, ...]:
    """Return a rate at which weights move as much as is usual; none where none is known."""
    lr = run.settings.get("lr")
    if lr is None:
        return ()
    factor = 1 / 3
    # Early updates are the largest: weights are small and the steps of Adam are not.
    if run.largest_update is not None and run.largest_update > LEAPS:
        factor = min(factor, UPDATES / run.largest_update)
    if run.update_ratio is not None and run.update_ratio > UPDATES:
        factor = min(factor, UPDATES / 4 / run.update_ratio)
    what = (
        "a third of the learning rate" if factor == 1 / 3 else "a rate at which weights move less"
    )
    return (Remedy(what, {"lr": rounded(lr * max(factor, _SLOWEST))}, "Bengio 2012"),)


def rounded(value: float) -> float:
    """Round to two figures: no setting is known better."""
    return float(f"{value:.2g}")


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_yaml(v)}" for k, v in value.items()) + "}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)

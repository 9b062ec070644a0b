"""The steps that decided an answer: input × gradient, for the report of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.nn import Ensemble
from elman.tasks.base import Mark, Section, device_of
from elman.tasks.understood import shorter

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from elman.modalities.base import Codec, Padded, Shown
    from elman.scoring import Evaluation

Array = NDArray[Any]

_WRONG, _RIGHT = 4, 4
"""Wrong and right answers of which a report says what decided."""
_LONGEST = 120
"""Steps of a text that are shown, around the one that weighs most."""


def chosen(units: pd.DataFrame, lengths: Sequence[int] | Array) -> list[int]:
    """Return the rows of the surest wrong and the surest right answers to what is not empty.

    Args:
        units: codes of `truth` and `prediction`, and `confidence`, of each sequence.
        lengths: steps of each sequence.
    """
    wrong = (units["truth"] != units["prediction"]).to_numpy()
    order = np.argsort(-units["confidence"].to_numpy(), kind="stable")
    rows = [*order[wrong[order]][:_WRONG], *order[~wrong[order]][:_RIGHT]]
    return [int(row) for row in rows if lengths[row]]


def titles(evaluation: Evaluation, rows: Sequence[int]) -> list[str]:
    """Return the answer of each row with its probability, and the truth where it is wrong."""
    said, units = evaluation.predictions, evaluation.units
    assert said is not None
    sure = units["confidence"].to_numpy()
    wrong = (units["truth"] != units["prediction"]).to_numpy()
    return [
        f"{said['prediction'][row]} {sure[row]:.0%}"
        + (f" (it is {said['truth'][row]})" if wrong[row] else "")
        for row in rows
    ]


def weights(model: nn.Module, padded: Padded, codes: Sequence[int]) -> Array:
    """Return the part that each step has in the score of a class, `(B, T)`.

    The score is that of the class beside the mean of the others. The part of a step is the sum
    over its features of input times gradient (Shrikumar et al. 2016, "Not just a black box"): of
    the vector that stands for the step, or of its numbers where nothing embeds them.

    Args:
        model: a classifier, or several side by side.
        padded: what it reads.
        codes: the class of each sequence.
    """
    members = model.members if isinstance(model, Ensemble) else [model]
    read: list[Tensor] = []

    def watch(_: nn.Module, given: Any, output: Tensor) -> Tensor:
        read.append(output.detach().requires_grad_())
        return read[-1]

    there = padded.to(device_of(model))
    embeddings = [m.embedding for m in members if isinstance(m.embedding, nn.Module)]
    hooks = [embedding.register_forward_hook(watch) for embedding in embeddings]
    if not embeddings:
        read.append(there.inputs.detach().requires_grad_())
        there = there._replace(inputs=read[0])
    try:
        with torch.enable_grad():
            scores = model(there.inputs, lengths=there.lengths)
            rows = torch.arange(len(scores), device=scores.device)
            own = scores[rows, torch.as_tensor(codes, device=scores.device)]
            others = (scores.sum(1) - own) / max(scores.shape[1] - 1, 1)
            gradients = torch.autograd.grad((own - others).sum(), read)
    finally:
        for hook in hooks:
            hook.remove()
    parts = [(x.detach() * slope).sum(-1) for x, slope in zip(read, gradients, strict=True)]
    found: Array = torch.stack(parts).sum(0).float().cpu().numpy()
    return found


def section(
    codec: Codec, picked: Sequence[Array], titles: Sequence[str], parts: Callable[[], list[Array]]
) -> Section | None:
    """Return what decided some answers; None where a step is neither text nor plain numbers.

    Args:
        codec: of the sequences.
        picked: the encoded sequences.
        titles: of each.
        parts: gives the part that each step of each has in its answer.
    """
    shown = [codec.show(cells) for cells in picked]
    texts = all(one.pieces is not None for one in shown)
    plain = all(cells.ndim == 2 and cells.dtype.kind == "f" for cells in picked)
    if not shown or not (texts or plain) or any(one.picture is not None for one in shown):
        return None
    if texts:
        return of_texts(titles, shown, parts(), codec.unit)
    return of_numbers(titles, picked, parts(), codec.unit)


def of_texts(
    titles: Sequence[str], shown: Sequence[Shown], parts: Sequence[Array], unit: str
) -> Section:
    """Return texts with their pieces coloured by what they did for the answer."""
    lines = []
    for title, text, part in zip(titles, shown, parts, strict=True):
        pieces, largest = text.pieces or [], float(np.abs(part).max(initial=0)) or 1.0
        middle = int(np.abs(part).argmax()) if len(part) else 0
        first = max(0, min(middle - _LONGEST // 2, len(pieces) - _LONGEST))
        line = [Mark(f"{title}: " + ("… " if first else ""))]
        for piece, value in list(zip(pieces, part / largest, strict=True))[first:][:_LONGEST]:
            ground = "90, 160, 230" if value > 0 else "235, 150, 80"
            weak = abs(value) < 0.15
            line.append(Mark(piece, "", "" if weak else f"rgba({ground}, {abs(value):.2f})"))
        lines.append([*line, Mark(" …")] if first + _LONGEST < len(pieces) else line)
    return Section(_TITLE, _WORDS.format(unit), marked=lines)


def of_numbers(
    titles: Sequence[str], arrays: Sequence[Array], parts: Sequence[Array], unit: str
) -> Section:
    """Return sequences of numbers drawn over what their steps did for the answer."""
    from matplotlib.figure import Figure

    arrays, parts = arrays[:_DRAWN], parts[:_DRAWN]
    figure: Figure = Figure(figsize=(5.8, 1.5 * -(-len(arrays) // 2)))
    figure.subplots_adjust(hspace=0.55)
    panels = figure.subplots(-(-len(arrays) // 2), 2, squeeze=False).ravel()
    for axes in panels[len(arrays) :]:
        axes.set_axis_off()
    for axes, title, array, part in zip(panels, titles, arrays, parts, strict=False):
        lines = array.reshape(len(array), -1)[:, :8]
        low, high = float(lines.min()), float(lines.max()) + 1e-9
        largest = float(np.abs(part).max(initial=0)) or 1.0
        axes.imshow(
            (part / largest)[None], cmap="PuOr_r", vmin=-1.4, vmax=1.4, aspect="auto", alpha=0.8,
            extent=(-0.5, len(array) - 0.5, low, high), interpolation="nearest",
        )  # fmt: skip
        axes.plot(lines, color="#444444", linewidth=0.9)
        axes.set_title(shorter(title, 40), fontsize=8, loc="left")
        axes.tick_params(labelsize=7)
        # Every tick is measured several times, and a picture of many panels has no room for more.
        axes.locator_params(nbins=4)
    return Section(_TITLE, _WORDS.format(unit), figure=figure)


_TITLE = "What decided"
_DRAWN = 6
_WORDS = (
    "The part that each of the {} has in the answer (input × gradient). Blue speaks for the "
    "answer that was given, orange against it. Errors come first."
)

"""The steps that decided an answer, by integrated gradients, and a check by taking them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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
_NODES = 16
"""Points between nothing and the input at which the gradient is taken."""
LOOKED_AT, STEPS_LOOKED_AT = 200, 12_000
"""Answers by which the parts are checked at most, and about how many steps they have together."""
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


def weights(model: nn.Module, padded: Padded, codes: Sequence[int], alone: bool = False) -> Array:
    """Return the part that each step has in the score of a class, `(B, T)`.

    The score is that of the class beside the mean of the others. The part of a step is its
    integrated gradient (Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks"),
    summed over the features of the vector that stands for the step, or over its numbers where
    nothing embeds them; it begins at zero. The parts of a row add up to what the score gains from
    nothing being there.

    Args:
        model: a classifier, or several side by side.
        padded: what it reads.
        codes: the class of each sequence.
        alone: the score is that of the class by itself, as where each label stands alone.
    """
    there = padded.to(device_of(model))

    def score(scores: Tensor) -> Tensor:
        rows = torch.arange(len(scores), device=scores.device)
        own = scores[rows, torch.as_tensor(codes, device=scores.device)]
        others = (scores.sum(1) - own) / max(scores.shape[1] - 1, 1)
        return (own if alone else own - others).sum()

    nodes, shares = np.polynomial.legendre.leggauss(_NODES)
    pairs = zip((nodes + 1) / 2, shares / 2, strict=True)
    found: Array = sum(share * _slopes(model, there, node, score) for node, share in pairs)
    return found.astype(np.float32)


def _slopes(
    model: nn.Module, there: Padded, node: float, score: Callable[[Tensor], Tensor]
) -> Array:
    """Return input times gradient, `(B, T)`, the gradient where `node` of the input is read."""
    members = model.members if isinstance(model, Ensemble) else [model]
    embeddings = [m.embedding for m in members if isinstance(m.embedding, nn.Module)]
    whole: list[Tensor] = []
    read: list[Tensor] = []

    def watch(_: nn.Module, given: Any, output: Tensor) -> Tensor:
        whole.append(output.detach())
        read.append((node * output.detach()).requires_grad_())
        return read[-1]

    hooks = [embedding.register_forward_hook(watch) for embedding in embeddings]
    inputs = there.inputs
    if not embeddings:
        inputs = watch(model, None, inputs)
    try:
        with torch.enable_grad():
            asked = score(model(inputs, lengths=there.lengths))
            gradients = torch.autograd.grad(asked, read)
    finally:
        for hook in hooks:
            hook.remove()
    parts = [(x * slope).sum(-1) for x, slope in zip(whole, gradients, strict=True)]
    found: Array = torch.stack(parts).sum(0).double().cpu().numpy()
    return found


class Deletion(NamedTuple):
    """The mean fall of the probability of an answer when steps are taken out.

    Attributes:
        strongest: the steps of the largest parts.
        random: as many, drawn at random.
        examples: how many answers were looked at.
    """

    strongest: float
    random: float
    examples: int

    def __str__(self) -> str:
        return (
            f"Taking out the fifth of the steps with the largest parts lowers the probability of "
            f"the answer by {self.strongest:.3f} in the mean, taking out as many at random by "
            f"{self.random:.3f} ({self.examples} answers)."
        )


def deleted(
    arrays: Sequence[Array],
    parts: Sequence[Array],
    chances: Callable[[Sequence[Array]], Array],
    seed: int = 0,
) -> Deletion:
    """Return what becomes of answers without the steps that weigh most, and without random ones.

    Args:
        arrays: sequences of two steps at least, encoded.
        parts: what each step of each does for its answer.
        chances: gives the probability of each one's answer, as it was given to the whole sequence.
        seed: of what is drawn at random.
    """
    counts = [max(1, len(array) // 5) for array in arrays]
    strongest, random = falls(arrays, parts, chances, counts, np.random.default_rng(seed))
    return Deletion(float(strongest.mean()), float(random.mean()), len(arrays))


def falls(
    arrays: Sequence[Array],
    parts: Sequence[Array],
    chances: Callable[[Sequence[Array]], Array],
    counts: Sequence[int],
    generator: np.random.Generator,
) -> tuple[Array, Array]:
    """Return by how much each answer's probability falls without some steps, `(n,)` twice.

    Args:
        arrays, parts, chances: as for `deleted`.
        counts: steps that are taken out of each sequence.
        generator: draws steps at random.

    Returns:
        The fall without the steps of the largest parts, and without as many random ones.
    """
    without, anyway = [], []
    for array, part, count in zip(arrays, parts, counts, strict=True):
        without.append(np.delete(array, np.argsort(-part, kind="stable")[:count], 0))
        anyway.append(np.delete(array, generator.permutation(len(array))[:count], 0))
    whole = chances(arrays)
    return whole - chances(without), whole - chances(anyway)


def told(steps: Sequence[Any], part: Array) -> list[list[Any]]:
    """Return each step with its share in the answer; the absolute shares add up to 1."""
    whole = float(np.abs(part).sum()) or 1.0
    return [[step, round(float(value) / whole, 4)] for step, value in zip(steps, part, strict=True)]


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
    "The part that each of the {} has in the answer (integrated gradients). Blue speaks for the "
    "answer that was given, orange against it. Errors come first."
)

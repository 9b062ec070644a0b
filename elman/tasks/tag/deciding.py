"""Tags, spans and intents out of the scores of a model, with their probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.data.tagging import Span, allowed_tags
from elman.nn.crf import CRF
from elman.nn.tagger import Tagger, Taggers, TagHead
from elman.tasks.tag.said import Said

if TYPE_CHECKING:
    from elman.tasks.tag.task import Tag

Array = NDArray[Any]
_AT_ONCE = 64
"""Sentences, or spans, that the CRF looks at together."""


def decided(
    task: Tag, model: nn.Module, outputs: Sequence[Array], *, sure: bool = True
) -> list[Said]:
    """Return tags, spans and intents out of a model's outputs; with `sure` their probabilities."""
    assert isinstance(model, Tagger | Taggers)
    said: list[Said] = [Said([]) for _ in outputs]
    crf = model.crf
    for rows in _groups(outputs):
        scores, lengths = _padded([outputs[row] for row in rows])
        parts = model.split(scores)
        paths, chances = _decoded(crf, parts.scores, lengths, sure)
        for place, row in enumerate(rows):
            tags, spans = task.answer.said(paths[place])
            said[row] = Said(tags, spans, chances[place] if sure else None)
        if parts.classes is not None:
            ends = parts.classes[torch.arange(len(rows)), (lengths - 1).clamp(min=0)]
            best = ends.softmax(-1).max(-1)
            for place, row in enumerate(rows):
                if lengths[place]:
                    said[row].intent = task.answer.intents[int(best.indices[place])]
                    said[row].intent_chance = float(best.values[place])
    if sure and task.answer.has_spans:
        asked = [(row, span) for row, one in enumerate(said) for span in one.spans]
        for (row, _), chance in zip(asked, chances_of(task, model, outputs, asked), strict=True):
            said[row].span_chances.append(chance)
    return said


@torch.no_grad()
def chances_of_steps(model: Tagger | Taggers, outputs: Sequence[Array]) -> list[Array]:
    """Return the probability of each tag at each step of each sequence, `(T, K)`."""
    found: list[Array] = [np.empty(0)] * len(outputs)
    for rows in _groups(outputs):
        padded, lengths = _padded([outputs[row] for row in rows])
        every = _marginals(model.crf, model.split(padded).scores, lengths)
        for place, row in enumerate(rows):
            found[row] = every[place, : len(outputs[row])].float().cpu().numpy()
    return found


def _marginals(crf: CRF | None, scores: Tensor, lengths: Tensor) -> Tensor:
    """Return the probability of each tag at each step, `(B, T, K)`."""
    if crf is None:
        return scores.softmax(-1)
    device = crf.transitions.device
    return crf.marginals(scores.to(device), lengths=lengths.to(device))


def _decoded(
    crf: CRF | None, scores: Tensor, lengths: Tensor, sure: bool
) -> tuple[list[list[int]], list[Array]]:
    """Return the best codes of each row, and the probability of each of them."""
    if crf is not None:
        device = crf.transitions.device
        scores, lengths = scores.to(device), lengths.to(device)
        paths = crf.decode(scores, lengths=lengths).paths
        every = _marginals(crf, scores, lengths) if sure else None
    else:
        every = _marginals(crf, scores, lengths)
        best = every.argmax(-1).tolist()
        paths = [p[:n] for p, n in zip(best, lengths.tolist(), strict=True)]
    chances = []
    for row, path in enumerate(paths if every is not None else []):
        assert every is not None
        chances.append(every[row, torch.arange(len(path)), path].cpu().numpy())
    return paths, chances


@torch.no_grad()
def chances_of(
    task: Tag, model: Tagger | Taggers, outputs: Sequence[Array], asked: Sequence[tuple[int, Span]]
) -> list[float]:
    """Return the probability of each span: that it is there, with its ends and its label.

    With a CRF the sum over all sentences that have it; without, the product over its steps.
    """
    answer, crf, found = task.answer, model.crf, [0.0] * len(asked)
    known = [k for k, (_, span) in enumerate(asked) if span.label in answer.labels]
    for group in _groups([outputs[asked[k][0]] for k in known]):
        chosen = [known[k] for k in group]
        padded, lengths = _padded([outputs[asked[k][0]] for k in chosen])
        scores = model.split(padded).scores
        allowed = torch.zeros_like(scores, dtype=torch.bool)
        for place, k in enumerate(chosen):
            size = int(lengths[place])
            mask = allowed_tags(asked[k][1], size, answer.tags, answer.learnt)
            allowed[place, :size] = torch.from_numpy(mask)
        if crf is not None:
            device = crf.transitions.device
            logs = crf.log_probability(
                scores.to(device), allowed.to(device), lengths=lengths.to(device)
            ).cpu()
        else:
            steps = scores.log_softmax(-1).masked_fill(~allowed, -torch.inf).logsumexp(-1)
            real = torch.arange(scores.shape[1]) < lengths[:, None]
            logs = steps.masked_fill(~real, 0).sum(1)
        for k, chance in zip(chosen, logs.exp().clamp(max=1).tolist(), strict=True):
            found[k] = chance
    return found


def said_of_step(task: Tag, output: Tensor) -> dict[str, Any]:
    """Return the tag of the last step and its probability, from the steps so far."""
    head: TagHead = _head(task)
    parts = head.split(output[0])
    chances = (
        parts.scores.softmax(-1) if parts.filtered is None else parts.filtered.exp()
    ).tolist()
    best = int(np.argmax(chances))
    found: dict[str, Any] = {
        "tag": task.answer.tags[best],
        "probability": chances[best],
        "probabilities": dict(zip(task.answer.tags, chances, strict=True)),
    }
    if parts.classes is not None:
        intents = parts.classes.softmax(-1).tolist()
        found["intents"] = dict(zip(task.answer.intents, intents, strict=True))
    return found


def _head(task: Tag) -> TagHead:
    """Return a head of the same form as the model's, which only knows how to split outputs."""
    crf = CRF(len(task.answer.tags)) if task.settings.crf else None
    return TagHead(
        1,
        len(task.answer.tags),
        classes=len(task.answer.intents),
        crf=crf,
        bidirectional=task.settings.bidirectional,
    )


def _groups(outputs: Sequence[Array]) -> Iterator[list[int]]:
    """Yield rows of about equal length, to be looked at together."""
    order = np.argsort([len(one) for one in outputs], kind="stable").tolist()
    for start in range(0, len(order), _AT_ONCE):
        yield order[start : start + _AT_ONCE]


def _padded(outputs: Sequence[Array]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(one) for one in outputs])
    steps = [torch.from_numpy(np.ascontiguousarray(one)) for one in outputs]
    return nn.utils.rnn.pad_sequence(steps, batch_first=True), lengths

"""Words and counts of the labels of spans, of tags and of intents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elman.data.tagging import tags_of
from elman.tasks import alike
from elman.tasks.answers import only_tags
from elman.tasks.reading.examples import Examples
from elman.tasks.understood import class_words

if TYPE_CHECKING:
    from elman.tasks.tag.task import Tag


def label_counts(task: Tag, answers: Sequence[Any]) -> Counter[str]:
    """Return how often each label of a span, or each tag, comes."""
    tags = [only_tags(answer) for answer in answers]
    if task.answer.has_spans:
        return Counter(span.label for one in tags for span in task.answer.spans(one))
    return Counter(tag for one in tags for tag in one)


def strange_labels(task: Tag, found: Examples) -> Counter[str]:
    """Return the labels of later data that training never had, and how often each comes."""
    known = task.answer.labels if task.answer.has_spans else set(task.answer.tags)
    counts = label_counts(task, found.answers or [])
    return Counter({name: count for name, count in counts.items() if name not in known})


def lines_of(task: Tag, answers: Sequence[Any]) -> list[tuple[str, str]]:
    """Return the tags or the labels of spans, and how often each comes in training."""
    counts = class_words(label_counts(task, answers))
    found = [("tags", counts)]
    if task.answer.has_spans:
        found = [("spans", f"{counts} (tags written as {task.answer.scheme})")]
    if task.answer.intents:
        intents = Counter(answer[0][1] for answer in answers if answer)
        found.append(("intents", class_words(intents)))
    return found


def doubts_of(task: Tag, found: Examples) -> list[str]:
    """Return doubts about tags and intents that differ only in how they are written."""
    every = [answer for part in task._parts.values() for answer in part.answers or []]
    intents = Counter(answer[0][1] for answer in every if answer)
    doubts = alike.doubts(label_counts(task, every), "tags", alike.AS_ONE)
    return doubts + alike.doubts(intents, "intents", alike.AS_ONE)


def facts_of(task: Tag) -> dict[str, Any]:
    """Return scheme, tags and intents, what was repaired, and what training never had."""
    answer = task.answer
    facts: dict[str, Any] = {"scheme": answer.scheme, "tags": len(answer.tags)}
    if answer.intents:
        facts["intents"] = len(answer.intents)
    if task._not_run:
        facts["not_run"] = list(task._not_run)
    if not task._parts:
        return facts
    if answer.repair and answer.has_spans:
        facts["repaired tags"] = sum(_repaired(task, found) for found in task._parts.values())
    train = _names(task, task._parts["train"])
    for part, found in task._parts.items():
        new = _names(task, found) - train
        for what, place in (("labels", 0), ("intents", 1)):
            names = sorted(name for kind, name in new if kind == place)
            if names:
                facts[f"{what} of {part} that training lacks"] = ", ".join(names[:10])
    return facts


def _names(task: Tag, found: Examples) -> set[tuple[int, str]]:
    """Return the labels (0) of spans or steps, and the intents (1)."""
    labels = {(0, label) for one in found.answers or [] for label in _labels(task, one)}
    return labels | {(1, one[0][1]) for one in found.answers or [] if one[0][1]}


def _labels(task: Tag, answer: Any) -> set[str]:
    tags = only_tags(answer)
    return {s.label for s in task.answer.spans(tags)} if task.answer.has_spans else set(tags)


def _repaired(task: Tag, found: Examples) -> int:
    return sum(
        one != other
        for answer in found.answers or []
        for one, other in zip(only_tags(answer), plain_tags(task, answer), strict=True)
    )


def plain_tags(task: Tag, answer: Any) -> list[str]:
    """Return the tags of an answer, legal ones where illegal ones are repaired."""
    tags = only_tags(answer)
    if not task.answer.has_spans:
        return tags
    return tags_of(task.answer.spans(tags), len(tags), task.answer.scheme)


def is_text(task: Tag, found: Examples) -> bool:
    """Tell whether steps are words or utterances: then segments mean nothing."""
    return any(task.codec.told_steps(cell) for cell in found.inputs[:1])

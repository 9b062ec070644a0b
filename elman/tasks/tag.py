"""`tag`: a label for each step of a sequence: entities, slots, parts of speech, activities.

Aligned many to many: each step is read by its modality, a recurrence (both ways, unless the model
is to stream) reads the sequence, and a linear map scores the tags of every step. Where tags stand
for spans, a CRF decides for the whole sentence among legal sequences (Huang et al. 2015; Lample et
al. 2016). Intents of whole sentences are learnt beside the tags where the data have them (Liu &
Lane 2016). Judged by strict F1 of entities or accuracy of steps, beside the commonest tag of each
word and a CRF on window features, or majority and logistic regression on windows of a series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from elman.data.packed import lengths_of
from elman.data.tagging import Scheme, Span, allowed_tags, legal, scheme_of, tags_of
from elman.data.tagging import spans as spans_of
from elman.errors import InputError, MissingExtra
from elman.modalities import MODALITIES
from elman.modalities.base import Features, Indexed
from elman.needs import Need
from elman.nn.crf import CRF
from elman.nn.tagger import Tagger, Taggers, TagHead
from elman.scoring import Evaluation, confusion, entities
from elman.scoring.baselines import share
from elman.scoring.blending import Blend
from elman.scoring.predictors import Baseline, Constant, class_scores
from elman.tasks import alike, gaps, told_steps
from elman.tasks.answers import Tags, only_tags
from elman.tasks.base import Mark, Section, device_of
from elman.tasks.examples.batch import Batch
from elman.tasks.examples.judging import Memo
from elman.tasks.examples.task import FromExamples
from elman.tasks.looking import bars, reliability
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.layout import Layout
from elman.tasks.settings import AlignedSettings, other_default
from elman.tasks.understood import class_words

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

Array = NDArray[Any]
NO_INTENT = "none"
"""Value of the setting `intent` that leaves intents out."""
_AT_ONCE = 64
"""Sentences, or spans, that the CRF looks at together."""
_FEW = 20
"""Sequences below which each is scored in blocks, so that there is something to resample."""
_SHOWN = 40
"""Sentences that a report shows."""
_COLOURS = ("#cfe3f7", "#fbdcc4", "#d6edcf", "#e9d8f2", "#fdeaa8", "#f9d3de", "#cdeeea", "#e3e0cf")


class TagSettings(AlignedSettings):
    """Settings of `tag`; those of the modality come on top."""

    needs: ClassVar[Mapping[str, Need]] = {
        "intent_weight": Need("intent", lambda name: name != NO_INTENT, "intent"),
        "pooling": Need("intent", lambda name: name != NO_INTENT, "intent"),
    }
    anew: ClassVar[frozenset[str]] = frozenset({"repair", "intent_weight"})

    cell: str = other_default(AlignedSettings, "cell", "lstm")
    dropout: float = other_default(AlignedSettings, "dropout", 0.5)
    lr: float = other_default(AlignedSettings, "lr", 3e-3)
    batch_size: int = other_default(AlignedSettings, "batch_size", 24)

    scheme: Scheme | None = Field(
        None, description="how the data's tags are written: BIO, IOB1, BIOES, BILOU, plain; found"
    )
    model_scheme: Literal["BIO", "BIOES"] = Field(
        "BIO", description="how the tags of spans are written for the model"
    )
    repair: bool = Field(
        False, description="read illegal sequences of tags as conlleval does, not refuse them"
    )
    crf: bool | None = Field(
        None, description="decide for whole sequences by a CRF; empty: where tags are of spans"
    )
    intent: str | None = Field(
        None, description="column of the intent, learnt beside the tags; found; none leaves it out"
    )
    intent_weight: float = Field(2.0, ge=0, description="weight of the intents' loss")
    pooling: Literal["last", "mean", "max", "attention"] = Field(
        "attention", description="how the outputs of all steps become one vector, for intents"
    )

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.reverse:
            raise ValueError("reverse means nothing for tag: bidirectional=true reads both ways")
        return self


@dataclass
class Said:
    """The answer of a model or a baseline for one sequence.

    Attributes:
        tags: of each step, in the scheme of the data.
        spans: those that the tags stand for.
        chances: the probability of each step's tag, `(T,)`; None of a baseline.
        span_chances: the probability of each span.
        intent: of the sequence.
        intent_chance: its probability.
    """

    tags: list[str]
    spans: list[Span] = field(default_factory=list)
    chances: Array | None = None
    span_chances: list[float] = field(default_factory=list)
    intent: str = ""
    intent_chance: float = float("nan")


class Tag(FromExamples):
    """A label for each step; see the module."""

    name: ClassVar[str] = "tag"
    summary: ClassVar[str] = "a label for each step or span: entities, slots, activities"
    Settings = TagSettings
    Answer = Tags
    aligned = True
    higher_is_better = True
    answer: Tags

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.metric = "f1" if self.answer.has_spans else "accuracy"
        self._not_run: list[str] = []

    # From data

    @classmethod
    def modalities(cls) -> list[str]:
        """Return the modalities whose steps are there in the data."""
        return [name for name in MODALITIES if MODALITIES[name].stepped]

    @classmethod
    def targets(cls, table: Any, settings: Any) -> Sequence[str] | None:
        """Return the columns of tags and intents, where either was given."""
        if settings.target is None and settings.intent is None:
            return None
        given = [n for n in (settings.text, settings.group, settings.time) if n is not None]
        for name in (settings.target, settings.intent):
            if name is not None and name != NO_INTENT:
                table.column(name)
        free = [n for n in table.kinds if n not in (*given, settings.intent)]
        guessed = [settings.target] if settings.target else Tags.guess(table, free)
        if guessed is None:
            return None
        if settings.intent is None:
            found = Tags.guess(table, [n for n in free if table.kinds[n] != "tokens"] + guessed)
            return found if found and found[0] == guessed[0] else guessed[:1]
        return guessed[:1] if settings.intent == NO_INTENT else [guessed[0], settings.intent]

    @classmethod
    def decide(cls, settings: Any, layout: Layout, found: Examples) -> dict[str, Any]:
        """Return scheme, CRF and the column of intents where they were left to the data."""
        try:
            scheme = settings.scheme or scheme_of(only_tags(one) for one in found.answers or [])
        except InputError as error:
            what = str(error).removesuffix(f" {error.fix}")
            file, _ = found.where(0)
            raise InputError(what, file=file, column=layout.target, fix=error.fix) from None
        return {
            "scheme": scheme,
            "crf": scheme != "plain" if settings.crf is None else settings.crf,
            "target": layout.target,
            "intent": layout.answers[1] if len(layout.answers) > 1 else NO_INTENT,
        }

    @classmethod
    def refuse(cls, found: Examples, table: Table, layout: Layout) -> None:
        """Refuse a single tag, and one label for a whole sequence."""
        if any(isinstance(tag, str) for answer in found.answers or () for tag in answer[:1]):
            raise InputError(
                "There is one label for each sequence, and tag learns one for each of its steps.",
                file=table.source,
                column=layout.target,
                fix="To learn the label: elman train classify DATA.",
            )
        names = {tag for answer in found.answers or [] for tag, _ in answer}
        if len(names) == 1:
            raise InputError(
                f"Every step has the tag {names.pop()!r}: there is nothing to tell apart.",
                file=table.source,
                column=layout.target,
                fix="Give examples of another tag, or name another column with --set target=NAME.",
            )

    @classmethod
    def from_format_1(cls, assets: dict[str, Any]) -> dict[str, Any]:
        """Raise: no run of format 1 was of this task."""
        raise InputError("There was no tag task when runs had format 1.")

    def cut(self, answers: Sequence[Array], length: int) -> list[Array]:
        """Return pieces of answers; a span that is cut in two is two spans."""
        pieces = super().cut(answers, length)
        if not self.answer.has_spans or len(pieces) == len(answers):
            return pieces
        return [self.answer.mended(piece) for piece in pieces]

    def look_at_answers(self, answers: Sequence[Any]) -> list[Section]:
        """Return how often each label comes."""
        what = "spans" if self.answer.has_spans else "steps"
        return [Section("Labels", figure=bars(self._label_counts(answers), what))]

    def _label_counts(self, answers: Sequence[Any]) -> Counter[str]:
        """Return how often each label of a span, or each tag, comes."""
        tags = [only_tags(answer) for answer in answers]
        if self.answer.has_spans:
            return Counter(span.label for one in tags for span in self.answer.spans(one))
        return Counter(tag for one in tags for tag in one)

    def answer_lines(self, answers: Sequence[Any]) -> list[tuple[str, str]]:
        """Return the tags or the labels of spans, and how often each comes in training."""
        counts = class_words(self._label_counts(answers))
        found = [("tags", counts)]
        if self.answer.has_spans:
            found = [("spans", f"{counts} (tags written as {self.answer.scheme})")]
        if self.answer.intents:
            intents = Counter(answer[0][1] for answer in answers if answer)
            found.append(("intents", class_words(intents)))
        return found

    def answer_doubts(self, found: Examples) -> list[str]:
        """Return doubts about tags and intents that differ only in how they are written."""
        every = [answer for part in self._parts.values() for answer in part.answers or []]
        intents = Counter(answer[0][1] for answer in every if answer)
        doubts = alike.doubts(self._label_counts(every), "tags", alike.AS_ONE)
        return doubts + alike.doubts(intents, "intents", alike.AS_ONE)

    def facts(self) -> dict[str, Any]:
        """Return scheme, tags and intents, what was repaired, and what training never had."""
        answer = self.answer
        facts: dict[str, Any] = {"scheme": answer.scheme, "tags": len(answer.tags)}
        if answer.intents:
            facts["intents"] = len(answer.intents)
        if self._not_run:
            facts["not_run"] = list(self._not_run)
        if not self._parts:
            return facts
        if answer.repair and answer.has_spans:
            facts["repaired tags"] = sum(map(self._repaired, self._parts.values()))
        train = self._names(self._parts["train"])
        for part, found in self._parts.items():
            new = self._names(found) - train
            for what, place in (("labels", 0), ("intents", 1)):
                names = sorted(name for kind, name in new if kind == place)
                if names:
                    facts[f"{what} of {part} that training lacks"] = ", ".join(names[:10])
        return facts

    def _names(self, found: Examples) -> set[tuple[int, str]]:
        """Return the labels (0) of spans or steps, and the intents (1)."""
        labels = {(0, label) for one in found.answers or [] for label in self._labels(one)}
        return labels | {(1, one[0][1]) for one in found.answers or [] if one[0][1]}

    def _labels(self, answer: Any) -> set[str]:
        tags = only_tags(answer)
        return {s.label for s in self.answer.spans(tags)} if self.answer.has_spans else set(tags)

    def _repaired(self, found: Examples) -> int:
        return sum(
            one != other
            for answer in found.answers or []
            for one, other in zip(only_tags(answer), self._plain_tags(answer), strict=True)
        )

    # Model and training

    def together(self, members: Iterator[nn.Module]) -> nn.Module:
        """Return taggers that decide together."""
        return Taggers(cast(Iterator[Tagger], members))

    def indexed(self) -> list[Indexed]:
        """Return the vocabularies of what is read, the tags and the intents."""
        names = ["emit.weight", "emit.bias"]
        if self.settings.crf:
            names += ["crf.starts", "crf.ends"]
        tags = dict.fromkeys(names, (0,)) | (
            {"crf.transitions": (0, 1)} if self.settings.crf else {}
        )
        found = [Indexed("tags", self.answer.tags, tags)]
        if self.answer.intents:
            scores = dict.fromkeys(("classify.weight", "classify.bias"), (0,))
            found.append(Indexed("intents", self.answer.intents, scores))
        return [*super().indexed(), *(one.within("head") for one in found)]

    def member(self) -> nn.Module:
        """Return one network, initialised from torch's generator."""
        settings, answer = self.settings, self.answer
        embedding, size = self.codec.reader()
        recurrent = settings.build(
            size, bidirectional=settings.bidirectional, batch_first=True, variational=True
        )
        crf = None
        if settings.crf:
            rules = legal(answer.tags, answer.learnt)
            crf = CRF(
                len(answer.tags),
                transitions=rules.transitions,
                starts=rules.starts,
                ends=rules.ends,
            )
        head = TagHead(
            recurrent.output_size,
            len(answer.tags),
            classes=len(answer.intents),
            crf=crf,
            pooling=settings.pooling,
            dropout=settings.dropout,
            bidirectional=settings.bidirectional,
        )
        return Tagger(embedding, recurrent, head)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the summed loss of a batch, altered at random where the model is in training."""
        assert isinstance(model, Tagger | Taggers)
        padded = self.codec.augment(batch.padded) if model.training else batch.padded
        there = padded.to(device_of(model))
        answers = batch.answers.to(device_of(model))
        tags, intents = answers, None
        if self.answer.intents:
            tags, intents = answers[..., 0], answers[:, 0, 1]
        return model.loss(
            there.inputs,
            tags,
            intents,
            lengths=there.lengths,
            weight=self.settings.intent_weight,
            smoothing=self.settings.label_smoothing,
        )

    def terms(self, batch: Batch) -> float:
        """Return the number of terms that the loss of a batch sums: for a CRF the sequences.

        It scores a sequence as a whole. Counted in steps, a batch of short sentences would weigh
        as much as one of long ones, which have most of the spans.
        """
        return float(len(batch)) if self.settings.crf else super().terms(batch)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the metrics of the validation part."""
        found = self._parts["valid"]
        return self.scored(found, self.says(model, self._inputs("valid"), sure=False)).metrics

    # What the model says

    def says(self, model: nn.Module, inputs: Sequence[Array], *, sure: bool = True) -> list[Said]:
        """Return tags, spans and intents of encoded sequences; with `sure` their probabilities."""
        assert isinstance(model, Tagger | Taggers)
        outputs = self.outputs(model, inputs)
        said: list[Said] = [Said([]) for _ in outputs]
        crf = model.crf
        for rows in _groups(outputs):
            scores, lengths = _padded([outputs[row] for row in rows])
            parts = model.split(scores)
            paths, chances = self._decoded(crf, parts.scores, lengths, sure)
            for place, row in enumerate(rows):
                tags, spans = self.answer.said(paths[place])
                said[row] = Said(tags, spans, chances[place] if sure else None)
            if parts.classes is not None:
                ends = parts.classes[torch.arange(len(rows)), (lengths - 1).clamp(min=0)]
                best = ends.softmax(-1).max(-1)
                for place, row in enumerate(rows):
                    if lengths[place]:
                        said[row].intent = self.answer.intents[int(best.indices[place])]
                        said[row].intent_chance = float(best.values[place])
        if sure and self.answer.has_spans:
            asked = [(row, span) for row, one in enumerate(said) for span in one.spans]
            for (row, _), chance in zip(asked, self._chances(model, outputs, asked), strict=True):
                said[row].span_chances.append(chance)
        return said

    def _decoded(
        self, crf: CRF | None, scores: Tensor, lengths: Tensor, sure: bool
    ) -> tuple[list[list[int]], list[Array]]:
        """Return the best codes of each row, and the probability of each of them."""
        if crf is not None:
            device = crf.transitions.device
            scores, lengths = scores.to(device), lengths.to(device)
            paths = crf.decode(scores, lengths=lengths).paths
            every = crf.marginals(scores, lengths=lengths) if sure else None
        else:
            every = scores.softmax(-1)
            best = every.argmax(-1).tolist()
            paths = [p[:n] for p, n in zip(best, lengths.tolist(), strict=True)]
        chances = []
        for row, path in enumerate(paths if every is not None else []):
            assert every is not None
            chances.append(every[row, torch.arange(len(path)), path].cpu().numpy())
        return paths, chances

    @torch.no_grad()
    def _chances(
        self, model: Tagger | Taggers, outputs: Sequence[Array], asked: Sequence[tuple[int, Span]]
    ) -> list[float]:
        """Return the probability of each span: that it is there, with its ends and its label.

        With a CRF the sum over all sentences that have it; without, the product over its steps.
        """
        answer, crf, found = self.answer, model.crf, [0.0] * len(asked)
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

    def said(self, output: Tensor) -> dict[str, Any]:
        """Return the tag of the last step and its probability, from the steps so far."""
        head: TagHead = self._head()
        parts = head.split(output[0])
        chances = (
            parts.scores.softmax(-1) if parts.filtered is None else parts.filtered.exp()
        ).tolist()
        best = int(np.argmax(chances))
        found: dict[str, Any] = {
            "tag": self.answer.tags[best],
            "probability": chances[best],
            "probabilities": dict(zip(self.answer.tags, chances, strict=True)),
        }
        if parts.classes is not None:
            intents = parts.classes.softmax(-1).tolist()
            found["intents"] = dict(zip(self.answer.intents, intents, strict=True))
        return found

    def _head(self) -> TagHead:
        """Return a head of the same form as the model's, which only knows how to split outputs."""
        crf = CRF(len(self.answer.tags)) if self.settings.crf else None
        return TagHead(
            1,
            len(self.answer.tags),
            classes=len(self.answer.intents),
            crf=crf,
            bidirectional=self.settings.bidirectional,
        )

    # Scores

    def predict(self, model: Any, data: Any, **how: Any) -> pd.DataFrame:
        """Return predictions on new data.

        Where tags stand for spans, there is a row for each span that was found, and one for each
        sequence without any (`label` is empty, `start` and `end` are 0); otherwise there is a row
        for each step, in the order of the file.

        Args:
            model: the trained model, or a kept baseline.
            data: a path, paths, a DataFrame, or a list of texts (or other raw data, where the
                modality has them).
            how: what the modality must know of raw data.
        """
        return super().predict(model, data, **how)

    def _answered(self, model: Any, found: Examples, there: Array, why: bool) -> pd.DataFrame:
        if why:
            self.why(model, found, None)  # refuses: a sequence of tags has none
        said = [Said([])] * len(found)
        answers = self.given(model, found if len(there) == len(found) else found.take(there))
        for number, one in zip(there.tolist(), answers, strict=True):
            said[number] = one
        return self._spans_table(found, said) if self.answer.has_spans else self._steps(found, said)

    def of_model(self, model: nn.Module, inputs: Sequence[Array]) -> list[Said]:
        """Return tags, spans and intents with their probabilities."""
        return self.says(model, inputs)

    def of_baseline(self, predictor: Any, found: Examples, memo: Memo, every: bool) -> list[Said]:
        """Return tags, the spans that they stand for, and intents."""
        asked = self._question(found)
        intents = None
        if predictor.beside is not None:
            names = self.answer.intents
            scores = class_scores(
                predictor.beside.outputs(asked),
                getattr(predictor.beside.map, "classes", None),
                len(names),
            )
            intents = [names[code] for code in scores.argmax(1)]
        tags = predictor.outputs(asked)
        if predictor.sees == "features":
            steps = iter(tags)
            tags = [list(islice(steps, size)) for size in lengths_of(asked.arrays).tolist()]
        return self._as_said(tags, intents)

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Return why there is no blend: a sequence of tags is decoded as a whole."""
        return "tags are decided for a whole sequence, which two taggers cannot share"

    def _judged_table(self, model: nn.Module, found: Examples, outputs: Any) -> pd.DataFrame:
        return self._answers_table(model, found, self._encode(found.inputs), outputs)

    def scored(
        self, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        """Return the scores of what the model or a baseline says."""
        import pandas as pd

        said: list[Said] = outputs
        truth = [only_tags(answer) for answer in found.answers or []]
        given = [one.tags for one in said]
        hits: list[bool] = []
        if self.answer.intents:
            intents = [answer[0][1] for answer in found.answers or []]
            hits = [a == one.intent for a, one in zip(intents, said, strict=True)]
        if not self.answer.has_spans:
            if len(truth) < _FEW and not hits:
                truth, given = _blocks(truth), _blocks(given)
            columns = [entities.step_units(truth, given)]
            segments = None
            if not self._is_text(found):
                segments = entities.segment_units(truth, given)
                columns.append(segments)
            if hits:
                columns.append(pd.DataFrame({"intent": hits}, dtype=float))
            width = 0 if segments is None else segments.shape[1]
            score = _StepScore(width, bool(hits))
            return Evaluation(pd.concat(columns, axis=1), score, predictions)
        spans = [self.answer.spans(tags) for tags in truth]
        units = entities.entity_units(spans, [one.spans for one in said])
        right = [set(a) == set(one.spans) for a, one in zip(spans, said, strict=True)]
        extra = {"sentence": np.array(right, float)}
        if hits:
            both = np.array(hits, float)
            extra = {"intent": both, "sentence": extra["sentence"] * both}
        return Evaluation(
            pd.concat([units, pd.DataFrame(extra)], axis=1), _SpanScore(tuple(extra)), predictions
        )

    def _is_text(self, found: Examples) -> bool:
        """Tell whether steps are words or utterances: then segments mean nothing."""
        return any(self.codec.told_steps(cell) for cell in found.inputs[:1])

    def fit_baselines(self) -> Iterator[Baseline]:
        """Yield baselines for words, for steps that have features, or for steps of numbers."""
        from elman.scoring.baselines import tags as simple

        train, held = self._parts["train"], self._parts.get("valid")
        truth = [self._plain_tags(answer) for answer in train.answers or []]
        if features := self.codec.step_features(train.inputs):
            yield from self._of_features(features, truth)
            return
        if self._is_text(train):
            known = simple.TaggedPart(train.inputs, truth)
            valid = None
            if held is not None:
                valid = simple.TaggedPart(
                    held.inputs, [self._plain_tags(answer) for answer in held.answers or []]
                )
            constant, linear = self._fit_intents()
            commonest = simple.most_frequent_tag(known, valid)
            yield Baseline(
                "most frequent tag of the word",
                commonest,
                "cells",
                _shared(constant),
                beside=constant,
            )
            try:
                learnt = simple.crf(known, valid, score=self._score_of(held))
            except MissingExtra as error:
                self._not_run = [f"linear-chain CRF on window features: {error}"]
                return
            most = simple.iterations(known)
            short = f" ({most} iterations)" if most < simple.ITERATIONS else ""
            name = f"linear-chain CRF on window features{short}"
            yield Baseline(name, learnt, "cells", _shared(linear), beside=linear)
            return
        yield Baseline("majority", simple.majority(truth), "arrays")
        held_part = None
        if held is not None:
            held_truth = [self._plain_tags(answer) for answer in held.answers or []]
            held_part = simple.TaggedPart(self._inputs("valid"), held_truth)
        windows = simple.window_logistic_regression(
            simple.TaggedPart(self._inputs("train"), truth), held_part
        )
        yield Baseline("logistic regression on a window", windows, "arrays")

    def _of_features(
        self, features: Sequence[Features], truth: Sequence[list[str]]
    ) -> Iterator[Baseline]:
        """Yield the commonest tag, and logistic regression on each kind of features of steps."""
        from elman.scoring.baselines import tags as simple
        from elman.scoring.baselines.linear import Labelled
        from elman.scoring.baselines.steps import step_logistic_regression

        yield Baseline("most frequent tag", simple.majority(truth), "arrays")
        held = self._parts.get("valid")
        names = sorted({tag for tags in truth for tag in tags})
        codes = {name: code for code, name in enumerate(names)}
        known = np.array([codes[tag] for tags in truth for tag in tags])
        answers = [] if held is None else [self._plain_tags(one) for one in held.answers or []]
        there = np.array([codes.get(tag, -1) for tags in answers for tag in tags], np.int64)
        for one in features:
            # Words of a step: at most as many as there are features of it.
            size = one.train.nnz / max(1, len(known))
            most = share.for_linear(self.settings.budget, size, len(names))
            rows = share.drawn(len(known), most, self.settings.seed)
            rows = np.arange(len(known)) if rows is None else rows
            valid = None if held is None else Labelled(one.of(held.inputs), there)
            fitted = step_logistic_regression(Labelled(one.train[rows], known[rows]), valid, names)
            title = one.title.format("logistic regression")
            yield Baseline(share.named(title, len(rows), len(known)), fitted, "features", one)

    def _told(
        self, found: Examples, said: Sequence[Said], truth: Sequence[Sequence[str]]
    ) -> Section:
        """Return sequences of texts with the tag of each step."""
        texts = [told_steps.texts_of(self.codec, cell) for cell in found.inputs]
        chances = [one.chances for one in said]
        return told_steps.section(found, texts, truth, [one.tags for one in said], chances)

    def _plain_tags(self, answer: Any) -> list[str]:
        """Return the tags of an answer, legal ones where illegal ones are repaired."""
        tags = only_tags(answer)
        if not self.answer.has_spans:
            return tags
        return tags_of(self.answer.spans(tags), len(tags), self.answer.scheme)

    def _as_said(
        self, tags: Sequence[list[str]], intents: Sequence[str] | None = None
    ) -> list[Said]:
        """Return what a baseline says; its spans are read as conlleval does."""
        named = intents or [""] * len(tags)
        read: list[list[Span]] = [[] for _ in tags]
        if self.answer.has_spans:
            read = [spans_of(one, self.answer.scheme, illegal="repair") for one in tags]
        return [Said(a, b, intent=c) for a, b, c in zip(tags, read, named, strict=True)]

    def _score_of(self, held: Examples | None) -> Callable[[list[list[str]]], float] | None:
        """Return the score of tags for the validation part."""
        if held is None or not self.answer.has_spans:
            return None
        truth = [self.answer.spans(only_tags(answer)) for answer in held.answers or []]

        def score(tags: list[list[str]]) -> float:
            found = [spans_of(one, self.answer.scheme, illegal="repair") for one in tags]
            return entities.scores(entities.entity_units(truth, found))["f1"]

        return score

    def _fit_intents(self) -> tuple[Baseline | None, Baseline | None]:
        """Return the commonest intent and logistic regression, where there are intents."""
        if not self.answer.intents:
            return None, None
        from elman.scoring.baselines.linear import Labelled, logistic_regression

        train, held = self._parts["train"], self._parts.get("valid")
        codes = self.answer.intent_codes
        known = np.array([codes[answer[0][1]] for answer in train.answers or []])
        often = np.bincount(known, minlength=len(self.answer.intents)).astype(np.float64)
        features = self.codec.features(train.inputs)
        valid = None
        if held is not None:
            truth = np.array([codes.get(answer[0][1], -1) for answer in held.answers or []])
            valid = Labelled(features.of(held.inputs), truth)
        linear = logistic_regression(Labelled(features.train, known), valid)
        return (
            Baseline("majority", Constant(often)),
            Baseline("logistic regression", linear, "features", features),
        )

    # Tables

    def _steps(self, found: Examples, said: Sequence[Said]) -> pd.DataFrame:
        """Return a row for each step, in the order of the file."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for number, one in enumerate(said):
            told = self.codec.told_steps(found.inputs[number])
            answer = (found.answers or [None] * len(said))[number]
            # What holds no word has no answer.
            blank = gaps.blank_steps(found.inputs[number])
            tags: list[str | None] = [*one.tags] or [None] * len(blank)
            for step, tag in enumerate(tags):
                where = found.place(number, step)
                row: dict[str, Any] = {"file": where[0] and where[0].name, "row": where[1]}
                if found.names is not None:
                    row[self.layout.group or "group"] = found.names[number]
                row["step"] = step
                row |= {name: values[step] for name, values in told.items()}
                if answer is not None:
                    row["truth"] = answer[step][0]
                row["prediction"] = None if step in blank else tag
                chances = None if step in blank else one.chances
                row["probability"] = None if chances is None else float(chances[step])
                if self.answer.intents:
                    row["intent"], row["intent_probability"] = one.intent, one.intent_chance
                rows.append(row)
        table = pd.DataFrame(rows, columns=None if rows else ["row", "step", "prediction"])
        if rows and found.steps is not None:
            files = {file: place for place, file in enumerate(dict.fromkeys(table["file"]))}
            order = np.lexsort((table["row"], table["file"].map(files)))
            table = table.iloc[order].reset_index(drop=True)
        if rows and table["file"].nunique(dropna=False) < 2:
            table = table.drop(columns="file")
        return table

    def _spans_table(
        self,
        found: Examples,
        said: Sequence[Said],
        missed: Mapping[tuple[int, Span], float] | None = None,
    ) -> pd.DataFrame:
        """Return a row for each span, and where the truth is known one for each that was missed."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for number, one in enumerate(said):
            cell = found.inputs[number]
            text, places = self._placed(cell, len(one.tags))
            file, line = found.where(number)
            head: dict[str, Any] = {"file": file and file.name, "row": line}
            if text is not None:
                head["text"] = text
            head["tags"] = " ".join(one.tags)
            judged = found.answers is not None and missed is not None
            truth = set(self.answer.spans(only_tags(found.answers[number]))) if judged else set()  # type: ignore[index]
            listed = [
                (span, chance, "right" if span in truth else "wrong")
                for span, chance in zip(one.spans, self._known(one), strict=True)
            ]
            if judged:
                assert missed is not None
                gone = sorted(truth - set(one.spans))
                listed += [(span, missed[number, span], "missed") for span in gone]
            shown: list[tuple[Span | None, float, str]] = [*sorted(listed)]
            for span, chance, outcome in shown or [(None, float("nan"), "")]:
                row = dict(head)
                start, end = (places[span.start][0], places[span.end - 1][1]) if span else (0, 0)
                row |= {"start": start, "end": end}
                if text is not None:
                    row["entity"] = text[start:end]
                row |= {"label": span.label if span else None, "probability": chance}
                if judged:
                    row["outcome"] = outcome
                if self.answer.intents:
                    if judged:
                        row["true_intent"] = found.answers[number][0][1]  # type: ignore[index]
                    row["intent"] = one.intent or None
                    row["intent_probability"] = one.intent_chance
                rows.append(row)
        table = pd.DataFrame(rows)
        if rows and table["file"].nunique(dropna=False) < 2:
            table = table.drop(columns="file")
        return table

    @staticmethod
    def _known(one: Said) -> list[float]:
        """Return the probability of each span; a baseline gives none."""
        return one.span_chances if one.chances is not None else [float("nan")] * len(one.spans)

    def _placed(self, cell: Any, steps: int) -> tuple[str | None, list[tuple[int, int]]]:
        """Return a cell as text with the places of its steps; else None, and numbers of steps."""
        text = self.codec.told(cell)
        places = getattr(self.codec, "places", None)
        if text is None or places is None:
            return None, [(step, step + 1) for step in range(steps)]
        return text, places(cell)

    def _answers_table(
        self, model: nn.Module, found: Examples, inputs: Sequence[Array], said: Sequence[Said]
    ) -> pd.DataFrame:
        """Return the predictions beside the truth."""
        if not self.answer.has_spans:
            return self._steps(found, said)
        assert isinstance(model, Tagger | Taggers)
        gone = [
            (number, span)
            for number, answer in enumerate(found.answers or [])
            for span in self.answer.spans(only_tags(answer))
            if span not in said[number].spans
        ]
        chances = self._chances(model, self.outputs(model, inputs), gone)
        return self._spans_table(found, said, dict(zip(gone, chances, strict=True)))

    # Report

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return sentences with their spans, scores of labels, reliability and errors."""
        found = self._parts["test"]
        said = self.says(model, self._inputs("test"))
        if self.answer.has_spans:
            return self._span_sections(found, said, evaluation)
        return self._step_sections(found, said)

    def _span_sections(
        self, found: Examples, said: Sequence[Said], evaluation: Evaluation
    ) -> list[Section]:
        assert evaluation.predictions is not None
        truth = [self.answer.spans(only_tags(answer)) for answer in found.answers or []]
        units = entities.entity_units(truth, [one.spans for one in said])
        table = evaluation.predictions
        stated = [c for one in said for c in one.span_chances]
        hits = [s in true for one, true in zip(said, truth, strict=True) for s in one.spans]
        shown = [
            self._sentences(found, said, truth),
            Section("Labels", table=entities.by_label(units)),
            reliability("entity", stated, hits),
        ]
        wrong = table[table["outcome"].isin(["wrong", "missed"])]
        if len(wrong):
            kept = ["row", "entity", "label", "outcome", "probability"]
            chances = wrong["probability"].to_numpy()
            sure = np.where(wrong["outcome"] == "wrong", chances, 1 - chances)
            worst = wrong.iloc[np.argsort(-sure, kind="stable")[:25]]
            shown.append(
                Section(
                    "Errors",
                    "Those that the model was surest of: often the label is at fault. A span is "
                    "right if its label and both its ends are.",
                    worst[[name for name in kept if name in worst]],
                )
            )
        if self.answer.intents:
            intents = [[answer[0][1]] for answer in found.answers or []]
            counted = entities.step_units(intents, [[one.intent] for one in said])
            shown.append(Section("Intents", table=entities.by_label(counted)))
        return shown

    def _sentences(
        self, found: Examples, said: Sequence[Said], truth: Sequence[Sequence[Span]]
    ) -> Section:
        """Return sentences with what was found in colour, those with errors first."""
        labels = sorted({s.label for spans in truth for s in spans} | self.answer.labels)
        colours = {label: _COLOURS[k % len(_COLOURS)] for k, label in enumerate(labels)}
        errors = [len(set(a) ^ set(b.spans)) for a, b in zip(truth, said, strict=True)]
        order = np.argsort([-count for count in errors], kind="stable")
        wrong = [k for k in order if errors[k]][: _SHOWN * 3 // 4]
        rows = wrong + [k for k in order if not errors[k] and truth[k]][: _SHOWN - len(wrong)]
        lines = []
        for row in rows:
            text, places = self._placed(found.inputs[row], len(said[row].tags))
            if text is None:
                continue
            line: list[Mark] = []
            at = 0
            for span, chance in zip(said[row].spans, said[row].span_chances, strict=True):
                start, end = places[span.start][0], places[span.end - 1][1]
                right = span in truth[row]
                note = f"{span.label} {chance:.0%}" + ("" if right else " ✗")
                line += [Mark(text[at:start]), Mark(text[start:end], note, colours[span.label])]
                at = end
            line.append(Mark(text[at:]))
            for span in sorted(set(truth[row]) - set(said[row].spans)):
                start, end = places[span.start][0], places[span.end - 1][1]
                line.append(Mark(f" [missed: {text[start:end]} is {span.label}]"))
            lines.append(line)
        text = (
            f"What was found in {len(lines)} test sentences, with its probability; sentences with "
            "errors come first, ✗ marks what is not so."
        )
        return Section("Sentences", text, marked=lines)

    def _step_sections(self, found: Examples, said: Sequence[Said]) -> list[Section]:
        truth = [only_tags(answer) for answer in found.answers or []]
        given = [one.tags for one in said]
        units = entities.step_units(truth, given)
        names = sorted({tag for one in (*truth, *given) for tag in one})
        codes = {name: code for code, name in enumerate(names)}
        pairs = np.zeros((len(names), len(names)), np.int64)
        for a, b in zip(truth, given, strict=True):
            np.add.at(pairs, ([codes[x] for x in a], [codes[x] for x in b]), 1)
        stated = [float(c) for one in said if one.chances is not None for c in one.chances]
        hits = [
            x == y for a, b in zip(truth, given, strict=True) for x, y in zip(a, b, strict=True)
        ]
        shown = [
            Section("Labels", table=entities.by_label(units)),
            reliability("step", stated, hits),
        ]
        if len(names) <= confusion.READABLE:
            shown.append(Section("Confusion matrix", figure=confusion.figure(pairs, names)))
        if self._is_text(found):
            shown.insert(0, self._told(found, said, truth))
        else:
            shown.append(_strips(truth, given, names))
        confused = confusion.most_confused(pairs, names)
        if len(confused):
            shown.append(Section("Most often confused", table=confused))
        return shown


@dataclass(frozen=True)
class _SpanScore:
    """Strict scores of spans, and shares of what stands in the last columns of the units."""

    extra: tuple[str, ...]

    def __call__(self, units: pd.DataFrame) -> dict[str, float]:
        found = entities.scores(units.iloc[:, : units.shape[1] - len(self.extra)])
        shares = {f"{name}_accuracy": float(units[name].mean()) for name in self.extra}
        return {name: found[name] for name in ("f1", "precision", "recall")} | shares


@dataclass(frozen=True)
class _StepScore:
    """Accuracy and macro F1 of steps; of columns after theirs, scores of segments and intents."""

    segments: int
    intents: bool

    def __call__(self, units: pd.DataFrame) -> dict[str, float]:
        steps = units.shape[1] - self.segments - self.intents
        found = entities.scores(units.iloc[:, :steps])
        scores = {"accuracy": found["f1"], "macro_f1": found["macro_f1"]}
        if self.segments:
            scores |= entities.segment_scores(units.iloc[:, steps : steps + self.segments])
        if self.intents:
            scores["intent_accuracy"] = float(units["intent"].mean())
        return scores


def _shared(intents: Baseline | None) -> Any:
    return None if intents is None else intents.shared


def _groups(outputs: Sequence[Array]) -> Iterator[list[int]]:
    """Yield rows of about equal length, to be looked at together."""
    order = np.argsort([len(one) for one in outputs], kind="stable").tolist()
    for start in range(0, len(order), _AT_ONCE):
        yield order[start : start + _AT_ONCE]


def _padded(outputs: Sequence[Array]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(one) for one in outputs])
    steps = [torch.from_numpy(np.ascontiguousarray(one)) for one in outputs]
    return nn.utils.rnn.pad_sequence(steps, batch_first=True), lengths


def _blocks(sequences: Sequence[list[str]]) -> list[list[str]]:
    """Return few long sequences cut into at least `_FEW` blocks, each a unit of its own."""
    total = sum(map(len, sequences))
    size = max(1, min(50, total // _FEW))
    return [one[k : k + size] for one in sequences for k in range(0, len(one), size)]


def _strips(
    truth: Sequence[list[str]], given: Sequence[list[str]], names: Sequence[str]
) -> Section:
    """Return a few sequences as strips of colour: the truth above, the prediction below."""
    from matplotlib.figure import Figure

    pairs = list(zip(truth, given, strict=True))
    shares = [np.mean([a == b for a, b in zip(x, y, strict=True)]) for x, y in pairs]
    rows = np.argsort(shares, kind="stable")[:6].tolist()
    codes = {name: code for code, name in enumerate(names)}
    figure = Figure(figsize=(7.5, 0.6 * len(rows) + 0.4), layout="constrained")
    for axes, row in zip(np.atleast_1d(figure.subplots(len(rows))), rows, strict=True):
        picture = [[codes[tag] for tag in one[row]] for one in (truth, given)]
        axes.imshow(picture, aspect="auto", cmap="tab20", vmin=0, vmax=19, interpolation="nearest")
        axes.set_yticks([0, 1], ["truth", "said"], fontsize=7)
        axes.tick_params(labelbottom=False)
    return Section("Segments", "The sequences with the most errors, step by step.", figure=figure)

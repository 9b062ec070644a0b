"""`tag`: a label for each step of a sequence: entities, slots, parts of speech, activities.

Aligned many to many: each step is read by its modality, a recurrence (both ways, unless the model
is to stream) reads the sequence, and a linear map scores the tags of every step. Where tags stand
for spans, a CRF decides for the whole sentence among legal sequences (Huang et al. 2015; Lample et
al. 2016). Intents of whole sentences are learnt beside the tags where the data have them (Liu &
Lane 2016). Judged by strict F1 of entities or accuracy of steps, beside the commonest tag of each
word and a CRF on window features, or majority and logistic regression on windows of a series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from numpy.typing import NDArray
from torch import Tensor, nn

from elman.data.tagging import legal, scheme_of
from elman.errors import InputError, PredictionWarning, warn
from elman.modalities import MODALITIES
from elman.modalities.base import Indexed
from elman.nn.crf import CRF
from elman.nn.tagger import Tagger, Taggers, TagHead
from elman.scoring import Evaluation
from elman.scoring.blending import Blend
from elman.scoring.predictors import Baseline
from elman.tasks.answers import Tags, only_tags
from elman.tasks.base import Section, device_of
from elman.tasks.examples.batch import Batch
from elman.tasks.examples.judging import Memo
from elman.tasks.examples.task import FromExamples
from elman.tasks.looking import bars
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.layout import Layout
from elman.tasks.tag.baselines import baselines_of, said_by_baseline
from elman.tasks.tag.blending import on_held, said_by_blend
from elman.tasks.tag.deciding import decided, said_of_step
from elman.tasks.tag.labels import doubts_of, facts_of, label_counts, lines_of, strange_labels
from elman.tasks.tag.report import sections_of
from elman.tasks.tag.said import Said
from elman.tasks.tag.scores import scores_of
from elman.tasks.tag.settings import NO_INTENT, TagSettings
from elman.tasks.tag.tables import answers_table, spans_table, steps_table
from elman.tasks.understood import listed

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

Array = NDArray[Any]


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
        return [Section("Labels", figure=bars(label_counts(self, answers), what))]

    def answer_lines(self, answers: Sequence[Any]) -> list[tuple[str, str]]:
        """Return the tags or the labels of spans, and how often each comes in training."""
        return lines_of(self, answers)

    def answer_doubts(self, found: Examples) -> list[str]:
        """Return doubts about tags and intents that differ only in how they are written."""
        return doubts_of(self, found)

    def facts(self) -> dict[str, Any]:
        """Return scheme, tags and intents, what was repaired, and what training never had."""
        return facts_of(self)

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
        return decided(self, model, self.outputs(model, inputs), sure=sure)

    def said(self, output: Tensor) -> dict[str, Any]:
        """Return the tag of the last step and its probability, from the steps so far."""
        return said_of_step(self, output)

    # Scores

    def _read(self, data: Any, answers: bool) -> Examples:
        found = super()._read(data, answers)
        if answers and (new := strange_labels(self, found)):
            named = listed([f"{name!r} ({count:,})" for name, count in new.items()], 5)
            warn(f"Training never had {named}: each counts as missed.", PredictionWarning)
        return found

    def judging(self) -> float:
        """Return how many validations fit into judging, which asks for probabilities too."""
        return 2 * super().judging()

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
        table = spans_table if self.answer.has_spans else steps_table
        return table(self, found, said)

    def of_baseline(self, predictor: Any, found: Examples, memo: Memo, every: bool) -> list[Said]:
        """Return tags, the spans that they stand for, and intents."""
        return said_by_baseline(self, predictor, found, memo, every)

    def given(
        self, predictor: Any, found: Examples, memo: Memo | None = None, *, every: bool = False
    ) -> list[Said]:
        """Return what a model, a baseline or a blend says of sequences."""
        memo = Memo() if memo is None else memo
        if predictor not in memo.said:
            if isinstance(predictor, Blend):
                memo.said[predictor] = said_by_blend(self, predictor, found, memo)
            elif isinstance(predictor, nn.Module):
                memo.said[predictor] = decided(
                    self, predictor, self.outputs_for(predictor, found, memo)
                )
        said: list[Said] = super().given(predictor, found, memo, every=every)
        return said

    def outputs_for(self, model: nn.Module, found: Examples, memo: Memo) -> Sequence[Array]:
        """Return what the model gives out for each sequence, computed once for a memo."""
        if model not in memo.outputs:
            memo.outputs[model] = self.outputs(model, self._encode(found.inputs))
        outputs: Sequence[Array] = memo.outputs[model]
        return outputs

    def on_held(
        self, held: Examples, model: nn.Module, predictors: Sequence[Baseline]
    ) -> tuple[dict[Baseline, float], Callable[[Baseline], float | str]]:
        """Return each baseline's score on the validation part, and a way to weigh the model."""
        return on_held(self, held, model, predictors)

    def _judged_table(
        self, model: nn.Module, found: Examples, outputs: Any, memo: Memo
    ) -> pd.DataFrame:
        return answers_table(self, model, found, outputs, memo)

    def scored(
        self, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        """Return the scores of what the model or a baseline says."""
        return scores_of(self, found, outputs, predictions)

    def fit_baselines(self) -> Iterator[Baseline]:
        """Yield baselines for words, for steps that have features, or for steps of numbers."""
        return baselines_of(self)

    # Report

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return sentences with their spans, scores of labels, reliability and errors."""
        return sections_of(self, model, evaluation)

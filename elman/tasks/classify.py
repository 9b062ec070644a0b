"""`classify`: a label for a whole sequence: a text, a series, a picture read row by row.

Many to one: each step is embedded (tokens) or scaled (numbers), an optional convolution
shortens the sequence, a recurrent layer reads it, its outputs are pooled into one vector, and a
linear map gives a score a class. Trained by cross-entropy, judged by accuracy beside majority,
linear models on counts and nearest neighbours, all on the same test rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data import Batches, Scaler, Vocabulary, bucketed, duplicates, split
from elman.data.vocabulary import Unit
from elman.errors import InputError
from elman.nn import Recurrent
from elman.nn.conv import ConvFront1d, ConvFront2d, FrontNorm
from elman.nn.dropout import locked
from elman.nn.ensemble import Ensemble
from elman.nn.pooling import AttentionPooling
from elman.nn.topologies import ManyToOne
from elman.scoring import Evaluation, confusion
from elman.tasks import labelled
from elman.tasks.base import Sample, Section, TaskSettings, device_of
from elman.tasks.labelled import Examples, Layout
from elman.training.settings import AveragingName, ScheduleName

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

Codes = NDArray[np.int64]
Size = Annotated[int, Field(ge=1)]

#: Below so many training examples none are held out for validation unless it is asked for: a
#: handful cannot tell a good step from a lucky one, and training needs them.
FEW = 100
#: Updates that a run without a bound of its own aims at.
_STEPS = 2500
_DEPENDENCE_OF = 1000
"""Examples in which the doctor looks for what the class depends on."""


class ClassifySettings(TaskSettings):
    """Settings of `classify`; what is empty is chosen from the data."""

    cell: str = Field("gru", description="recurrent cell, a name that `elman cells` lists")
    dropout: float = Field(
        0.3, ge=0, lt=1, description="dropout of the pooled output and between layers"
    )
    lr: float = Field(2e-3, gt=0, description="learning rate at its highest")
    weight_decay: float = Field(
        0.01, ge=0, description="decay of weight matrices (never of biases, gains, diagonals)"
    )
    schedule: ScheduleName = Field(
        "cosine", description="course of the rate over the run, whatever bounds the run"
    )
    warmup: float = Field(
        0.05,
        ge=0,
        description="rise of the rate at the start: a part of the run if below 1, or steps",
    )
    averaging: AveragingName = Field(
        "ema",
        description="averaged parameters: ema, or asgd (begun when validation stops improving)",
    )
    ema_decay: float = Field(0.99, ge=0, lt=1, description="weight of the past in ema")

    text: str | None = Field(
        None, description="column of the text (or series, or picture); guessed when empty"
    )
    target: str | None = Field(None, description="column of the label; guessed when empty")
    columns: list[str] | None = Field(
        None,
        description="columns of numbers: the steps of a row's series, or with `group` its channels",
    )
    group: str | None = Field(
        None, description="long tables: the column that says which series a row is a step of"
    )
    time: str | None = Field(None, description="long tables: the column that orders the steps")

    unit: Unit | None = Field(None, description="text: one step is a character, word or subword")
    lower: bool | None = Field(
        None, description="text: in lower case (words and subwords are, characters are not)"
    )
    vocabulary_size: int = Field(30000, ge=3, description="text: different symbols at most")
    min_count: int = Field(1, ge=1, description="text: symbols seen less often are unknown")
    max_length: int | None = Field(
        None, ge=1, description="steps of a sequence at most, the rest is cut (text: 400)"
    )
    embedding_size: int = Field(128, ge=1, description="text: numbers that stand for a symbol")
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="text: chance that a symbol is made unknown in training"
    )
    input_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout of what the recurrence reads, one mask a sequence"
    )
    scaling: Literal["standard", "minmax", "none"] = Field(
        "standard", description="series: how each channel is scaled, by the training part alone"
    )
    noise: float = Field(
        0.0, ge=0, description="series: deviation of the noise added in training, after scaling"
    )
    shift: float = Field(
        0.0, ge=0, description="series: deviation, in steps, by which training slides it in time"
    )
    mixup: float = Field(
        0.0,
        ge=0,
        description="series: training on mixtures of two, in shares from Beta(mixup, mixup)",
    )

    members: int = Field(
        1, ge=1, description="networks trained side by side, whose probabilities are averaged"
    )
    bidirectional: bool = Field(
        True, description="read forwards and backwards; false for models that are to stream"
    )
    reverse: bool = Field(
        False, description="read each sequence from its end; only where bidirectional is false"
    )
    pooling: Literal["last", "mean", "max", "attention"] = Field(
        "max", description="how the outputs of all steps become one vector"
    )
    front_channels: list[int] = Field(
        default_factory=list, description="channels of each convolution before the recurrence"
    )
    front_kernel: Size | list[Size] = Field(
        5, description="steps that each convolution sees; a list has one number for each"
    )
    front_stride: Size | list[Size] = Field(
        2, description="steps that each convolution moves on; a list has one number for each"
    )
    front_norm: FrontNorm = Field(
        "none",
        description="after each convolution: instance scales each channel of a sequence, batch "
        "those of a batch",
    )
    front_beside: bool = Field(
        False, description="the convolutions read beside the recurrence, not before it"
    )

    @model_validator(mode="after")
    def _one_for_each_convolution(self) -> Self:
        for name in ("front_kernel", "front_stride"):
            told = getattr(self, name)
            if isinstance(told, list) and len(told) != len(self.front_channels):
                raise ValueError(
                    f"{name} has {len(told)} entries, front_channels {len(self.front_channels)}"
                )
        return self

    @model_validator(mode="after")
    def _one_direction_to_turn(self) -> Self:
        if self.reverse and self.bidirectional:
            raise ValueError("reverse needs bidirectional=false, or both ways are read anyway")
        return self


@dataclass(frozen=True)
class Batch:
    """Padded inputs `(B, T)` or `(B, T, C)` in the order in which they are read, lengths `(B,)`
    and classes `(B,)`."""

    inputs: Tensor
    lengths: Tensor
    classes: Tensor


class Classify:
    """A label for each text, series or picture; see the module."""

    name: ClassVar[str] = "classify"
    summary: ClassVar[str] = "a label for each text, series or picture"
    Settings: ClassVar[type[TaskSettings]] = ClassifySettings
    metric = "accuracy"
    higher_is_better = True

    def __init__(
        self,
        settings: ClassifySettings,
        layout: Layout,
        classes: Sequence[str],
        encoder: Vocabulary | Scaler,
        channels: int,
        parts: dict[str, Examples] | None = None,
    ) -> None:
        self.settings, self.layout, self.encoder = settings, layout, encoder
        self.classes, self.channels = list(classes), channels
        self._codes = {name: code for code, name in enumerate(self.classes)}
        self._parts = parts or {}
        self._encoded: dict[str, list[NDArray[Any]]] = {}

    @classmethod
    def from_data(cls, data: Any, settings: Any, valid: Any = None, test: Any = None) -> Self:
        """Read and split `data`, then fit the vocabulary or scaler on the training part.

        A folder whose files say train and test in their names is split as they say. Otherwise
        the split keeps the proportions of the classes.

        Raises:
            InputError: the data cannot be read, has one class only, or a class that training
                lacks; the message says where.
        """
        given = {"train": data, "valid": valid, "test": test}
        if valid is None and test is None:
            given |= labelled.parts(data) or {}
        given = {part: source for part, source in given.items() if source is not None}
        first = labelled.labels_first(given["train"])
        table = labelled.read(given["train"], encoding=settings.encoding, first=first)
        layout = labelled.find_layout(
            table,
            text=settings.text,
            target=settings.target,
            columns=settings.columns,
            group=settings.group,
            time=settings.time,
            first=first,
        )
        everything = labelled.examples(table, layout)
        _refuse_labels(everything, table, layout)
        parts = {"train": everything}
        for part in ("valid", "test"):
            if part in given:
                other = labelled.read(given[part], encoding=settings.encoding, first=first)
                parts[part] = labelled.examples(other, layout)
        settings = _chosen(settings, layout, everything)
        parts = _shared_out(parts, settings)
        train = parts["train"]
        classes = sorted(set(train.labels or []), key=_natural)
        channels = 0 if layout.modality == "text" else everything.inputs[0].shape[1]
        for found in parts.values():
            labelled.check_classes(classes, found, layout.target)
            if layout.modality != "text":
                labelled.check_channels(found, channels)
        encoder = _fitted(settings, layout, train.inputs)
        return cls(settings, layout, classes, encoder, channels, parts)

    @classmethod
    def from_assets(cls, settings: Any, assets: dict[str, Any]) -> Self:
        """The task of a finished run."""
        labels = assets["labels"]
        layout = Layout.from_json(labels["layout"])
        encoder: Vocabulary | Scaler
        if layout.modality == "text":
            encoder = Vocabulary.from_json(assets["vocabulary"])
        else:
            encoder = Scaler.from_json(assets["scaler"])
        return cls(settings, layout, labels["classes"], encoder, labels["channels"])

    def assets(self) -> dict[str, Any]:
        """Classes and layout, and the vocabulary or scaler."""
        name = "vocabulary" if isinstance(self.encoder, Vocabulary) else "scaler"
        labels = {
            "classes": self.classes,
            "layout": self.layout.to_json(),
            "channels": self.channels,
        }
        return {"labels": labels, name: self.encoder.to_json()}

    def describe(self) -> dict[str, Any]:
        """Sizes, classes, lengths and duplicates across the parts."""
        if not self._parts:
            return {"modality": self.layout.modality, "classes": len(self.classes)}
        train = self._parts["train"]
        lengths = [len(x) for x in self._inputs("train")]
        shared = duplicates({part: found.inputs for part, found in self._parts.items()})
        steps = self.settings.unit if self.layout.modality == "text" else "steps"
        return {
            "modality": self.layout.modality,
            "input": ", ".join(self.layout.inputs[:8]),
            "target": self.layout.target,
            "examples": {part: len(found) for part, found in self._parts.items()},
            "classes": len(self.classes),
            "training examples of a class": _range(Counter(train.labels or []).values()),
            f"{steps} of an example": _range(lengths),
            "duplicates": str(shared),
        }

    def build(self) -> nn.Module:
        """The model: embedding, front, recurrence, pooling, linear map; or several of them."""
        if self.settings.members == 1:
            return self._member()
        return Ensemble(self._member() for _ in range(self.settings.members))

    def _member(self) -> ManyToOne:
        settings: ClassifySettings = self.settings
        size = self.channels
        embedding: nn.Module
        if isinstance(self.encoder, Vocabulary):
            embedding = TokenEmbedding(self.encoder, settings)
            size = settings.embedding_size
        else:
            embedding = NoisyInput(settings.noise, settings.input_dropout)
        front: ConvFront1d | ConvFront2d | None = None
        if settings.front_channels:
            channels, norm = settings.front_channels, settings.front_norm
            kernel, stride = settings.front_kernel, settings.front_stride
            if self.layout.modality == "image":
                strides = stride if isinstance(stride, list) else [stride] * len(channels)
                front = ConvFront2d(
                    size,
                    channels,
                    # mypy: a list of int is not a list of int | tuple.
                    kernel_size=[*kernel] if isinstance(kernel, list) else kernel,
                    stride=[(1, step) for step in strides],
                    norm=norm,
                )
            else:
                front = ConvFront1d(size, channels, kernel_size=kernel, stride=stride, norm=norm)
            size = size if settings.front_beside else front.output_size
        recurrent = Recurrent(
            settings.cell,
            size,
            settings.hidden_size,
            settings.num_layers,
            bidirectional=settings.bidirectional,
            batch_first=True,
            dropout=settings.dropout if settings.num_layers > 1 else 0.0,
            variational=True,
            recurrent_dropout=settings.recurrent_dropout,
            zoneout=settings.zoneout,
            residual=settings.residual,
            **settings.cell_options,
        )
        beside = front if settings.front_beside else None
        features = recurrent.output_size + (beside.output_size if beside is not None else 0)
        dropout = FirstDropout(settings.dropout, recurrent.output_size)
        head = nn.Sequential(dropout, nn.Linear(features, len(self.classes)))
        return ManyToOne(
            recurrent,
            head,
            embedding=embedding,
            front=None if settings.front_beside else front,
            pooling=settings.pooling,
            beside=beside,
        )

    def objective(self, model: nn.Module) -> _Objective:
        """Cross-entropy, and accuracy on the validation part."""
        return _Objective(self, model)

    def batches(self, rank: int = 0, world_size: int = 1) -> Batches[Batch]:
        """Training batches of examples of similar length."""
        inputs, classes = self._inputs("train"), self._classes("train")
        return Batches(
            bucketed([len(x) for x in inputs], self.settings.batch_size),
            lambda rows: self._batch([inputs[row] for row in rows], classes[rows]),
            seed=self.settings.seed,
            rank=rank,
            world_size=world_size,
        )

    def evaluate(self, model: nn.Module, data: Any = None) -> Evaluation:
        """Accuracy and macro F1 on `data`, or on the test part."""
        found = self._asked(data)
        chances = self._chances(model, self._encode(found.inputs))
        predictions = self._table(found, chances)
        return self._evaluation(found, chances.argmax(1), predictions)

    def baselines(self, data: Any = None) -> dict[str, Evaluation]:
        """Majority, and the classical methods for this kind of sequence, on the same rows."""
        found = self._asked(data)
        guesses = _guesses(self, found.inputs)
        return {name: self._evaluation(found, codes) for name, codes in guesses.items()}

    def predict(self, model: nn.Module, data: Any) -> pd.DataFrame:
        """The likeliest class of each sequence in `data`, and the probability of every class."""
        found = self._read(data, labels=False)
        return self._table(found, self._chances(model, self._encode(found.inputs)))

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Confusion matrix, scores of each class, and the mistakes the model was surest of."""
        assert evaluation.predictions is not None
        table = confusion.counts(evaluation.units, len(self.classes))
        mistakes = confusion.worst_mistakes(evaluation.predictions)
        shown = [
            Section("Confusion matrix", figure=confusion.figure(table, self.classes)),
            Section("Classes", table=confusion.class_table(table, self.classes)),
        ]
        if len(self.classes) > 2:
            confused = confusion.most_confused(table, self.classes)
            if len(confused):
                shown.append(Section("Most often confused", table=confused))
        if len(mistakes):
            text = "The wrong answers that the model was surest of: often the label is at fault."
            shown.append(Section("Worst mistakes", text, mistakes))
        return shown

    def stepper(self, model: nn.Module) -> ClassifyStepper | SteppersAveraged:
        """The class probabilities so far, one step at a time.

        Raises:
            InputError: the model reads backwards or has a convolution before its recurrence.
        """
        if isinstance(model, Ensemble):
            return SteppersAveraged([ClassifyStepper(self, m) for m in model.members])
        return ClassifyStepper(self, model)

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Examples with their classes."""
        if data is None:
            part = next(iter(self._parts))
            inputs, classes = self._inputs(part), self._classes(part)
        else:
            found = self._read(data, labels=True)
            inputs, classes = self._encode(found.inputs), self._codes_of(found)
        drawn = np.random.default_rng(seed).permutation(len(inputs))
        chosen = np.sort(drawn[: min(rows, len(inputs))])
        batch = self._batch([inputs[k] for k in chosen], classes[chosen])

        def loss(model: nn.Module) -> Tensor:
            return _Objective(self, model).loss(batch, None)[0]

        more = np.sort(drawn[: min(_DEPENDENCE_OF, len(inputs))])
        known = self._batch([inputs[k] for k in more], classes[more])
        first = self._in_reading_order(inputs[int(chosen[0])])
        vocabulary = self.encoder if isinstance(self.encoder, Vocabulary) else None
        labels: Any = (
            np.asarray(first, float).reshape(len(first), -1)[:, 0].tolist()
            if vocabulary is None
            else [vocabulary.symbols[int(i)] for i in first]
        )
        unit = "steps" if vocabulary is None else str(self.settings.unit or "words")
        return Sample(
            loss,
            unit,
            labels,
            inputs=known.inputs.transpose(0, 1).numpy(),
            lengths=known.lengths,
            target=known.classes.numpy(),
        )

    def _evaluation(
        self, found: Examples, guesses: Codes, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        import pandas as pd

        truth = self._codes_of(found)
        units = pd.DataFrame({"truth": truth, "prediction": guesses})
        return Evaluation(units, partial(confusion.score, classes=len(self.classes)), predictions)

    def _table(self, found: Examples, chances: NDArray[np.float32]) -> pd.DataFrame:
        import pandas as pd

        places = [found.where(row) for row in range(len(found))]
        columns: dict[str, Any] = {"row": [row for _, row in places]}
        if len({file for file, _ in places}) > 1:
            columns = {"file": [None if f is None else f.name for f, _ in places]} | columns
        if found.names is not None:
            columns[str(self.layout.group)] = found.names
        if self.layout.modality == "text":
            columns["text"] = found.inputs
        if found.labels is not None:
            columns["truth"] = found.labels
        best = chances.argmax(1)
        columns["prediction"] = [self.classes[code] for code in best]
        columns["probability"] = chances[np.arange(len(best)), best]
        columns |= {f"p_{name}": chances[:, code] for code, name in enumerate(self.classes)}
        return pd.DataFrame(columns)

    def _asked(self, data: Any) -> Examples:
        """What is to be judged: new data, or the test part."""
        if data is not None:
            return self._read(data, labels=True)
        if "test" not in self._parts:
            raise InputError(
                "There is no test part to judge the model on.",
                fix="Set test_fraction above 0, or give test data.",
            )
        return self._parts["test"]

    def _read(self, data: Any, labels: bool) -> Examples:
        settings: ClassifySettings = self.settings
        found = labelled.read_like(
            data, self.layout, self.classes, labels=labels, encoding=settings.encoding
        )
        if labels:
            labelled.check_classes(self.classes, found, self.layout.target)
        if self.layout.modality != "text":
            labelled.check_channels(found, self.channels)
        return found

    def _inputs(self, part: str) -> list[NDArray[Any]]:
        if part not in self._encoded:
            self._encoded[part] = self._encode(self._parts[part].inputs)
        return self._encoded[part]

    def _classes(self, part: str) -> Codes:
        return self._codes_of(self._parts[part])

    def _codes_of(self, found: Examples) -> Codes:
        return np.array([self._codes[label] for label in found.labels or []], dtype=np.int64)

    def _encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        """Token ids `(T,)` or scaled steps `(T, C)`, cut to the longest allowed."""
        most = self.settings.max_length
        if isinstance(self.encoder, Vocabulary):
            return [self.encoder.encode(text)[:most] for text in inputs]
        return [self.encoder.transform(series[:most]) for series in inputs]

    def _in_reading_order(self, x: NDArray[Any]) -> NDArray[Any]:
        return x[::-1] if self.settings.reverse else x

    def _batch(self, inputs: Sequence[NDArray[Any]], classes: Codes | None = None) -> Batch:
        lengths = np.array([len(x) for x in inputs], dtype=np.int64)
        longest = int(lengths.max(initial=0))
        if isinstance(self.encoder, Vocabulary):
            padded = np.full((len(inputs), longest), self.encoder.pad, dtype=np.int64)
        else:
            padded = np.zeros((len(inputs), longest, self.channels), dtype=np.float32)
        for row, x in enumerate(inputs):
            padded[row, : len(x)] = self._in_reading_order(x)
        known = np.zeros(len(inputs), np.int64) if classes is None else classes
        return Batch(torch.from_numpy(padded), torch.from_numpy(lengths), torch.from_numpy(known))

    @torch.no_grad()
    def _chances(self, model: nn.Module, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Class probabilities `(n, classes)`, in batches of similar length."""
        chances = np.empty((len(inputs), len(self.classes)), dtype=np.float32)
        order = np.argsort([len(x) for x in inputs], kind="stable")
        training = model.training
        model.eval()
        for start in range(0, len(order), 256):
            rows = order[start : start + 256]
            batch = self._batch([inputs[row] for row in rows])
            chances[rows] = _logits(model, batch).softmax(-1).float().cpu().numpy()
        model.train(training)
        return chances


class TokenEmbedding(nn.Module):
    """Tokens `(B, T)` to vectors `(B, T, E)`; in training some are made unknown, features dropped.

    Word dropout: Iyyer et al. 2015, "Deep unordered composition"; the dropped features are the
    same in all steps of a sequence (Gal & Ghahramani 2016).
    """

    def __init__(self, vocabulary: Vocabulary, settings: ClassifySettings) -> None:
        super().__init__()
        assert vocabulary.pad is not None
        assert vocabulary.unk is not None
        self.pad, self.unk = vocabulary.pad, vocabulary.unk
        self.word_dropout, self.dropout = settings.word_dropout, settings.input_dropout
        self.table = nn.Embedding(len(vocabulary), settings.embedding_size, padding_idx=self.pad)
        # Small enough that symbols too rare to learn stay quiet beside those that were learnt.
        nn.init.normal_(self.table.weight, std=0.1)
        with torch.no_grad():
            self.table.weight[self.pad] = 0

    def forward(self, tokens: Tensor) -> Tensor:
        """`(B, T)` -> `(B, T, E)`."""
        if self.training and self.word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped & (tokens != self.pad), self.unk)
        return locked(self.table(tokens), self.dropout, self.training, time_axis=1)


class FirstDropout(nn.Dropout):
    """Dropout of the first `size` features: what the recurrence gave out, not what stood beside it.

    As in LSTM-FCN (Karim et al. 2018): a recurrence learns dozens of examples by heart at once,
    and convolutions beside it would be left with nothing to learn.
    """

    def __init__(self, p: float, size: int) -> None:
        super().__init__(p)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """`(B, F)` -> `(B, F)`."""
        return torch.cat([super().forward(x[:, : self.size]), x[:, self.size :]], 1)


class NoisyInput(nn.Module):
    """Scaled series `(B, T, C)` as they are; in training with noise, and with channels dropped."""

    def __init__(self, noise: float, dropout: float) -> None:
        super().__init__()
        self.noise, self.dropout = noise, dropout

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, C)` -> `(B, T, C)`."""
        if self.training and self.noise:
            x = x + self.noise * torch.randn_like(x)
        return locked(x, self.dropout, self.training, time_axis=1)


class _Objective:
    """Cross-entropy of a batch; accuracy and loss on the validation part."""

    metric = "accuracy"
    higher_is_better = True

    def __init__(self, task: Classify, model: nn.Module) -> None:
        self.task, self.model = task, model

    def loss(self, batch: Batch, carried: Any) -> tuple[Tensor, float, Any]:
        """The summed cross-entropy and the number of examples."""
        if not len(batch.classes):
            return torch.zeros((), device=device_of(self.model)), 0.0, None
        settings = self.task.settings
        altered = self.model.training and self.task.layout.modality != "text"
        if altered and settings.shift:
            batch = _slid(batch, settings.shift)
        if altered and settings.mixup:
            mixed, others, share = _mixed(batch, settings.mixup)
            logits = _logits(self.model, mixed)
            total = share * self._cross_entropy(logits, batch.classes)
            total = total + (1 - share) * self._cross_entropy(logits, others)
        else:
            total = self._cross_entropy(_logits(self.model, batch), batch.classes)
        return total, float(len(batch.classes)), None

    def _cross_entropy(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Summed over examples; of an ensemble's members `(B, members, C)` the mean."""
        classes, members = classes.to(logits.device), 1
        if logits.dim() == 3:
            members = logits.shape[1]
            logits, classes = logits.flatten(0, 1), classes.repeat_interleave(members)
        smoothing = self.task.settings.label_smoothing
        total = F.cross_entropy(logits, classes, reduction="sum", label_smoothing=smoothing)
        return total / members

    def validate(self) -> dict[str, float]:
        """Accuracy and loss; nothing where no example is held out."""
        if "valid" not in self.task._parts:
            return {}
        chances = self.task._chances(self.model, self.task._inputs("valid"))
        truth = self.task._classes("valid")
        right = np.log(np.maximum(chances[np.arange(len(truth)), truth], 1e-30))
        return {
            "accuracy": float(np.mean(chances.argmax(1) == truth)),
            "loss": float(-right.mean()),
        }


class ClassifyStepper:
    """The model fed one step at a time: the recurrent state and what the pooling needs go along.

    After any number of steps the probabilities are those of the sequence so far, as if it had
    been given whole. The state is the recurrent state, the number of steps, and for `last` the
    last output, for `mean` the sum, for `max` the maximum, for `attention` the largest score,
    the sum of weights and the weighted sum.
    """

    def __init__(self, task: Classify, model: nn.Module) -> None:
        settings: ClassifySettings = task.settings
        assert isinstance(model, ManyToOne)
        if settings.bidirectional:
            raise InputError(
                "This model reads backwards too, so it needs the whole sequence and cannot stream.",
                fix="Train it with bidirectional=false.",
            )
        if settings.reverse:
            raise InputError(
                "This model reads sequences from their end, so it cannot begin before that has "
                "come, and cannot stream.",
                fix="Train it with reverse=false.",
            )
        if settings.front_channels:
            raise InputError(
                "This model has a convolution, which looks ahead, so it cannot stream.",
                fix="Train it without front_channels.",
            )
        self.task, self.model = task, model
        self.kind = settings.pooling

    def start(self) -> Any:
        """The state before the first step."""
        size = self.model.recurrent.output_size
        device = device_of(self.model)
        count = torch.zeros(1, 1, device=device)
        vector = torch.zeros(1, size, device=device)
        floor = torch.full((1, 1), -torch.inf, device=device)
        pooled: tuple[Tensor, ...] = (vector,)
        if self.kind == "max":
            pooled = (torch.full_like(vector, -torch.inf),)
        elif self.kind == "attention":
            pooled = (floor, torch.zeros_like(count), vector)
        return self.model.recurrent.init_state(1), count, pooled

    @torch.no_grad()
    def step(self, value: Any, state: Any) -> tuple[dict[str, float], Any]:
        """One step in, the probability of each class out.

        Args:
            value: a piece of text (one word or character, or more), the values of a series'
                channels, or the row of a picture (brightness 0 to 1).
            state: from `start` or from the step before.

        Raises:
            InputError: the value is empty or has another number of channels.
        """
        for step in self._steps(value):
            state = self._advance(step, state)
        logits = self.model.head(self._pooled(state))
        chances = logits.softmax(-1)[0].tolist()
        return dict(zip(self.task.classes, chances, strict=True)), state

    def _steps(self, value: Any) -> Tensor:
        encoder, device = self.task.encoder, device_of(self.model)
        if isinstance(encoder, Vocabulary):
            tokens = encoder.encode(value)
            if not len(tokens):
                raise InputError("There is nothing to read in this step.")
            return torch.from_numpy(tokens).to(device).view(-1, 1, 1)
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float32))
        if numbers.shape != (self.task.channels,):
            raise InputError(
                f"A step has {self.task.channels} values; this has the shape {numbers.shape}."
            )
        return torch.from_numpy(encoder.transform(numbers)).to(device).view(1, 1, 1, -1)

    def _advance(self, step: Tensor, state: Any) -> Any:
        hidden, count, pooled = state
        embedded = self.model.embedding(step) if self.model.embedding is not None else step
        y, hidden = self.model.recurrent(embedded, hidden)
        y = y[:, 0]
        if self.kind == "last":
            pooled = (y,)
        elif self.kind == "mean":
            pooled = (pooled[0] + y,)
        elif self.kind == "max":
            pooled = (torch.maximum(pooled[0], y),)
        else:
            # A softmax over all steps so far, kept as sums relative to the largest score.
            highest, weights, total = pooled
            pooling = self.model.pooling
            assert isinstance(pooling, AttentionPooling)
            score = pooling.q(torch.tanh(pooling.W(y)))
            top = torch.maximum(highest, score)
            old, new = torch.exp(highest - top), torch.exp(score - top)
            pooled = (top, weights * old + new, total * old + y * new)
        return hidden, count + 1, pooled

    def _pooled(self, state: Any) -> Tensor:
        _, count, pooled = state
        result: Tensor = pooled[-1]
        if self.kind == "mean":
            result = result / count
        elif self.kind == "attention":
            result = result / pooled[1]
        return result


class SteppersAveraged:
    """The members of an ensemble, each with its own state; their probabilities averaged."""

    def __init__(self, steppers: list[ClassifyStepper]) -> None:
        self.steppers = steppers

    def start(self) -> Any:
        """The state before the first step: one a member."""
        return tuple(stepper.start() for stepper in self.steppers)

    def step(self, value: Any, state: Any) -> tuple[dict[str, float], Any]:
        """As `ClassifyStepper.step`."""
        pairs = [s.step(value, part) for s, part in zip(self.steppers, state, strict=True)]
        chances = [found for found, _ in pairs]
        mean = {name: sum(c[name] for c in chances) / len(chances) for name in chances[0]}
        return mean, tuple(part for _, part in pairs)


def _slid(batch: Batch, deviation: float) -> Batch:
    """Each series moved in time by whole steps; what comes in at an end is its last value there."""
    steps = torch.arange(batch.inputs.shape[1])
    by = (deviation * torch.randn(len(batch.classes))).round().long()
    last = (batch.lengths - 1).clamp(min=0)[:, None]
    source = torch.minimum((steps + by[:, None]).clamp(min=0), last)
    # Padding stays where it is.
    source = torch.where(steps <= last, source, steps)
    index = source[..., None].expand_as(batch.inputs)
    return Batch(batch.inputs.gather(1, index), batch.lengths, batch.classes)


def _mixed(batch: Batch, spread: float) -> tuple[Batch, Tensor, float]:
    """Each series mixed with another of its batch (Zhang et al. 2018, "mixup").

    Returns:
        The mixtures, as long as the longer of the two; the classes of the others; the share of
        the first.
    """
    share = float(torch.distributions.Beta(spread, spread).sample())
    other = torch.randperm(len(batch.classes))
    mixed = Batch(
        share * batch.inputs + (1 - share) * batch.inputs[other],
        torch.maximum(batch.lengths, batch.lengths[other]),
        batch.classes,
    )
    return mixed, batch.classes[other], share


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    device = device_of(model)
    result: Tensor = model(batch.inputs.to(device), batch.lengths.to(device))
    return result


def _refuse_labels(found: Examples, table: Table, layout: Layout) -> None:
    """One class is nothing to tell apart, and a class for nearly every example no label."""
    names = set(found.labels or [])
    if len(names) == 1:
        raise InputError(
            f"All {len(found)} examples are of one class, {names.pop()!r}: there is nothing to "
            "tell apart.",
            file=table.source,
            column=layout.target,
            fix="Give examples of another class, or name another column with --set target=NAME.",
        )
    if 2 * len(names) > len(found) and len(names) > 2:
        raise InputError(
            f"{len(found)} examples have {len(names)} different labels, such as "
            f"{(found.labels or [])[0]!r}: these are not classes.",
            file=table.source,
            column=layout.target,
            fix="Begin each line with its label, then a blank and the text."
            if layout.first
            else "Name the column of the label with --set target=NAME.",
        )


def _chosen(settings: ClassifySettings, layout: Layout, found: Examples) -> ClassifySettings:
    """The settings with what is left to the data filled in."""
    chosen: dict[str, Any] = {
        "text": layout.inputs[0] if layout.form == "cell" else None,
        "target": layout.target,
        "columns": None if layout.form == "cell" else list(layout.inputs),
    }
    if layout.modality == "text":
        unit = settings.unit or _unit(found.inputs)
        chosen["unit"] = unit
        if settings.lower is None:
            chosen["lower"] = unit != "characters"
        if settings.max_length is None:
            chosen["max_length"] = 400
    if settings.epochs is None and settings.max_steps is None and settings.budget is None:
        an_epoch = max(1, len(found) // settings.batch_size)
        chosen["epochs"] = int(np.clip(round(_STEPS / an_epoch), 10, 100))
    if "valid_fraction" not in settings.model_fields_set and len(found) < FEW:
        chosen["valid_fraction"] = 0.0
    return settings.model_copy(update=chosen)


def _unit(texts: Sequence[str]) -> Unit:
    """Characters where a text is mostly one or two words, such as a name; else words."""
    return "characters" if np.median([len(text.split()) for text in texts]) <= 2 else "words"


def _shared_out(parts: dict[str, Examples], settings: ClassifySettings) -> dict[str, Examples]:
    """Split what is needed off the training examples, stratified by class."""
    valid = 0.0 if "valid" in parts else settings.valid_fraction
    test = 0.0 if "test" in parts else settings.test_fraction
    train = parts["train"]
    rows = split(
        len(train),
        fractions=(1 - valid - test, valid, test),
        by="class",
        column=np.array(train.labels, dtype=object),
        seed=settings.seed,
    )
    made = {"train": train.take(rows.train)} | {p: x for p, x in parts.items() if p != "train"}
    for part, chosen in (("valid", rows.valid), ("test", rows.test)):
        if len(chosen):
            made[part] = train.take(chosen)
    return {part: made[part] for part in ("train", "valid", "test") if part in made}


def _fitted(
    settings: ClassifySettings, layout: Layout, inputs: Sequence[Any]
) -> Vocabulary | Scaler:
    if layout.modality != "text":
        kind = settings.scaling if layout.modality == "series" else "none"
        return Scaler.fit(np.concatenate(inputs), kind)
    unit = settings.unit or "words"
    return Vocabulary.fit(
        inputs,
        unit,
        size=settings.vocabulary_size,
        min_count=settings.min_count,
        lower=bool(settings.lower),
        specials=("pad", "unk"),
        punctuation=unit == "words",
    )


def _guesses(task: Classify, inputs: list[Any]) -> dict[str, Codes]:
    """What each baseline, fitted on the training part, says of `inputs`: name to codes."""
    from elman.scoring.baselines import sequences, text
    from elman.scoring.baselines.linear import Labelled

    parts, unit = task._parts, task.settings.unit or "words"
    truth = task._classes("train")
    majority = np.full(len(inputs), np.bincount(truth).argmax(), dtype=np.int64)
    found: dict[str, Codes | None] = {"majority": majority}
    held = parts.get("valid")

    def both(prepare: Callable[[list[Any]], list[Any]]) -> tuple[Labelled[Any], Labelled[Any]]:
        codes = np.zeros(0, np.int64) if held is None else task._classes("valid")
        valid: Labelled[Any] = Labelled([] if held is None else prepare(held.inputs), codes)
        return Labelled(prepare(parts["train"].inputs), truth), valid

    if task.layout.modality == "text":
        train, valid = both(list)
        found["tf-idf + logistic regression"] = text.tfidf_logistic_regression(
            train, valid, inputs, unit
        )
        found["NB-SVM"] = text.nb_svm(train, inputs, unit)
    else:
        train, valid = both(task._encode)
        asked = task._encode(inputs)
        found["1-nearest neighbour"] = sequences.nearest_neighbour(train, asked)
        if task.layout.modality == "image":
            found["logistic regression on pixels"] = sequences.pixel_logistic_regression(
                train, valid, asked
            )
        else:
            found["1-nearest neighbour, DTW"] = sequences.nearest_neighbour_dtw(train, asked)
            found["logistic regression on summary features"] = (
                sequences.summary_logistic_regression(train, valid, asked)
            )
    return {name: codes for name, codes in found.items() if codes is not None}


def _natural(label: str) -> tuple[bool, float, str]:
    """Labels that are numbers in the order of numbers, then the rest by name."""
    try:
        return (False, float(label), label)
    except ValueError:
        return (True, 0.0, label)


def _range(values: Any) -> str:
    numbers = list(values)
    return f"{min(numbers)} to {max(numbers)} (median {int(np.median(numbers))})"

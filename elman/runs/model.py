"""A finished run as an object: predict, generate, stream."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from elman.errors import InputError
from elman.runs.later import read_as_in_training
from elman.tasks.base import Streamed, Task

if TYPE_CHECKING:
    import pandas as pd


class Model:
    """A trained model with everything it needs to be used, loaded from a run.

    Args:
        task: of the run.
        module: the network.
        path: of the run.
        predictor: a kept baseline or a blend that answers in the network's place.
    """

    def __init__(self, task: Task, module: nn.Module, path: Path, predictor: Any = None) -> None:
        self.task, self.module, self.path = task, module, path
        self.predictor = module if predictor is None else predictor

    def predict(
        self,
        data: Any,
        *,
        proba: bool = False,
        abstain: float | None = None,
        why: bool = False,
        **how: Any,
    ) -> pd.DataFrame:
        """Predictions on new data (a path, paths or a DataFrame), a row each.

        Args:
            data: new sequences, in the form of the training data.
            proba: every column: what was read, the probability of each class, each quantile.
                Otherwise those that people want first: which one (an id where the data have one,
                else the row), the answer, and how sure it is.
            abstain: leave the answer empty where its probability is below this; of a classifier
                that may say "none of these", it is that answer.
            why: of a classifier: a column `why` with each step (a word, or its number) and its
                share in the answer, by integrated gradients.
            how: what the modality must know of arrays, such as the `rate` of samples; of a
                translator how to write, such as `n_best`.

        Raises:
            InputError: `abstain` is no probability, or what predicts gives none; or there is no
                such option.
        """
        if abstain is not None and not 0 <= abstain <= 1:
            raise InputError(f"abstain={abstain} is no probability: it lies between 0 and 1.")
        if why:
            if not hasattr(self.task, "why"):
                raise InputError(f"{self.task.name} has no shares of steps.", fix="Leave why out.")
            how["why"] = True
        _refuse_unknown(self.task, how)
        with read_as_in_training():
            found = self.task.predict(self.predictor, data, **how)
        if abstain is not None:
            found = _abstained(self.task, found, abstain)
        if proba:
            return found
        brief = self.task.brief(found)
        return brief.assign(why=found["why"]) if why else brief

    def generate(self, prompt: str = "", **options: Any) -> list[str]:
        """New sequences that begin with `prompt`; options as in `elman generate`.

        Raises:
            InputError: the task of this run does not generate.
        """
        return _generator(self).generate(self.predictor, prompt, **options)  # type: ignore[no-any-return]

    def complete(self, prompt: str, **options: Any) -> Any:
        """The likeliest next symbols after `prompt` with their probabilities."""
        return _generator(self).complete(self.predictor, prompt, **options)

    def keyboard(self, label: str | None = None) -> Any:
        """Suggestions for someone who types, from a run of `generate`.

        Args:
            label: of a language model that was trained with labels, whose manner is suggested.

        Returns:
            An object with `suggest(text, n)`: the likeliest words after a text, or those that its
            last word may become, each with its probability. What was read of the text before is
            kept, so that one more letter costs at most one step.

        Raises:
            InputError: the task of this run does not generate.
        """
        return _generator(self).keyboard(self.predictor, label)

    def chat(self, **how: Any) -> Any:
        """A dialogue with a run of `translate` that was trained on dialogues.

        Args:
            how: options of writing, such as `temperature`.

        Returns:
            An object with `say(text)`, `n_best(n)`, `why()` and `reset()`; what was said is
            carried from turn to turn.

        Raises:
            InputError: the run does not talk; the message says what to use.
        """
        if not hasattr(self.task, "chat"):
            instead = "generate" if hasattr(self.task, "generate") else "predict"
            raise InputError(
                f"a {self.task.name} model does not talk.",
                fix=f"Use {instead}, or train on dialogues: elman train translate DIALOGUES.",
            )
        return self.task.chat(self.predictor, **how)

    def rank(self, context: str | Sequence[str], replies: Sequence[str]) -> pd.DataFrame:
        """Replies to a context, the one that fits it best first; of a run on dialogues.

        Args:
            context: what was said last, or the turns so far, of which the last ones are read, as
                many as in training.
            replies: the texts to choose from.

        Returns:
            A row a reply, the best first: `rank`, `reply` and `score`, which can be compared
            among replies to one context. Of a run that was loaded with `predictor="blend"` they
            are those of model and TF-IDF together, as in the row of its table.

        Raises:
            InputError: the run orders no replies; the message says what to use.
        """
        if not hasattr(self.task, "rank"):
            raise InputError(
                f"a {self.task.name} model orders no replies.",
                fix="Use predict, or train on dialogues: elman train translate DIALOGUES.",
            )
        return self.task.rank(self.predictor, context, replies)  # type: ignore[no-any-return]

    def stream(self, **how: Any) -> Streamed:
        """The model one step at a time, in constant memory.

        Args:
            how: of a language model that was trained with labels, the `label` it writes for.
        """
        taken = inspect.signature(self.task.stream).parameters
        for name in how:
            if name not in taken:
                raise InputError(
                    f"{name} means nothing for a stream of {self.task.name}.", fix="Leave it out."
                )
        return self.task.stream(self.predictor, **how)


def _refuse_unknown(task: Task, how: dict[str, Any]) -> None:
    """Refuse options for a task whose answers have none."""
    taken = inspect.signature(task.predict).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken):
        return
    known = {one.name for one in taken}
    for name in how:
        if name not in known:
            raise InputError(f"{name} is no option of {task.name}.", fix="Leave it out.")


def _abstained(task: Task, found: pd.DataFrame, least: float) -> pd.DataFrame:
    """Return predictions without the answers that are less sure than `least`."""
    answer = next((name for name in ("prediction", "label") if name in found), None)
    if answer is None or "probability" not in found or found["probability"].isna().all():
        raise InputError(
            f"these answers of {task.name} have no probability, so none can be left out.",
            fix="Leave --abstain out, or use another predictor.",
        )
    unsure = found["probability"] < least
    # What a task answers where it refuses.
    instead = getattr(task, "refusal", None)
    return found.assign(**{answer: found[answer].astype(object).mask(unsure, instead)})


def _generator(model: Model) -> Any:
    if not hasattr(model.task, "generate"):
        raise InputError(
            f"a {model.task.name} model does not generate text.", fix="Use predict instead."
        )
    return model.task

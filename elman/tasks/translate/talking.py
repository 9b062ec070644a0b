"""Talking with a model that was trained on dialogues: what was said is carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from elman.data.turns import END
from elman.errors import InputError
from elman.scoring.blending import Blend
from elman.tasks.translate.report import by_words
from elman.tasks.translate.symbols import Symbols
from elman.tasks.translate.writing import Answer, Options

if TYPE_CHECKING:
    from elman.tasks.translate.task import Translate

SHADES = " ░▒▓█"
"""From nothing to the most that was looked at a word."""
_BETWEEN = "|"
"""Stands between turns where words of a source are shown."""
_LONGEST = 16
"""Letters of a written word that are shown beside its row."""


class Talk:
    """A dialogue: `say` gives the answer to a text and what was said before it.

    Attributes:
        said: all turns so far, of both sides.

    Args:
        task: the task of the run.
        predictor: the trained model, a kept baseline that writes, or their blend.
        options: how answers are written.
    """

    def __init__(self, task: Translate, predictor: Any, options: Options) -> None:
        self._task, self._predictor, self._options = task, predictor, options
        self.said: list[str] = []
        self._source: str | None = None
        self._turn = 0

    def say(self, text: str) -> str:
        """Return the answer to a text; both are turns of the dialogue from now on.

        Raises:
            InputError: there is nothing in the text, or the predictor does not write.
        """
        text = " ".join(text.split())
        if not text:
            raise InputError("There is nothing to answer.")
        turns = [*self.said, text]
        source = self._task.source_of(turns)
        turn = self._turn + 1
        if isinstance(self._predictor, nn.Module | Blend):
            answer = self._answers(source, turn, self._options)[0].text
        else:
            [answer] = self._task.rule_says(self._predictor, [source])
        self.said = [*turns, answer] if answer else turns
        self._source, self._turn = source, turn
        return answer

    def n_best(self, n: int = 5) -> list[Answer]:
        """Return the `n` best answers to what was said last, best first.

        Raises:
            InputError: nothing was said yet, or a baseline answers.
        """
        source = self._last("n-best answers", nn.Module | Blend)
        return self._answers(source, self._turn, self._options.with_(n_best=n))

    def why(self, width: int = 80, shades: str = SHADES) -> str:
        """Return where the decoder looked for each word of the last answer, drawn as text.

        Args:
            width: letters of a line; more words than fit go on below.
            shades: from nothing to the most, a letter each.

        Raises:
            InputError: nothing was said yet, or what answers has no attention.
        """
        source = self._last("attention", nn.Module)
        answer = self._answers(source, self._turn, self._options, looks=True)[0]
        if answer.looks is None:
            raise InputError(
                "This model has no attention, so it cannot show where it looked.",
                fix="Train with attention=general.",
            )
        return drawn(self._task.symbols, source, answer, width, shades)

    def reset(self) -> None:
        """Begin a new dialogue."""
        self.said, self._source, self._turn = [], None, 0

    def _last(self, what: str, of: Any) -> str:
        if not isinstance(self._predictor, of):
            raise InputError(f"{self._predictor.name} has no {what}.")
        if self._source is None:
            raise InputError("Nothing was said yet.")
        return self._source

    def _answers(
        self, source: str, turn: int, options: Options, *, looks: bool = False
    ) -> list[Answer]:
        [found] = self._task.answers(self._predictor, [source], options, looks=looks, rows=[turn])
        return found or [Answer("", [], 0.0, 0.0, True)]


def drawn(symbols: Symbols, source: str, answer: Answer, width: int, shades: str) -> str:
    """Return where the decoder looked: words of the source side by side, written words below."""
    ours, theirs, weights = by_words(symbols, source, answer)
    if weights is None or not ours or not theirs:
        return "There is nothing to draw."
    ours = [_BETWEEN if word == END else word for word in ours]
    theirs = [word[:_LONGEST] for word in theirs]
    first = max(map(len, theirs)) + 2
    # Half of the attention is dark, as in the picture of the report.
    most = max(0.5, float(weights.max()))
    levels = (weights / most * (len(shades) - 1)).round().astype(int)
    blocks, begin = [], 0
    while begin < len(ours):
        end, used = begin, first
        while end < len(ours) and (end == begin or used + len(ours[end]) < width):
            used += len(ours[end]) + 1
            end += 1
        lines = [" " * first + " ".join(ours[begin:end])]
        for word, row in zip(theirs, levels, strict=True):
            cells = (shades[row[n]] * len(ours[n]) for n in range(begin, end))
            lines.append(f"{word:<{first}}{' '.join(cells)}".rstrip())
        blocks.append("\n".join(lines))
        begin = end
    return "\n\n".join(blocks)

"""Where sequences and answers stand in a table, as found in the training file and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from elman.tasks.reading.ids import CODES, ID, ROW_NUMBERS

TextLabels = Literal["file", "first", "before tab", "after tab", "none", "found"]


@dataclass(frozen=True)
class Layout:
    """Where sequences and answers stand in a table.

    Attributes:
        modality: the name of what a sequence is made of.
        form: `"cell"`: one cell of `inputs[0]`; `"row"`: the numbers of a row, a step each;
            `"long"`: the rows of one `group`, a step each, with `inputs` as channels.
        inputs: the columns that sequences are read from.
        answers: the columns of the answer.
        group, time: of a long table: which sequence a row belongs to, and what orders its rows.
            Without a group all rows are one sequence.
        aligned: there is an answer for each step, not for each sequence.
        each: of plain text: whether a line or a whole file is a sequence.
        labels: of plain text: the place of the label; see `elman.data.read`.
        left_out: columns that are not read, and why.
        separator: of a cell with several labels: marks of which each parts them.
        signs: column → the currency or the per cent sign beside its numbers; None of a run that
            does not know them.
    """

    modality: str
    form: Literal["cell", "row", "long"]
    inputs: tuple[str, ...]
    answers: tuple[str, ...]
    group: str | None = None
    time: str | None = None
    aligned: bool = False
    each: Literal["line", "file"] | None = None
    labels: TextLabels | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    separator: str | None = None
    signs: dict[str, str] | None = None

    @property
    def target(self) -> str:
        """The column of the answer, or the first of several."""
        return self.answers[0]

    @property
    def ids(self) -> list[str]:
        """The columns that were left out since they tell one row from another."""
        known = (ID, CODES, ROW_NUMBERS)
        return [name for name, why in self.left_out.items() if why in known]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"inputs": list(self.inputs), "answers": list(self.answers)}

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Layout:
        """Return the layout that `to_json` described."""
        known = {name: value for name, value in about.items() if name != "first"}
        if about.get("first"):
            # How runs before this field say that the first word of a line is its label.
            known |= {"labels": "first", "each": "line"}
        return cls(**known | {"inputs": tuple(about["inputs"]), "answers": tuple(about["answers"])})

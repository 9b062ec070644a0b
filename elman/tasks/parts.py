"""Examples in parts: what is decided from them, how they are split, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data import split
from elman.data.splitting import By
from elman.errors import InputError, require
from elman.modalities import MODALITIES
from elman.modalities.base import Codec
from elman.tasks import gaps
from elman.tasks.answers import Answer
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.layout import Layout

Array = NDArray[Any]

FEW = 100
"""Below so many training examples none are held out for validation unless it is asked for: a
handful cannot tell a good step from a lucky one, and training needs them."""
_ENOUGH = {"valid_fraction": 20_000, "test_fraction": 50_000}
"""Examples that are held out at most unless a share is asked for: enough to choose a step by, and
for an interval of half a per cent. The others train."""
_STEPS = 2500
"""Updates that a run without a bound of its own aims at."""


def installed(name: str) -> Any:
    """Return the class of a modality whose modules are installed.

    Raises:
        MissingExtra: naming the extra that brings a missing one.
    """
    modality = MODALITIES[name]
    for module in modality.modules:
        require(module, modality.extra)
    return modality


def kept_aligned(settings: Any) -> Any:
    """Refuse settings that would part steps from their answers, and leave such defaults out."""
    moved = [
        n for n in ("front_channels", "shift", "mixup", "max_length") if getattr(settings, n, 0)
    ]
    for name in moved:
        if name in settings.model_fields_set:
            raise InputError(
                f"{name} means nothing where each step has an answer: it would part steps from "
                "their answers. Leave it out."
            )
    return settings.model_copy(update=dict.fromkeys(moved, 0))


def pieces(arrays: Sequence[Array], length: int) -> list[Array]:
    """Return the arrays cut into pieces of at most so many steps."""
    return [x[k : k + length] for x in arrays for k in range(0, max(1, len(x)), length)]


def check_cells(codec: Codec, found: Examples) -> None:
    """Refuse a sequence that the codec cannot read.

    Raises:
        InputError: with file and row.
    """
    for row, cell in enumerate(found.inputs):
        wrong = None if gaps.is_empty(cell) else codec.refuse(cell)
        if wrong is not None:
            file, number = found.where(row)
            raise InputError(wrong, file=file, row=number)


def check_steps(
    found: Examples, arrays: Sequence[Array], unit: str, layout: Layout, word: str
) -> None:
    """Refuse a sequence that has not one answer for each step."""
    for row, (array, answer) in enumerate(zip(arrays, found.answers or [], strict=True)):
        if len(array) != len(answer):
            file, number = found.where(row)
            raise InputError(
                f"There are {len(answer)} {word}s for {len(array)} {unit}.",
                file=file,
                row=number,
                column=layout.target,
                fix=f"Give one {word} for each of the {unit}.",
            )


def chosen(settings: Any, layout: Layout, modality: Any, found: Examples) -> Any:
    """Return the settings with what is left to the data filled in."""
    chosen: dict[str, Any] = {
        "modality": layout.modality,
        "text": layout.inputs[0] if layout.form == "cell" else None,
        "target": layout.target if len(layout.answers) == 1 else list(layout.answers),
        "columns": None if layout.form == "cell" else list(layout.inputs),
        "group": layout.group if layout.form == "long" else settings.group,
        "time": layout.time if layout.form == "long" else settings.time,
        **modality.decide(settings, found.inputs),
    }
    if settings.epochs is None and settings.max_steps is None and settings.budget is None:
        an_epoch = max(1, len(found) // settings.batch_size)
        chosen["epochs"] = int(np.clip(round(_STEPS / an_epoch), 10, 100))
    for name, enough in _ENOUGH.items():
        if name not in settings.model_fields_set and getattr(settings, name) * len(found) > enough:
            chosen[name] = round(enough / len(found), 6)
    if "valid_fraction" not in settings.model_fields_set and len(found) < FEW:
        chosen["valid_fraction"] = 0.0
    return settings.model_copy(update=chosen)


def shared_out(
    parts: dict[str, Examples], settings: Any, answer: type[Answer]
) -> dict[str, Examples]:
    """Split what is needed off the training examples; classes keep their shares, or all that
    belongs to one stays together."""
    valid = 0.0 if "valid" in parts else settings.valid_fraction
    test = 0.0 if "test" in parts else settings.test_fraction
    train = parts["train"]
    if settings.together is not None and not (valid or test):
        raise InputError(
            f"together={settings.together} has no effect: no part is drawn.", fix="Leave it out."
        )
    if train.steps is not None and len(train) < 3 and (valid or test):
        # One long sequence is split in time: its first steps train, its last ones test.
        cuts = [(0.0, 1 - valid - test), (1 - valid - test, 1 - test), (1 - test, 1.0)]
        found = dict(zip(("train", "valid", "test"), train.between(cuts), strict=True))
        kept = {p: x for p, x in found.items() if min(map(len, x.inputs))}
        kept |= {part: given for part, given in parts.items() if part != "train"}
        return {part: kept[part] for part in ("train", "valid", "test") if part in kept}
    wanted = 1 + (valid > 0) + (test > 0)
    if len(train) < wanted:
        file, _ = train.where(0)
        raise InputError(
            f"There {'is one example' if len(train) == 1 else f'are {len(train)} examples'}, too "
            f"few to share out to {wanted} parts.",
            file=file,
            fix="If the file holds more, see what parts them (a blank line between sentences, a "
            "column for group); or give test data, and set valid_fraction=0.",
        )
    strata = answer.strata(train.answers or [])
    by: By = "random" if strata is None else "class"
    if settings.together is not None:
        strata, by = np.array(train.owners[settings.together], dtype=object), "group"
        different = len(set(train.owners[settings.together]))
        if different < wanted:
            raise InputError(
                f"together={settings.together} has {different:,} different "
                f"{'value' if different == 1 else 'values'}, too few to share out to {wanted} "
                "parts.",
                file=train.where(0)[0],
                fix="Give data of more of them; or give the other parts by themselves (--valid F "
                "--test F), or set valid_fraction=0.",
            )
    rows = split(
        len(train),
        fractions=(1 - valid - test, valid, test),
        by=by,
        column=strata,
        seed=settings.seed,
    )
    made = {"train": train.take(rows.train)} | {p: x for p, x in parts.items() if p != "train"}
    for part, chosen in (("valid", rows.valid), ("test", rows.test)):
        if len(chosen):
            made[part] = train.take(chosen)
    return {part: made[part] for part in ("train", "valid", "test") if part in made}

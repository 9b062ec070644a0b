"""Settings that were given and have no effect on the data at hand are refused.

Only training asks this: later data are read with the settings of the run, whatever they hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from elman.errors import InputError
from elman.tasks.understood import listed

if TYPE_CHECKING:
    from elman.tasks.forecast.panel import Panel
    from elman.tasks.forecast.settings import ForecastSettings

_WHY = {
    "encoding": "no file of text was read",
    "sheet": "no workbook was read",
    "decimal": "no numbers were read from text",
    "date_order": "no dates were read that are written in numbers with that part first",
}


def check_effect(
    settings: ForecastSettings, panels: Sequence[Panel], apart: Collection[str]
) -> None:
    """Refuse settings that changed nothing in how the data were read and cut.

    Args:
        settings: as they were given.
        panels: the training data, and those of parts that were given apart.
        apart: the names of these parts, valid and test.

    Raises:
        InputError: the message names the setting, and why it has no effect.
    """
    source = panels[0].source
    used = set().union(*(panel.used for panel in panels))
    for name, why in _WHY.items():
        value = getattr(settings, name)
        if value is not None and name not in used:
            raise _without_effect(f"{name}={value}", why, source)
    idle = [word for word in settings.missing if f"missing={word}" not in used]
    if idle:
        words = listed([repr(word) for word in idle], 3)
        why = f"no cell of a column of numbers or dates is {words}, or it counts as missing anyway"
        raise _without_effect(f"missing={', '.join(idle)}", why, source)
    if not settings.calendar and panels[0].series[0].times is None:
        raise _without_effect("calendar=false", "there is no column of times", source)
    check_cut(settings, source, apart)


def check_cut(settings: ForecastSettings, source: object, apart: Collection[str]) -> None:
    """Refuse sizes of parts that were given apart.

    Raises:
        InputError: as `check_effect`.
    """
    if settings.rows is not None and apart:
        raise InputError(
            f"rows={settings.rows} says how one file is cut, and a file for "
            f"{' and '.join(apart)} was given.",
            fix="Give one of both.",
        )
    fields = type(settings).model_fields
    for part in apart:
        name = f"{part}_fraction"
        value = getattr(settings, name)
        if value != fields[name].default:
            raise _without_effect(f"{name}={value}", f"the {part} part was given apart", source)


def _without_effect(setting: str, why: str, source: object) -> InputError:
    return InputError(f"{setting} has no effect: {why}.", file=source, fix="Leave it out.")

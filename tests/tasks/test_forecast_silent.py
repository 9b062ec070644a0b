"""Series that were once read wrong, or doubtful, without a word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings


def panel(frame: pd.DataFrame, **given: Any) -> Panel:
    return read_panel(frame, ForecastSettings(**given))


def test_times_with_and_without_an_offset_are_named_with_their_rows() -> None:
    times = [f"2024-01-01T{h:02}:00{'+02:00' if h % 2 else ''}" for h in range(12)]
    with pytest.raises(InputError) as raised:
        panel(pd.DataFrame({"time": times, "y": np.arange(12.0) % 5}))
    text = str(raised.value)
    assert "row 1, column 'time'" in text
    assert "'2024-01-01T00:00' has no offset from UTC" in text
    assert "unlike '2024-01-01T01:00+02:00' in row 2" in text
    assert "Write all times with their offset, or none." in text


def test_months_of_another_language_are_said_or_asked_about() -> None:
    names = ["Jan", "Feb", "Mrz", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"]
    cells = [f"{name} {year}" for year in (2020, 2021) for name in names]
    frame = pd.DataFrame({"Monat": cells, "y": np.arange(24.0) % 5})
    found = panel(frame)
    assert found.frequency == "MS"
    assert "months in German" in " ".join(found.notes)
    wide = pd.DataFrame([["a", *range(24)], ["b", *range(24)]], columns=["shop", *cells])
    assert panel(wide).frequency == "MS"
    odd = frame.assign(Monat=[f"Foo{i} 2020" for i in range(24)])
    with pytest.raises(InputError, match=r"Months were looked for in English, German, French.*"):
        panel(odd)

"""The pages of the cells say what the docstrings say, and their examples run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from elman.cells import CELLS

DOCS = Path(__file__).parents[2] / "docs"


def test_pages_are_what_the_docstrings_make() -> None:
    made = runpy.run_path(str(DOCS / "cells.py"))["pages"]()
    written = {p.name: p.read_text(encoding="utf-8") for p in (DOCS / "cells").glob("*.md")}
    assert made == written, "run `python docs/cells.py`"


@pytest.mark.parametrize("name", CELLS)
def test_the_example_runs(name: str) -> None:
    text = (DOCS / "cells" / f"{name}.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    exec(compile(block, f"{name}.md", "exec"), {})

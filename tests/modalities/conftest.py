"""Pictures of reports are made by these tests, and not drawn: that took half of their time.

The conformance test, the tests of runs and pages, and those of the command draw them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from elman.runs import report


@pytest.fixture(autouse=True, scope="module")
def undrawn() -> Iterator[None]:
    """Put an empty picture in the place of every picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "svg", lambda figure: "<svg></svg>")
        yield

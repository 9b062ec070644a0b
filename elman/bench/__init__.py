"""How fast recurrences are here, each beside its peer in the same process.

`run` measures what `elman bench` prints: groups of rows, a row one kind of work at one size, with
the ratio of the times, its spread and what was to be reached.
"""

from elman.bench.measure import Settings
from elman.bench.picture import picture
from elman.bench.report import COLUMNS, Goal, Note, Report, Row, markdown
from elman.bench.session import GROUPS, check_groups, run

__all__ = [
    "COLUMNS",
    "GROUPS",
    "Goal",
    "Note",
    "Report",
    "Row",
    "Settings",
    "check_groups",
    "markdown",
    "picture",
    "run",
]

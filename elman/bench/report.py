"""The report of a benchmark: rows, their goals, and their form in text and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 2
"""The format number of the JSON; a reader refuses others."""

TIMES, OF_PEER = "×", "of the peer's"
"""The two ratios: the peer's time over ours, and our share of what the peer takes."""

FLUSHED = ", denormals flushed"
"""The end of a peer's name where torch takes denormals for zero."""

COLUMNS = (
    "work",
    "shape",
    "threads",
    "ours",
    "peer",
    "peer's",
    "result",
    "quartiles",
    "to reach",
    "the machine allows",
    "of the limit",
    "backend",
    "difference",
)


@dataclass(frozen=True)
class Goal:
    """The goal of a figure: at least or at most a number."""

    sign: str
    number: float

    def reached(self, value: float) -> bool:
        """Return true if `value` reaches the goal.

        >>> Goal("≥", 2.0).reached(1.9), Goal("≤", 2.0).reached(1.9)
        (False, True)
        """
        return value >= self.number if self.sign == "≥" else value <= self.number


@dataclass(frozen=True)
class Row:
    """One figure, with the work it measures.

    Attributes:
        group: the group it belongs to.
        work: what was done.
        shape: at what size: T,B,I,H for layers.
        threads: on how many.
        value: the figure, in `unit`.
        unit: `TIMES`, `OF_PEER`, "s", "GFLOP/s" or "GB/s".
        low, high: quartiles of `value` over the rounds.
        peer: what stands beside ours.
        ours, theirs: medians, in seconds (memory: bytes).
        goal: what `value` is to reach.
        share: of the machine's multiply-add rate, what ours used.
        allowed: what `value` would be, had ours run at that rate.
        backend: what ours ran on.
        difference: between the two results, relative RMS.
    """

    group: str
    work: str
    shape: str
    threads: int
    value: float
    unit: str = TIMES
    low: float | None = None
    high: float | None = None
    peer: str = ""
    ours: float | None = None
    theirs: float | None = None
    goal: Goal | None = None
    share: float | None = None
    allowed: float | None = None
    backend: str = ""
    difference: float | None = None

    @property
    def reached(self) -> bool | None:
        """True if the goal was reached; None without one."""
        return None if self.goal is None else self.goal.reached(self.value)

    @property
    def beyond(self) -> bool:
        """True if the goal was missed and is out of reach at the machine's multiply-add rate."""
        if self.goal is None or self.allowed is None:
            return False
        return not (self.reached or self.goal.reached(self.allowed))

    def to_json(self) -> dict[str, Any]:
        """Return plain data; NaN and infinite numbers become None."""
        found = asdict(self) | {"reached": self.reached}
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in found.items()
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Row:
        """Make the row that `to_json` wrote."""
        goal = found["goal"] and Goal(**found["goal"])
        value = math.nan if found["value"] is None else found["value"]
        return cls(
            **{k: v for k, v in found.items() if k != "reached"} | {"goal": goal, "value": value}
        )

    def texts(self) -> list[str]:
        """Return one text for each of `COLUMNS`."""
        size = _bytes if self.group == "memory" else _time
        unit = self.unit if self.unit == TIMES else f" {self.unit}"
        spread = "" if self.low is None or self.high is None else f"{self.low:.3g}–{self.high:.3g}"
        return [
            self.work,
            self.shape,
            str(self.threads),
            size(self.ours),
            self.peer,
            size(self.theirs),
            f"{self.value:.3g}{unit}",
            spread,
            self._to_reach(),
            "" if self.allowed is None else f"{self.allowed:.3g}{unit}",
            "" if self.share is None else f"{self.share:.0%}",
            self.backend,
            "" if self.difference is None else f"{self.difference:.0e}",
        ]

    def _to_reach(self) -> str:
        if self.goal is None:
            return ""
        missed = " (missed; beyond this machine)" if self.beyond else " (missed)"
        return f"{self.goal.sign} {self.goal.number:g}{'' if self.reached else missed}"


@dataclass(frozen=True)
class Note:
    """The reason why something was not measured."""

    group: str
    text: str


@dataclass
class Report:
    """All rows and notes of one session.

    Attributes:
        machine: what it was measured on.
        settings: how.
        rows, notes: what was found and what was left out, in order.
        interrupted: Ctrl-C ended it early.
        failures: groups that broke off, with the error.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    interrupted: bool = False
    failures: list[str] = field(default_factory=list)

    @property
    def heading(self) -> str:
        """The machine, in one line."""
        m = self.machine
        return (
            f"{m['cpu']}, {m['cores']} cores, {m['target']} kernels, torch {m['torch']}, "
            f"{m['compiler'] or 'no compiler'}, {m['date']}"
        )

    def groups(self) -> list[str]:
        """Return the names of the groups with rows or notes, in order."""
        return list(dict.fromkeys([r.group for r in self.rows] + [n.group for n in self.notes]))

    def table(self, group: str) -> tuple[list[str], list[list[str]]]:
        """Return headings and lines of a group, without the columns that it does not use."""
        lines = [row.texts() for row in self.rows if row.group == group]
        used = [i for i in range(len(COLUMNS)) if any(line[i] for line in lines)]
        return [COLUMNS[i] for i in used], [[line[i] for i in used] for line in lines]

    def left_out(self, group: str) -> list[str]:
        """Return what was not measured in a group, and why."""
        return [note.text for note in self.notes if note.group == group]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "format": FORMAT,
            "machine": self.machine,
            "settings": self.settings,
            "interrupted": self.interrupted,
            "failures": self.failures,
            "rows": [row.to_json() for row in self.rows],
            "notes": [asdict(note) for note in self.notes],
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Report:
        """Make the report that `to_json` wrote.

        Raises:
            ValueError: another format.
        """
        if found.get("format") != FORMAT:
            raise ValueError(f"a benchmark of format {found.get('format')}, not {FORMAT}")
        return cls(
            found["machine"],
            found["settings"],
            [Row.from_json(row) for row in found["rows"]],
            [Note(**note) for note in found["notes"]],
            found["interrupted"],
            found["failures"],
        )


def markdown(report: Report) -> str:
    """Return the machine and a table for each group, as Markdown."""
    lines = [f"{report.heading}."]
    for group in report.groups():
        lines += ["", f"### {group}"]
        head, rows = report.table(group)
        if rows:
            lines += ["", _line(head), _line(["---"] * len(head)), *map(_line, rows)]
        notes = report.left_out(group)
        if notes:
            lines += ["", *(f"- {text}" for text in notes)]
    return "\n".join(lines)


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _bytes(count: float | None) -> str:
    return "" if count is None else f"{count / 1e6:.0f} MB"

"""The figures of docs/benchmarks.md.

    python benchmarks/kernels.py            # measure, keep, draw, fill the page
    python benchmarks/kernels.py --page     # fill the page from what was kept
    python benchmarks/kernels.py --table    # print that

Measuring is `elman bench --flush-denormal`; further options are passed on to it. What it finds is
kept in `kernels.json` beside this file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from elman.bench import Report, markdown
from elman.cli import main as command

RESULTS = Path(__file__).with_name("kernels.json")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PICTURE = PAGE.with_suffix(".svg")
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"


def text() -> str:
    """What stands between the markers."""
    if not RESULTS.exists():
        return "Not measured yet."
    measured = markdown(Report.from_json(json.loads(RESULTS.read_text(encoding="utf-8"))))
    drawn = f"![Ratios with quartiles]({PICTURE.name})\n\n" if PICTURE.exists() else ""
    return drawn + measured


def fill() -> None:
    """Put it there."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text()}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    asked = sys.argv[1:]
    if asked == ["--table"]:
        print(text())
    elif asked == ["--page"]:
        fill()
    else:
        given = ["bench", "--flush-denormal", "--out", RESULTS, "--picture", PICTURE, *asked]
        try:
            command([str(argument) for argument in given])
        finally:
            if RESULTS.exists():
                fill()


if __name__ == "__main__":
    main()

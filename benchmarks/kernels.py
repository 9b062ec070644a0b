"""The figures of docs/benchmarks.md.

    python benchmarks/kernels.py            # measure, keep, draw, fill the page
    python benchmarks/kernels.py --page     # draw and fill the page from what was kept
    python benchmarks/kernels.py --table    # print that

Measuring is `elman bench --flush-denormal`; further options are passed on to it. What it finds is
kept in `kernels.json` beside this file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from elman.bench.picture import picture
from elman.bench.report import Report, markdown
from elman.cli import main as command

RESULTS = Path(__file__).with_name("kernels.json")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PICTURE = PAGE.with_suffix(".svg")
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"


def text() -> str:
    """What stands between the markers."""
    if not RESULTS.exists():
        return "Not measured yet."
    return f"![Every ratio, with what was to be reached]({PICTURE.name})\n\n{markdown(kept())}"


def kept() -> Report:
    """What was measured last."""
    return Report.from_json(json.loads(RESULTS.read_text(encoding="utf-8")))


def fill() -> None:
    """Draw the picture and put it there."""
    if RESULTS.exists():
        PICTURE.write_bytes(picture(kept()))
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
        try:
            command(["bench", "--flush-denormal", "--out", str(RESULTS), *asked])
        finally:
            if RESULTS.exists():
                fill()


if __name__ == "__main__":
    main()

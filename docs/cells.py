"""Write docs/cells/: a page for each cell and one for the initialisers, from their docstrings.

    python docs/cells.py

A test fails when the pages and the docstrings no longer agree.
"""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

from elman.cells import CELLS, options_of
from elman.cells.init import INITIALISERS, RECURRENT
from elman.kernels.catalogue import SPEEDS, entry

FOLDER = Path(__file__).with_name("cells")


def page(name: str) -> str:
    """Return the page of the cell called `name`."""
    cls = CELLS[name]
    text, options = split(inspect.cleandoc(cls.__doc__ or ""))
    summary, equation, *rest = text.split("\n\n")
    meaning = COMMON | dict(options)
    rows = [
        f"| `{option}` | `{default}` | {meaning[option]} |"
        for option, default in options_of(name).items()
    ]
    return "\n\n".join(
        [
            f"# {cls.__name__}",
            joined(summary),
            f"```text\n{equation}\n```",
            *map(joined, rest),
            f"Runs on {entry(name).runs_on()}.",
            "## Options",
            "\n".join(["| option | default | meaning |", "|---|---|---|", *rows]),
            "## Example",
            f"```python\n{example(name)}```",
            f'Over whole sequences: `elman.nn.Recurrent("{name}", 3, 8)`.\n',
        ]
    )


COMMON = {
    "bias": "False leaves the biases out.",
    "device": "As for any torch module.",
    "dtype": "As for any torch module.",
}


def split(doc: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the prose of a docstring without its examples, and its `Args:` as (name, meaning)."""
    doc = re.sub(r"\n\n>>>.*", "", doc, flags=re.S)
    text, _, args = doc.partition("\n\nArgs:\n")
    found = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", args, re.M)
    return text, [
        (option, joined(meaning)) for names, meaning in found for option in names.split(", ")
    ]


def joined(paragraph: str) -> str:
    """Return a paragraph on one line."""
    return re.sub(r"\s+", " ", paragraph).strip()


def example(name: str) -> str:
    """Return code that takes five steps of the cell, and the examples of its docstring."""
    cls = CELLS[name]
    shown = "".join(
        one.source + "".join(f"# {line}\n" for line in one.want.splitlines())
        for one in doctest.DocTestParser().get_examples(inspect.cleandoc(cls.__doc__ or ""))
    )
    return f"""\
import torch
from elman.cells import {cls.__name__}

cell = {cls.__name__}(input_size=3, hidden_size=8)
state = cell.init_state(batch=2)
for x in torch.randn(5, 2, 3):
    output, state = cell(x, state)
assert output.shape == (2, cell.output_size)

{shown}"""


def index() -> str:
    """Return the page that lists the cells."""
    rows = []
    for name, cls in CELLS.items():
        summary = joined(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0])
        known = entry(name)
        rows.append(
            f"| `{name}` | [{cls.__name__}]({name}.md) | {summary} "
            f"| {', '.join(known.backends)} | {known.speed} |"
        )
    return "\n".join(
        [
            "# Cells",
            "",
            "A cell is one step of a recurrence: `forward(x, state) -> (output, new_state)`. "
            "Each page gives its equation, its source, its options and when to use it. "
            "[Initialisers](initialisers.md) lists the ways in which parameters start.",
            "",
            "| name | class | what it is | backends | speed |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "`elman cells` prints this table, with equations. Backends and speed are for a cell's "
            "default options. The classes of speed, fastest first:",
            "",
            "| speed | meaning |",
            "|---|---|",
            *(f"| {speed} | {meaning} |" for speed, meaning in SPEEDS.items()),
            "",
        ]
    )


def initialisers() -> str:
    """Return the page of the initialisers."""
    rows = [
        f"| `{name}` | {'weights' if name in RECURRENT else 'biases'} "
        f"| {joined(inspect.getdoc(function) or '')} |"
        for name, function in INITIALISERS.items()
    ]
    return "\n".join(
        [
            "# Initialisers",
            "",
            "Each function in `elman.cells.INITIALISERS` fills a tensor in place and draws from "
            "`generator=` if one is given. A cell's `init=` takes the name of one for weights "
            "and applies it to each gate of the recurrent maps.",
            "",
            "| name | for | what it does |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    made = {f"{name}.md": page(name) for name in CELLS}
    return made | {"index.md": index(), "initialisers.md": initialisers()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in pages().items():
        (FOLDER / file).write_text(text, encoding="utf-8")

"""The verb `elman bench`: measure, print, keep and draw."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli import show
from elman.errors import InputError, RunFailed

if TYPE_CHECKING:
    from elman.bench.report import Note, Report, Row

_WIDTH = 200
"""The width of the table, in characters, where standard output is not a terminal."""


def bench(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="GROUP", help="measure this group only; may be repeated"),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            "--threads", min=1, help="number of threads; may be repeated (default: 2, then 1)"
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="how often each contender is timed")
    ] = 21,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="tiny sizes, to see that everything runs; the figures mean nothing"
        ),
    ] = False,
    flush_denormal: Annotated[
        bool,
        typer.Option(
            "--flush-denormal", help="compare layers also with torch set to flush denormals"
        ),
    ] = False,
    compile_: Annotated[
        bool, typer.Option("--compile", help="compare also with torch.compile (takes minutes)")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="F.json", help="write the result as JSON")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="F.svg", help="draw the result: .svg or .png"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> None:
    """Time the kernels beside torch, loops and scans; Ctrl-C prints the figures so far."""
    _writable(out, (".json",))
    _writable(picture, (".svg", ".png"))

    from elman.bench import session
    from elman.bench.settings import Settings

    settings = Settings(rounds, quick, flush_denormal, compile_)
    cores = os.cpu_count() or 1
    asked = threads or [count for count in (2, 1) if count <= cores]
    report = session.run(only or [], settings, asked, (lambda _: None) if quiet else _tell)

    if out is not None:
        text = json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        out.write_text(text + "\n", encoding="utf-8")
    if picture is not None:
        from elman.bench.picture import picture as drawn

        picture.write_bytes(drawn(report, picture.suffix[1:]))
    if as_json:
        show.as_json(report.to_json())
    else:
        _print(report)
    if report.interrupted:
        from elman.training import Interrupted

        raise Interrupted("Stopped: these are the figures so far.")
    if report.failures:
        raise RunFailed("; ".join(report.failures))


def _writable(file: Path | None, endings: tuple[str, ...]) -> None:
    if file is None:
        return
    if file.suffix not in endings:
        raise InputError(
            f"unknown ending {file.suffix!r}.", file=file, fix=f"Use {' or '.join(endings)}."
        )
    if not file.parent.is_dir():
        raise InputError("there is no such folder.", file=file.parent)


def _tell(found: Row | Note) -> None:
    from elman.bench.report import Row

    if isinstance(found, Row):
        texts = (text for text in found.texts() if text)
        show.say(f"{found.group}: {', '.join(texts)}")
    else:
        show.say(f"{found.group}: {found.text}")


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if os.isatty(1) else _WIDTH)
    console.print(report.heading, markup=False, soft_wrap=True)
    for group in report.groups():
        console.print(f"\n[bold]{group}[/]")
        head, rows = report.table(group)
        if rows:
            table = Table(*head, box=None, pad_edge=False)
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for text in report.left_out(group):
            console.print(text, markup=False, soft_wrap=True)

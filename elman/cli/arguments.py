"""Arguments that several verbs share, and what they give: paths, settings, switches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli import early
from elman.errors import InputError


def _task(name: str) -> str:
    """Refuse an unknown task before anything slow is imported."""
    from elman.tasks import TASKS

    TASKS.check(name)
    return name


def existing(paths: list[Path] | None) -> list[Path] | None:
    """Refuse a missing file before anything slow is imported."""
    from elman.data import files

    return files.given(paths) if paths else paths


def _run(path: Path) -> Path:
    """Refuse a folder that is not a run before anything slow is imported."""
    from elman.runs.folder import Run

    Run(path).config()
    return path


def _run_or_none(path: Path | None) -> Path | None:
    return path if path is None else _run(path)


def runs_given(paths: list[Path] | None) -> list[Path]:
    """Refuse a folder that is not a run before anything slow is imported."""
    return [_run(path) for path in paths or []]


TaskName = Annotated[
    str, typer.Argument(metavar="TASK", help="one of `elman tasks`", callback=_task)
]
Data = Annotated[
    list[Path],
    typer.Argument(metavar="DATA...", help="file, files or folder", callback=existing),
]
RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="a folder that `elman train` made", callback=_run)
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="a finished run to go on from: its model learns DATA, new words, labels or series too",
        callback=_run_or_none,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        "--label", "-l", metavar="NAME", help="of a run with labels: in whose manner to write"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
With = Annotated[
    str,
    typer.Option(
        "--with",
        metavar="NAME",
        help="what answers: model, blend, best (as the verdict says), or a baseline",
    ),
]
Valid = Annotated[
    list[Path] | None,
    typer.Option("--valid", help="data to choose the best model on", callback=existing),
]
Test = Annotated[
    list[Path] | None,
    typer.Option("--test", help="data for the final score", callback=existing),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="a setting; may be repeated"),
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="F.yaml", help="settings from a YAML file")
]
Budget = Annotated[
    str | None,
    typer.Option("--budget", metavar="10m", help="time for the whole command, such as 90s, 10m"),
]


Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="an option of the answers; may be repeated"
    ),
]


def one_or_many(paths: list[Path] | None) -> Any:
    """Return one path as itself, several as a list, none as None."""
    if not paths:
        return None
    return paths[0] if len(paths) == 1 else paths


def settings_given(
    task: str, pairs: list[str] | None, file: Path | None, budget: str | None
) -> dict[str, Any]:
    """Collect settings from a file, from `--set` and from `--budget`; a later one wins."""
    import yaml

    settings: dict[str, Any] = {}
    if file is not None:
        try:
            read = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read ({error}).", file=file) from None
        except yaml.YAMLError as error:
            raise InputError(f"not YAML: {' '.join(str(error).split())}.", file=file) from None
        read = {} if read is None else read
        if isinstance(read, dict) and isinstance(read.get("settings"), dict):
            read = read["settings"]
        if not isinstance(read, dict):
            raise InputError(
                "expected lines of `setting: value`.", file=file, fix=f"See: elman config {task}"
            )
        settings |= read
    settings |= _pairs(pairs, "hidden_size=256")
    if budget is not None:
        settings["budget"] = budget
    early.check_names(settings)
    return settings


def options_given(pairs: list[str] | None, n_best: int | None = None) -> dict[str, Any]:
    """Return options of the answers of a run from `--set`, and from `--n-best`.

    Several answers come with their alignments, unless these are set otherwise.
    """
    several = {} if n_best is None else {"n_best": n_best, "alignments": True}
    found = _pairs(pairs, "n_best=3")
    for name in ("data", "proba", "abstain", "why"):
        if name in found:
            raise InputError(f"--set {name}: there is no such option.", fix="Leave it out.")
    return several | found


def _pairs(pairs: list[str] | None, such_as: str) -> dict[str, Any]:
    found = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set {pair}: expected KEY=VALUE, such as --set {such_as}.")
        found[key.strip()] = _value(key.strip(), value)
    return found


_AS_WRITTEN = (
    "text",
    "label",
    "target",
    "columns",
    "group",
    "time",
    "together",
    "covariates",
    "intent",
    "missing",
)
"""Settings whose values are names of columns, or words that stand in cells."""
_MARKS = ("label_separator",)
"""Settings whose values are marks, of which YAML would read some in its own way."""
_HASH = "\ue000"
"""Stands for the number sign while YAML reads, which would take what follows for a comment."""


def _value(key: str, text: str) -> Any:
    """Return the value of a setting: as YAML reads it, but names of columns as they are written."""
    import yaml

    if key in _MARKS:
        return text
    loader = yaml.BaseLoader if key in _AS_WRITTEN else yaml.SafeLoader
    try:
        read = yaml.load(text.replace("#", _HASH), loader)
    except yaml.YAMLError:
        return text
    if key not in _AS_WRITTEN:
        return _with_hash(read)
    if text.strip() in ("", "null", "~"):
        return None
    # A name such as "price: EUR" would be a mapping.
    return _with_hash(read) if isinstance(read, str | list) else text.strip()


def _with_hash(read: Any) -> Any:
    if isinstance(read, list):
        return [_with_hash(one) for one in read]
    if isinstance(read, dict):
        return {_with_hash(key): _with_hash(value) for key, value in read.items()}
    return read.replace(_HASH, "#") if isinstance(read, str) else read

"""Output on a terminal: tables and plain words; colours only where it is a terminal."""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.errors import InputError, PredictionWarning, SlowPathWarning, nearest

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

_ENDINGS = {".csv": "CSV", ".jsonl": "JSON lines", ".parquet": "Parquet"}
_EXTRAS = {
    "text": "tokenizers",
    "series": "statsforecast",
    "image": "pillow",
    "compiler": "ziglang",
}


def say(text: str) -> None:
    """Print a line for people, on standard error."""
    _console().print(text, markup=False)


def error(text: str) -> None:
    """Print the message of an error, on standard error."""
    console = _console()
    console.print("[bold red]error:[/] ", end="")
    console.print(text, markup=False)


@contextmanager
def warnings_as_words() -> Iterator[None]:
    """Print Elman's warnings inside as a line of words each, the same words once.

    Other packages' warnings are printed as Python does.
    """
    own = (PredictionWarning, SlowPathWarning)
    told: set[str] = set()
    with warnings.catch_warnings():
        for kind in own:  # what is said of answers does not depend on Python's options
            warnings.simplefilter("always", kind)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if not issubclass(category, own):
                usual(message, category, *place)
            elif str(message) not in told:
                told.add(str(message))
                say(f"note: {message}")

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _console() -> Console:
    # Rich is imported where something is printed: it takes a tenth of the time of `elman --help`.
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def as_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def pairs(listed: Mapping[str, str]) -> None:
    """Print names with their meanings."""
    width = max(map(len, listed), default=0)
    for name, meaning in listed.items():
        sys.stdout.write(f"{name:<{width}}  {meaning}\n")


def tasks(in_json: bool) -> None:
    """Print the table of tasks and modalities, and which extra is missing."""
    from elman.modalities import MODALITIES
    from elman.registry import absent
    from elman.tasks import TASKS

    kinds, makes = dict(TASKS.items()), dict(MODALITIES.items())
    reads = {name: kind.modalities() for name, kind in kinds.items()}
    missing = {name: absent(make.modules) for name, make in makes.items()}
    if in_json:
        # For each task the modalities that it reads, and what is missing for each.
        as_json(
            {
                name: {"summary": kind.summary, "reads": {m: missing[m] for m in reads[name]}}
                for name, kind in kinds.items()
            }
        )
        return
    first = max(map(len, kinds))
    sys.stdout.write(" " * first + "  " + "  ".join(makes) + "\n")
    for name in kinds:
        marks = ["+" if other in reads[name] else "·" for other in makes]
        cells = [mark.center(len(other)) for mark, other in zip(marks, makes, strict=True)]
        sys.stdout.write(f"{name:<{first}}  {'  '.join(cells).rstrip()}\n")
    sys.stdout.write("\n")
    for listed in (kinds, makes):
        pairs({name: kind.summary for name, kind in listed.items()})
        sys.stdout.write("\n")
    for name, gone in missing.items():
        if gone:
            extra = makes[name].extra
            sys.stdout.write(f"{name} needs {', '.join(gone)}: pip install 'elman[{extra}]'\n")


def results(found: dict[str, Any]) -> None:
    """Print the model beside its baselines, best first, and the verdict."""
    from rich.console import Console
    from rich.table import Table

    from elman.runs.report import kept_words, score_rows
    from elman.writing import written

    metric = found["metric"]
    # Scores of a part of the test part, such as a label, are in the report.
    others = [name for name in found["test"] if name != metric and ": " not in name]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column(metric.replace("_", " "), justify="right")
    table.add_column("95 % interval", justify="right")
    for name in others:
        table.add_column(name.replace("_", " "), justify="right")
    for row in score_rows(found):
        low_high = row["ci95"].get(metric)
        between = " – ".join(map(written, low_high)) if low_high else ""
        table.add_row(
            row["name"],
            written(row["metrics"].get(metric)),
            "–" if low_high and low_high[0] == low_high[1] else between,
            *(written(row["metrics"].get(name)) for name in others),
            style="bold" if row["ours"] else "",
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    console.print()
    console.print(found["verdict"], markup=False, soft_wrap=True)
    if "training" in found:
        console.print(kept_words(found["training"]), markup=False, soft_wrap=True)
    for line in _beside(found):
        console.print(line, markup=False, soft_wrap=True)
    for about, line in found.get("understood", {}).get("lines", []):
        if about == "scores":
            console.print(line, markup=False, soft_wrap=True)
    for doubt in found.get("understood", {}).get("doubts", []):
        console.print(f"Doubtful: {doubt}", markup=False, soft_wrap=True)
    if "note" in found:
        say(found["note"])


def _beside(found: dict[str, Any]) -> list[str]:
    """Return what else is to be said of scores: what was left out, how sure answers may be."""
    said = [found["grown"]["words"]] if "grown" in found else []
    said += [f"{name} was left out: {why}" for name, why in found.get("not_run", {}).items()]
    if "reference" in found:
        from elman.runs.reference import sentence

        said.append(sentence(found))
    if "none" in found.get("blend", {}):
        said.append(f"No blend of the model and a baseline: {found['blend']['none']}.")
    if "calibration" in found:
        about = found["calibration"]
        said.append(
            f"Calibration error of the model's probabilities: {about['error']:.3f} "
            f"({about['error_uncalibrated']:.3f} without the temperature)."
        )
        some = next((row for row in about["answered"] if row["answered"] <= 0.8), None)
        if some is not None:
            said.append(
                f"The surest {some['answered']:.0%} of the answers (--abstain "
                f"{some['confidence']:.15g}): {some['accuracy']:.1%} are right."
            )
    return said


def runs(rows: list[dict[str, Any]]) -> None:
    """Print the runs of a folder as a table, a line each."""
    from rich.console import Console
    from rich.table import Table

    from elman.tasks.understood import listed
    from elman.writing import written

    table = Table(box=None, pad_edge=False)
    for name in ("run", "task", "data", "metric", "score", "best baseline", ""):
        table.add_column(name, justify="right" if name == "score" else "left")
    for row in rows:
        data = listed(row.get("data", "").split(", "), 2)
        if row["state"] != "finished":
            table.add_row(row["run"], row.get("task", ""), data, "", "", "", row["state"])
            continue
        best = f"{row['baseline']} {written(row['baseline_score'])}" if row["baseline"] else "none"
        table.add_row(
            *(row["run"], row["task"], data, row["metric"].replace("_", " ")),
            *(written(row["score"]), best, row["verdict"].split(":")[0]),
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table)


def comparison(found: dict[str, Any], words: list[str]) -> None:
    """Print scores, settings that differ, and how sure the differences are."""
    from rich.console import Console
    from rich.table import Table

    from elman.writing import written

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for one in found["runs"]:
        table.add_column(one["run"], justify="right")
    for name in found["runs"][0]["test"]:
        cells = [written(one["test"].get(name)) for one in found["runs"]]
        table.add_row(name.replace("_", " "), *cells, style="bold" * (name == found["metric"]))
    table.add_row("parameters", *(f"{one['parameters']:,}" for one in found["runs"]))
    table.add_row("seconds of training", *(f"{one['seconds']:g}" for one in found["runs"]))
    for name, values in found["settings"].items():
        table.add_row(name, *(str(value) for value in values))
    console.print(table)
    console.print()
    for line in words:
        console.print(line, markup=False, soft_wrap=True)


def sample(model: Any) -> None:
    """Print a sample of a model that generates."""
    if hasattr(model.task, "generate"):
        labels = getattr(model.task, "labels", ())[:1]
        of = f" of {labels[0]!r}" if labels else ""
        label = labels[0] if labels else None
        text = model.generate("", length=300, temperature=0.7, seed=0, label=label)[0]
        sys.stdout.write(f"\nA sample{of} at temperature 0.7:\n\n{text}\n\n")


def completion(found: Any, in_json: bool) -> None:
    """Print the likeliest continuations with their probabilities."""
    if in_json:
        as_json(found)
        return
    for suggestion in found:
        sys.stdout.write(f"{suggestion['probability']:7.1%}  {suggestion['text']!r}\n")


def json_lines(frame: pd.DataFrame) -> str:
    """Return a JSON object a row; times that have a zone keep their offset."""
    import pandas as pd

    zoned = [n for n, kind in frame.dtypes.items() if isinstance(kind, pd.DatetimeTZDtype)]
    frame = frame.assign(**{str(n): frame[n].map(lambda moment: moment.isoformat()) for n in zoned})
    return str(frame.to_json(orient="records", lines=True, date_format="iso"))


def reasons(frame: pd.DataFrame) -> None:
    """Print answers, each with its words or steps coloured by their shares in it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for row in frame.to_dict("records"):
        steps = row.pop("why") or []
        console.print(" ".join(f"{name}={value}" for name, value in row.items()), markup=False)
        most = max((abs(share) for _, share in steps), default=1.0) or 1.0
        line = Text("  ")
        for step, share in steps:
            words = isinstance(step, str)
            strong = abs(share) > 0.5 * most
            colour = ("blue" if share > 0 else "red") if abs(share) > 0.15 * most else "default"
            line.append(step if words else f"{step}:{share:+.2f} ", f"{'bold ' * strong}{colour}")
        console.print(line)
    console.print("Blue speaks for the answer, red against it (integrated gradients).")


def as_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV; a list, or a mapping, in a cell is JSON."""

    def cell(value: Any) -> Any:
        nested = isinstance(value, list | dict)
        return json.dumps(value, ensure_ascii=False) if nested else value

    mixed = [str(name) for name in frame if frame[name].dtype == object]
    return frame.assign(**{name: frame[name].map(cell) for name in mixed}).to_csv(index=False)


def table_writer(out: Path | None) -> Callable[[pd.DataFrame], None]:
    """Return a function that writes a table to `out`; its ending is checked at once."""
    if out is None:
        return lambda _: None
    if out.suffix not in _ENDINGS:
        known = ", ".join(f"{ending} ({name})" for ending, name in _ENDINGS.items())
        raise InputError(f"unknown ending {out.suffix!r}.", file=out, fix=f"Use {known}.")
    if not out.parent.is_dir():
        raise InputError("there is no such folder.", file=out.parent)

    def write(frame: pd.DataFrame) -> None:
        from io import BytesIO

        from elman.runs.folder import write_whole

        buffer = BytesIO()
        if out.suffix == ".csv":
            buffer.write(as_csv(frame).encode())
        elif out.suffix == ".jsonl":
            buffer.write(json_lines(frame).encode())
        else:
            frame.to_parquet(buffer, index=False)
        write_whole(out, buffer.getvalue())

    return write


def cells(name: str | None, in_json: bool) -> None:
    """Print all cells with equation, paper, backends and speed, or one with its docstring."""
    from elman.cells import CELLS
    from elman.kernels.catalogue import entry

    if name is not None and name not in CELLS:
        raise InputError(f"there is no cell {name!r}.", fix=nearest(name, CELLS))
    found = {key: entry(key) for key in ([name] if name else CELLS)}
    words = {key: inspect.getdoc(CELLS[key]) or "" for key in found}
    if in_json:
        as_json({key: asdict(one) | {"text": words[key]} for key, one in found.items()})
    elif name is not None:
        sys.stdout.write(f"{words[name]}\n\nRuns on {found[name].runs_on()}.\n")
    else:
        for key, one in found.items():
            lines = (*one.equation.splitlines(), one.runs_on())
            sys.stdout.write(f"{key}: {one.summary}\n")
            sys.stdout.write("".join(f"    {line}\n" for line in lines) + "\n")


def kernels() -> str:
    """Say if kernels are compiled here, for which instructions, by which compiler, kept where."""
    from elman.kernels import build, program

    target = program.best_target()
    if target is None:
        return "no kernels are made for this processor"
    found = [f"{target.name} kernels", *build.describe().splitlines()]
    if not program.pool()[0]:
        found.insert(1, "torch's thread pool was not found, so they run on one thread")
    return "; ".join(found)


def build_kernels(folder: Path | None, in_json: bool) -> None:
    """Build the kernels of all built-in cells, for a wheel to carry."""
    from rich.console import Console
    from rich.progress import track

    from elman.kernels import ahead, build

    folder = folder or build.PREBUILT
    wanted = ahead.sources()
    console = Console(stderr=True)
    built = track(ahead.build_all(folder, wanted), "kernels", len(wanted), console=console)
    size = sum(path.stat().st_size for path in built)
    if in_json:
        as_json({"folder": str(folder), "kernels": len(wanted), "bytes": size})
    else:
        say(f"{len(wanted)} kernels in {folder} ({size / 1e6:.1f} MB)")


def check(in_json: bool) -> None:
    """Print versions, extras and backends."""
    import platform

    import torch

    import elman

    extras = {extra: _version(package) for extra, package in _EXTRAS.items()}
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    backends = {
        "reference": "every cell",
        "torch": "plain Elman, LSTM and GRU" + (" (cuDNN)" if gpu else ""),
        "cpu": kernels(),
    }
    found = {
        "elman": elman.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    if in_json:
        as_json(found | {"extras": extras, "backends": backends})
        return
    pairs({key: str(value) if value is not None else "none" for key, value in found.items()})
    for extra, version in extras.items():
        missing = f"missing; pip install 'elman[{extra}]'"
        sys.stdout.write(f"extra {extra}: {_EXTRAS[extra]} {version or missing}\n")
    for backend, what in backends.items():
        sys.stdout.write(f"backend {backend}: {what}\n")


def _version(package: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

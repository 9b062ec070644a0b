"""The file format of a run, in one place.

    config.yaml           what was asked: task, data, every setting with its meaning
    model.safetensors     the best parameters
    assets/<name>.json    vocabularies, scalers, labels: what the task needs besides weights
    metrics.jsonl         one line for each report of training
    results.json          scores beside baselines, intervals, verdict
    predictions.parquet   predictions on the test part
    predictors/           each baseline, fitted: facts as JSON, arrays as safetensors; index.json
                          names them, and says how the model is calibrated and blended
    sections.json         the task's own parts of the report
    report.html           all of it for reading, self-contained
    checkpoints/{last,best} while it trains; afterwards those that the setting says
    reference/            checkpoints of a reference while it trains

Nothing in it is a pickle. Files appear whole or not at all. Format 1 had the assets beside the
other files; such runs are still read.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

import elman
from elman.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

FORMAT = 2
RESULTS, SECTIONS = "results", "sections"
_CONFIG, _WEIGHTS, _METRICS = "config.yaml", "model.safetensors", "metrics.jsonl"
_PREDICTIONS, _REPORT, _DOCTOR = "predictions.parquet", "report.html", "doctor.html"
_ASSETS, _CHECKPOINTS, _TRIALS = "assets", "checkpoints", "doctor"
_REFERENCE = "reference"
_PREDICTORS, _INDEX = "predictors", "index"
_BEGUN = ".begun"
"""Holds the number of the process, until the configuration is there."""


@dataclass(frozen=True)
class Run:
    """A run directory; see the module for what is in it."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The configuration: task, data and settings."""
        return self.path / _CONFIG

    @property
    def weights(self) -> Path:
        """The best parameters."""
        return self.path / _WEIGHTS

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / _METRICS

    @property
    def predictions(self) -> Path:
        """Predictions on the test part."""
        return self.path / _PREDICTIONS

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.path / _REPORT

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / _CHECKPOINTS / "last"

    def keep_checkpoints(self, kept: Literal["none", "best", "last"]) -> None:
        """Take away the checkpoints of a finished run, but for those that are to stay."""
        if kept == "none":
            shutil.rmtree(self.path / _CHECKPOINTS, ignore_errors=True)
        elif kept == "best":
            self.last.unlink(missing_ok=True)

    @property
    def reference(self) -> Path:
        """The folder of a reference while it trains."""
        return self.path / _REFERENCE

    def drop_reference(self) -> None:
        """Take away the checkpoints of a reference that has been judged."""
        shutil.rmtree(self.reference, ignore_errors=True)

    @property
    def finished(self) -> bool:
        """Tell whether the run got as far as its scores."""
        return (self.path / f"{RESULTS}.json").exists()

    def config(self) -> dict[str, Any]:
        """The configuration, checked for its format.

        Raises:
            InputError: not a run, damaged, or made by a newer Elman.
        """
        if not self.path.is_dir():
            raise InputError("there is no such run.", file=self.path, fix=_runs_nearby(self.path))
        try:
            config = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if _only_begun(self.path):
                raise InputError(
                    "this run was stopped before its data were read, so there is nothing to go on "
                    "from.",
                    file=self.path,
                    fix="Train again with the same --out.",
                ) from None
            raise InputError(
                f"this folder is not a run: it has no {_CONFIG}.",
                file=self.path,
                fix="Name a folder that `elman train` made.",
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(
                f"not readable as YAML ({str(error).splitlines()[0]}).", file=self.config_file
            ) from None
        if not isinstance(config, dict) or not {"format", "task", "settings"} <= config.keys():
            raise InputError(
                "not the configuration of a run: it lacks format, task or settings.",
                file=self.config_file,
            )
        if not isinstance(config["format"], int) or config["format"] > FORMAT:
            raise InputError(
                f"this run was made by a newer Elman ({config.get('elman', 'unknown')}, run format "
                f"{config['format']}); this is {elman.__version__}, format {FORMAT}.",
                file=self.config_file,
                fix="Upgrade with: pip install --upgrade elman",
            )
        return config

    @property
    def assets_folder(self) -> Path:
        """The folder of assets."""
        return self.path / _ASSETS

    @property
    def predictors_folder(self) -> Path:
        """The folder of kept baselines."""
        return self.path / _PREDICTORS

    @property
    def keeps_predictors(self) -> bool:
        """Tell whether baselines were kept: an older run has none, and not every task keeps any."""
        return (self.predictors_folder / f"{_INDEX}.json").exists()

    def read_predictors(self) -> Any:
        """Return what was kept with the baselines."""
        return self.read_json(f"{_PREDICTORS}/{_INDEX}")

    def write_predictors(self, index: dict[str, Any]) -> None:
        """Say which baselines were kept; written last, so that all of them are there."""
        self.write_json(f"{_PREDICTORS}/{_INDEX}", index)

    def write_state(self, stem: str, facts: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Write one kept thing as JSON and safetensors."""
        import numpy as np
        from safetensors.numpy import save

        self.predictors_folder.mkdir(exist_ok=True)
        self.write_json(f"{_PREDICTORS}/{stem}", facts)
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        write_whole(self.predictors_folder / f"{stem}.safetensors", save(whole))

    def read_state(self, stem: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the facts and arrays of one kept thing.

        Raises:
            InputError: a file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        file = self.predictors_folder / f"{stem}.safetensors"
        try:
            return self.read_json(f"{_PREDICTORS}/{stem}"), load_file(file)
        except (OSError, SafetensorError):
            raise InputError(
                "a kept baseline is missing or damaged.",
                file=file,
                fix="Restore the file, or train again.",
            ) from None

    @property
    def doctor(self) -> Path:
        """The doctor's page."""
        return self.path / _DOCTOR

    def trial(self, number: int) -> Path:
        """Return the folder of a remedy that the doctor tries."""
        return self.path / _TRIALS / f"trial-{number}"

    def assets(self) -> dict[str, Any]:
        """Return each asset's name and its JSON, as this version has them."""
        if self.config()["format"] == 1:
            beside = {RESULTS, SECTIONS}
            stems = [f.stem for f in sorted(self.path.glob("*.json")) if f.stem not in beside]
            return {stem: self.read_json(stem) for stem in stems}
        stems = [file.stem for file in sorted((self.path / _ASSETS).glob("*.json"))]
        return {stem: self.read_json(f"{_ASSETS}/{stem}") for stem in stems}

    def write_assets(self, assets: dict[str, Any]) -> None:
        """Write each asset as JSON."""
        (self.path / _ASSETS).mkdir(exist_ok=True)
        for stem, value in assets.items():
            self.write_json(f"{_ASSETS}/{stem}", value)

    def read_json(self, stem: str) -> Any:
        """One JSON file of the run."""
        file = self.path / f"{stem}.json"
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                "missing; the run was not finished.",
                file=file,
                fix=f"Go on with: elman resume {self.path}",
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise InputError("damaged: not readable as JSON.", file=file) from None

    def write_json(self, stem: str, value: Any) -> None:
        """Write one JSON file of the run, whole or not at all."""
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        write_whole(self.path / f"{stem}.json", text.encode())

    def history(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        if not self.metrics.exists():
            return []
        return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines()]


def runs_in(place: Path) -> list[Run]:
    """Return the runs of a folder and of the folders in it, such as `runs`, the newest last; or the
    run that it is itself.

    Raises:
        InputError: there is no such folder, or no run in it.
    """
    if not place.is_dir():
        raise InputError("there is no such folder.", file=place, fix="Name a folder of runs.")
    found = list(place.glob(f"*/{_CONFIG}"))
    for other in (_CONFIG, f"*/*/{_CONFIG}"):
        found += filter(_of_run, place.glob(other))
    configs = sorted(found, key=lambda file: file.stat().st_mtime)
    if not configs:
        raise InputError("there is no run in this folder.", file=place, fix="Train one first.")
    return [Run(config.parent) for config in configs]


def _of_run(config: Path) -> bool:
    """Tell whether a configuration is that of a run, not of another program in a folder below."""
    lines = config.read_text("utf-8", "replace").split("\n")
    return any(line.startswith("task:") for line in lines)


def create(path: Path) -> Run:
    """Make a run directory, or refuse to write over an earlier run.

    What a run left that was killed before it had read its data is written over.

    Raises:
        InputError: the folder cannot be written, or already holds something.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if _only_begun(path):
            if (process := _still_there(path)) is not None:
                raise InputError(
                    f"process {process} reads the data of a run for this folder.",
                    file=path,
                    fix="Wait for it, or choose another --out. If that is another program, remove "
                    "the folder.",
                )
            shutil.rmtree(path)
            path.mkdir()
        if any(path.iterdir()):
            raise InputError(
                "this folder is not empty, and nothing is written over.",
                file=path,
                fix=f"Go on with `elman resume {path}`, or choose another --out.",
            )
        (path / _BEGUN).write_text(str(os.getpid()), encoding="utf-8")
        (path / _CHECKPOINTS).mkdir()
    except OSError as error:
        raise InputError(
            f"cannot write to the output folder ({error.strerror}).",
            file=path,
            fix="Choose another with --out.",
        ) from None
    return Run(path)


def record(run: Run, config: str, assets: dict[str, Any]) -> None:
    """Write what a run needs to be gone on with; the configuration last, which makes it a run."""
    run.write_assets(assets)
    write_whole(run.config_file, config.encode())
    (run.path / _BEGUN).unlink(missing_ok=True)


def _only_begun(path: Path) -> bool:
    """Tell whether a run began in a folder and was stopped before its configuration was written."""
    there = {entry.name for entry in path.iterdir()}
    checkpoints = path / _CHECKPOINTS
    if there == {_CHECKPOINTS}:  # of a version that left no other mark
        return checkpoints.is_dir() and not any(checkpoints.iterdir())
    return _BEGUN in there and there <= {_BEGUN, _CHECKPOINTS, _ASSETS, f".{_CONFIG}.tmp"}


def _still_there(path: Path) -> int | None:
    """Return the number of the process that began a run, where it may still be at work."""
    begun = path / _BEGUN
    said = begun.read_text("utf-8", "replace").strip() if begun.exists() else ""
    if not said.isdecimal() or int(said) in (0, os.getpid()) or os.name != "posix":
        return None
    try:
        os.kill(int(said), 0)  # asks, and sends nothing
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    return int(said)


def discard(run: Run) -> None:
    """Take away a run directory in which nothing was trained."""
    shutil.rmtree(run.path, ignore_errors=True)


def fresh_path(task: str, data: Any) -> Path:
    """The first unused `runs/<task>-<data>-<n>` under the current folder."""
    from elman.data.memory import names_files

    stem = "data"
    if names_files(data):
        first = data[0] if isinstance(data, list | tuple) else data
        stem = Path(first).name.split(".")[0]
    number = 1
    while (path := Path("runs") / f"{task}-{stem or 'data'}-{number}").exists():
        number += 1
    return path


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that it is there whole, or the one before it is.

    Raises:
        RunFailed: the disk is full or the folder cannot be written.
    """
    # Imported here, so that a folder that is not a run is refused without importing torch.
    from elman.training import checkpoint

    checkpoint.write_whole(file, lambda stream: stream.write(content))


def config_yaml(
    task: str,
    settings: BaseModel,
    data: dict[str, Any] | None = None,
    grown_from: dict[str, Any] | None = None,
) -> str:
    """The effective configuration as YAML: each value with its meaning and default.

    Args:
        task: its name.
        settings: all of them.
        data: where the data lie, and what they were.
        grown_from: the run that this one goes on from, and what it was.
    """
    head: dict[str, Any] = {"format": FORMAT, "elman": elman.__version__, "task": task}
    if grown_from is not None:
        head["from"] = grown_from
    if data is not None:
        head["data"] = data
    lines = [yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(), "settings:"]
    for name, field in type(settings).model_fields.items():
        value = settings.model_dump(mode="json")[name]
        default = _flow(field.get_default(call_default_factory=True))
        lines.append(f"  # {field.description or name} (default: {default})")
        lines.append(f"  {name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _runs_nearby(path: Path) -> str:
    parent = path.parent
    runs = sorted(p.parent for p in parent.glob(f"*/{_CONFIG}")) if parent.is_dir() else []
    if not runs:
        return "Name a folder that `elman train` made."
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return "Runs here: " + ", ".join(str(run) for run in runs[-5:]) + more + "."

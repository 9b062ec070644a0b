"""Kernels built ahead of time: which, into what, and that a wheel with them needs no compiler."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from elman.cells import CELLS, options_of
from elman.cli import main
from elman.errors import ElmanError, InputError
from elman.kernels import ahead, build, program
from elman.kernels.emit import TARGETS

ROOT = Path(__file__).parents[2]
TREE = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "elman")


@pytest.fixture(autouse=True)
def a_compiler() -> None:
    try:
        found = build.find_compiler()
    except ElmanError as error:
        pytest.skip(str(error))
    if found is None:
        pytest.skip("no C compiler on this machine")
    if not ahead.targets():
        pytest.skip(f"no kernels are made for {platform.machine()} processors yet")


@pytest.mark.parametrize("name", CELLS)
def test_every_choice_of_a_cell_is_built(name):
    hints = typing.get_type_hints(CELLS[name].__init__)
    for option in options_of(name):
        if hints[option] is bool:
            assert set(ahead.VARIED[option]) == {True, False}
        elif typing.get_origin(hints[option]) is typing.Literal:
            assert set(ahead.VARIED[option]) >= set(typing.get_args(hints[option]))


def test_targets_are_those_of_the_processor(monkeypatch):
    for machine, names in {
        "AMD64": ["avx512", "avx2", "sse"],
        "arm64": ["neon"],
        "riscv64": [],
    }.items():
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        assert [target.name for target in ahead.targets()] == names
    with pytest.raises(InputError, match="No kernels are made for riscv64"):
        ahead.sources()


def test_what_a_folder_held_of_other_sources_goes(tmp_path):
    first, second = ("int one;", ()), ("int two;", ())
    (kept, old) = ahead.build_all(tmp_path, [first, second])
    (tmp_path / "mine.so").write_text("not a kernel")
    assert list(ahead.build_all(tmp_path, [first])) == [kept]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([kept.name, "mine.so"])
    assert not old.exists()


def test_a_source_that_does_not_compile_ends_the_build(tmp_path):
    many = [(f"int number{i};", ()) for i in range(9)]
    with pytest.raises(build.BuildError, match="could not compile"):
        list(ahead.build_all(tmp_path, [("int", ()), *many]))


def test_the_command_builds_and_tells(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ahead, "sources", lambda: [("int one;", ()), ("int two;", ())])
    with pytest.raises(SystemExit) as ending:
        main(["check", "--build", str(tmp_path), "--json"])
    assert not ending.value.code
    kernels = list(tmp_path.iterdir())
    told = {
        "folder": str(tmp_path),
        "kernels": 2,
        "bytes": sum(kernel.stat().st_size for kernel in kernels),
    }
    assert len(kernels) == 2
    assert json.loads(capsys.readouterr().out) == told


def test_a_folder_alone_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as ending:
        main(["check", str(tmp_path)])
    assert ending.value.code == 2
    assert "Add --build" in capsys.readouterr().err


# A wheel, installed and used.

USE = """
import sys
sys.modules["ziglang"] = None  # as where it is not installed
import torch
import elman
from elman.cells import make
from elman.kernels import ahead, build, record, run

assert build.find_compiler() is None
print(elman.__file__)
for name in sys.argv[1:]:
    for options in ahead.variants(name):
        for dtype in (torch.float32, torch.float64):
            for sizes in ((3, 5), (8, 8)):
                cell = make(name, *sizes, dtype=dtype, **options)
                x = torch.randn(4, 2, sizes[0], dtype=dtype, requires_grad=True)
                with record() as ran:
                    run(cell, x, lengths=[4, 2]).output.sum().backward()
                print(name, ran[0].backend)
"""


def made_into_a_wheel(folder: Path, *command: str) -> Path:
    """A wheel of this tree, in which `command` was run first; what pip installs of it, unpacked."""
    pytest.importorskip("hatchling")
    tree, wheels, installed = folder / "tree", folder / "wheels", folder / "installed"
    tree.mkdir()
    for name in TREE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=lambda *_: {"__pycache__", "prebuilt"})
        else:
            shutil.copy(ROOT / name, tree / name)
    python = (sys.executable, "-m")
    pip = (*python, "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    if command:
        done(sys.executable, *command, cwd=tree)
    done(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), ".", cwd=tree)
    (wheel,) = wheels.iterdir()
    carries = bool(command)
    assert wheel.name.endswith("-py3-none-any.whl") != carries
    done(*pip, "install", "--no-deps", "--no-index", "--target", str(installed), str(wheel))
    return installed


def done(*command: str, cwd: Path | None = None) -> None:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]


def used(installed: Path, *cells: str, **more: str) -> tuple[set[str], str]:
    """The backends an installed package takes without a compiler, and what it says."""
    cache, empty = installed.parent / "cache", installed.parent / "empty"
    for folder in (cache, empty):
        folder.mkdir(exist_ok=True, mode=0o700)
    environment = {
        "PATH": str(empty),
        "HOME": str(empty),
        "ELMAN_CACHE": str(cache),
        "PYTHONPATH": str(installed),
        **more,
    }
    command = [sys.executable, "-c", USE, *cells]
    ran = subprocess.run(
        command, env=environment, cwd=empty, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    where, *lines = ran.stdout.splitlines()
    assert Path(where).is_relative_to(installed)
    assert {line.split()[0] for line in lines} == set(cells)
    assert list(cache.iterdir()) == []
    return {line.split()[1] for line in lines}, ran.stderr


@pytest.mark.fuzz
def test_a_wheel_with_kernels_needs_no_compiler(tmp_path):
    build_one = (
        "from elman.kernels import ahead, build, program; "
        "wanted = ahead.sources(['mgu'], [program.best_target()]); "
        "print(*ahead.build_all(build.PREBUILT, wanted))"
    )
    installed = made_into_a_wheel(tmp_path, "-c", build_one)
    assert used(installed, "mgu") == ({"cpu"}, "")
    # A library of another source is not this one's.
    vectors = installed / "elman" / "kernels" / "c" / "vectors.h"
    vectors.write_text(vectors.read_text() + "/* changed */\n")
    backends, said = used(installed, "mgu")
    assert backends == {"reference"}
    assert said.count("No C compiler was found") == 1


@pytest.mark.fuzz
def test_a_wheel_without_kernels_says_once_that_it_has_no_compiler(tmp_path):
    backends, said = used(made_into_a_wheel(tmp_path), "mgu", "gru")
    assert backends == {"reference", "torch"}
    assert said.count("No C compiler was found") == 1


@pytest.mark.slow
def test_a_wheel_with_all_kernels_runs_every_cell_on_them(tmp_path):
    installed = made_into_a_wheel(tmp_path, "-m", "elman", "check", "--build")
    best = program.best_target()
    assert best is not None
    for target in list(TARGETS)[list(TARGETS).index(best.name) :]:
        if TARGETS[target] in ahead.targets():
            assert used(installed, *CELLS, ELMAN_TARGET=target) == ({"cpu"}, "")

"""`import elman` brings nothing heavy along, and the rooms depend one way."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "elman"


def house():
    """Load the check of rooms and docstrings that `make lint` runs."""
    spec = importlib.util.spec_from_file_location("house", PACKAGE.parent / ".ci" / "house.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_import_is_light():
    code = (
        "import sys, torch; before = set(sys.modules); import elman; "
        "print(sorted(m for m in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    added = ast.literal_eval(done.stdout)
    assert all(name.split(".")[0] == "elman" for name in added), added


def test_rooms_depend_one_way():
    assert not house().import_faults(PACKAGE)


def test_no_pickle():
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for forbidden in ("import pickle", "torch.load(", "torch.save(", "allow_pickle=True"):
            assert forbidden not in text, f"{file}: {forbidden}"


SOUND = {
    "__init__.py": '"""A package; its own names are lazy."""\nfrom elman.cli import main\n',
    "cells/__init__.py": "import torch\n",
    "nn/__init__.py": "from elman import __version__, cells\nfrom elman.nn import one\n",
    "nn/one.py": "def later():\n    from elman.nn import two\n",
    "nn/two.py": 'from elman.nn.one import later\n\n\ndef f():\n    """Whatever x is."""\n',
    "cli/__init__.py": "def main():\n    import elman.nn.two\n",
    "__main__.py": "from elman.cli import main\n",
}


def built(folder, files):
    package = folder / "elman"
    for name, text in (SOUND | files).items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


def test_a_sound_package_has_no_fault(tmp_path):
    package = built(tmp_path, {})
    assert house().import_faults(package) == house().docstring_faults(package) == []


@pytest.mark.parametrize(
    ("file", "text", "line", "message"),
    [
        ("cells/a.py", "import torch\nimport elman.nn.one\n", 2, "cells imports elman.nn.one"),
        ("cells/a.py", "def f():\n    from elman import nn\n", 2, "nn comes after cells"),
        ("cells/a.py", "def f():\n    from ..nn import one\n", 2, "cells imports elman.nn.one"),
        (
            "cells/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from elman.nn import one\n",
            3,
            "nn comes after cells",
        ),
        ("cells/a.py", "class A:\n    import elman.cli\n", 2, "cli comes after cells"),
        ("cells/a.py", "from elman import Cell\n", 1, "elman.Cell is in no room"),
        ("utils.py", "x = 1\n", 1, "'utils' is no room"),
        ("nn/one.py", "\nfrom elman.nn.two import f\n", 2, "elman.nn.one -> elman.nn.two ->"),
        ("nn/one.py", "from elman.nn import f\n", 1, "elman.nn -> elman.nn.one -> elman.nn"),
    ],
)
def test_an_import_that_goes_up_or_round_is_named(tmp_path, file, text, line, message):
    found = house().import_faults(built(tmp_path, {file: text}))
    assert len(found) == 1, found
    assert message in found[0]
    where = "nn/__init__.py" if "elman.nn -> " in message else file
    assert found[0].startswith(f"{tmp_path / 'elman' / where}:{2 if where != file else line}: ")


@pytest.mark.parametrize(
    "opening", ["That", "Those", "Of", "What", "Which", "Whether", "Whose", "The same"]
)
def test_a_docstring_without_a_subject_is_named(tmp_path, opening):
    text = f'class A:\n    """A class."""\n    x = 1\n    """{opening} of the layers."""\n'
    files = {"cells/a.py": text, "__init__.py": f'"""{opening}\nthings."""\n'}
    package = built(tmp_path, files)
    found = house().docstring_faults(package)
    assert [fault.split(": ")[0] for fault in found] == [
        f"{package / '__init__.py'}:1",
        f"{package / 'cells' / 'a.py'}:4",
    ]
    assert repr(opening) in found[0]


def test_the_program_prints_faults_and_fails(tmp_path):
    command = [sys.executable, str(PACKAGE.parent / ".ci" / "house.py")]
    sound = subprocess.run([*command, str(built(tmp_path, {}))], capture_output=True, text=True)
    assert (sound.returncode, sound.stdout) == (0, "")
    package = built(tmp_path, {"nn/one.py": "import elman.cli\n", "cells/a.py": '"""Of it."""\n'})
    bad = subprocess.run([*command, str(package)], capture_output=True, text=True)
    assert bad.returncode == 1
    assert bad.stdout.splitlines() == [
        "elman/nn/one.py:1: nn imports elman.cli, and cli comes after nn",
        "elman/cells/a.py:1: a docstring opens with 'Of': begin with a subject or a verb",
    ]

"""`import elman` brings nothing heavy along, and the rooms depend one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "elman"
ROOMS = [
    "cells",
    "kernels",
    "nn",
    "bench",
    "data",
    "training",
    "scoring",
    "tasks",
    "runs",
    "inspect",
    "cli",
]


def test_import_is_light():
    code = (
        "import sys, torch; before = set(sys.modules); import elman; "
        "print(sorted(m for m in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    added = ast.literal_eval(done.stdout)
    assert all(name.split(".")[0] == "elman" for name in added), added


def test_rooms_depend_one_way():
    wrong = []
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0]
        if room not in ROOMS:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = [*name.split("."), "", ""]
                if parts[0] == "elman" and parts[1] in ROOMS[ROOMS.index(room) + 1 :]:
                    wrong.append(f"{file.relative_to(PACKAGE)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_pickle():
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for forbidden in ("import pickle", "torch.load(", "torch.save(", "allow_pickle=True"):
            assert forbidden not in text, f"{file}: {forbidden}"

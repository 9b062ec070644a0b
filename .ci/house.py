"""Check how the package is built and described; part of `make lint`.

Faults, each named with its file and line:

- an import from a room further down the list, also inside a function or under TYPE_CHECKING;
- modules that import each other in a circle when they are imported;
- a docstring whose first sentence opens with a word that leaves it without a subject.

The package's own `__init__.py` imports names lazily from every room and is exempt from the first
two. Usage: `python .ci/house.py [PACKAGE]`; the exit code is 1 if there is a fault.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOMS = (
    "errors",
    "needs",
    "registry",
    "writing",
    "cells",
    "kernels",
    "nn",
    "data",
    "modalities",
    "training",
    "scoring",
    "tasks",
    "runs",
    "inspect",
    "export",
    "serve",
    "tune",
    "bench",
    "cli",
)
_OPENING = re.compile(r"(That|Those|Of|What|Which|Whether|Whose|The same)\b")


@dataclass(frozen=True)
class Import:
    """One import of a module of the package; `at_once`: it runs when its own module is imported."""

    module: str
    line: int
    at_once: bool


@dataclass
class Module:
    """A file of the package, what it imports, and its docstrings by line."""

    name: str
    file: Path
    imports: list[Import] = field(default_factory=list)
    docstrings: list[tuple[int, str]] = field(default_factory=list)


Fault = tuple[Path, int, str]


def import_faults(package: Path) -> list[str]:
    """Return the imports that go up the list of rooms or in a circle, as `file:line: message`."""
    modules = [module for module in _read(package) if module.name != package.name]
    return _written([*_upward(modules, package.name), *_circles(modules)])


def docstring_faults(package: Path) -> list[str]:
    """Return the docstrings that open without a subject, as `file:line: message`."""
    return _written(_openings(_read(package)))


def _written(found: Iterable[Fault]) -> list[str]:
    return [f"{file}:{line}: {what}" for file, line, what in sorted(found)]


@functools.cache
def _read(package: Path) -> list[Module]:
    files = {_name(file, package): file for file in sorted(package.rglob("*.py"))}
    return [_read_one(name, file, set(files)) for name, file in files.items()]


def _name(file: Path, package: Path) -> str:
    parts = (package.name, *file.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read_one(name: str, file: Path, known: set[str]) -> Module:
    module = Module(name, file)
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]

    def visit(node: ast.AST, at_once: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.imports.extend(
                Import(target, node.lineno, at_once)
                for target in _targets(node, package, known)
                if target.split(".")[0] == name.split(".")[0]
            )
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                text = statement.value.value
                if isinstance(text, str):
                    module.docstrings.append((statement.lineno, text))
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.iter_child_nodes(node):
            # No expression holds a statement, and most of a tree is expressions.
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
                seldom = later or (typing and child not in node.orelse)
                visit(child, at_once and not seldom)

    visit(ast.parse(file.read_text(encoding="utf-8")), True)
    return module


def _targets(node: ast.Import | ast.ImportFrom, package: str, known: set[str]) -> Iterator[str]:
    """Yield the modules that a statement imports: `from a import b` is `a.b` if that is one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        above = parts[: len(parts) - node.level + 1]
        base = ".".join([*above, *([base] if base else [])])
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in known or (base == package.split(".")[0]) else base


def _upward(modules: list[Module], package: str) -> Iterator[Fault]:
    for module in modules:
        room = _room(module.name)
        if room not in ROOMS:
            yield module.file, 1, f"{room!r} is no room; the rooms are {', '.join(ROOMS)}"
            continue
        for one in module.imports:
            other = _room(one.module)
            if one.module == package or other == "__version__":
                continue
            if other not in ROOMS:
                yield module.file, one.line, f"{one.module} is in no room: import it from its own"
            elif ROOMS.index(other) > ROOMS.index(room):
                what = f"{room} imports {one.module}, and {other} comes after {room}"
                yield module.file, one.line, what


def _room(name: str) -> str:
    room = name.split(".")[1] if "." in name else ""
    return "cli" if room == "__main__" else room


def _circles(modules: list[Module]) -> Iterator[Fault]:
    """Yield one fault for each group of modules that reach each other by imports at once."""
    after = {
        module.name: {one.module: one.line for one in module.imports if one.at_once}
        for module in modules
    }
    files = {module.name: module.file for module in modules}
    reported: set[str] = set()
    for name in after:
        path = _way_back(name, after)
        if path and not reported & set(path):
            reported |= set(path)
            yield files[name], after[name][path[1]], f"a circle of imports: {' -> '.join(path)}"


def _way_back(start: str, after: dict[str, dict[str, int]]) -> list[str]:
    """Return the shortest path of imports from a module to itself, or an empty list."""
    paths = [[start]]
    seen: set[str] = set()
    for path in paths:
        for name in after.get(path[-1], ()):
            if name == start:
                return [*path, name]
            if name not in seen:
                seen.add(name)
                paths.append([*path, name])
    return []


def _openings(modules: list[Module]) -> Iterator[Fault]:
    for module in modules:
        for line, text in module.docstrings:
            opening = _OPENING.match(text.lstrip())
            if opening:
                what = f"a docstring opens with {opening[0]!r}: begin with a subject or a verb"
                yield module.file, line, what


def main(arguments: list[str]) -> int:
    """Print the faults of a package and return the exit code."""
    package = Path(arguments[0]) if arguments else Path(__file__).parents[1] / "elman"
    found = [*import_faults(package), *docstring_faults(package)]
    for fault in found:
        print(fault.removeprefix(f"{package.parent}/"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

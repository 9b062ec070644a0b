"""Kernels for other instruction sets, without a warning of the compiler's, under its sanitizers."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from elman.cells import CELLS, make
from elman.errors import ElmanError, InputError
from elman.kernels import ahead, build, program, run
from elman.kernels.emit import TARGETS, Target, cell_source, halves_source, products_sources
from elman.kernels.plan import make_plans
from elman.kernels.trace import trace

EVERYTHING = {"peepholes": True, "coupled": True, "layer_norm": True, "proj_size": 3}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in CELLS},
    "lstm with everything": ("lstm", EVERYTHING),
    "jordan decaying": ("jordan", {"decay": 0.5, "output_size": 3}),
    "mingru positive": ("mingru", {"positive": True}),
    "minlstm unscaled": ("minlstm", {"scaled": False}),
    "indrnn bounded": ("indrnn", {"bound": 0.4}),
    "esn leaking": ("esn", {"leak": 0.3, "output_size": 3}),
}
FEW = ("lstm", "lru", "mingru")
"""Cells that have something of every kind between them."""
FUZZ = pytest.mark.fuzz
OTHERS = ("lstm", "gru_cho", "minlstm", "lstm with everything")
FEW_OR_FUZZ = [name if name in FEW else pytest.param(name, marks=FUZZ) for name in VARIANTS]
"""All cells; `make test` takes the few, `make fuzz` the others."""
DTYPES = {"single": torch.float32, "double": torch.float64}


def compiler() -> tuple[str, ...]:
    try:
        found = build.find_compiler()
    except ElmanError as error:
        pytest.skip(str(error))
    if found is None:
        pytest.skip("no C compiler on this machine")
    return found.command


def compiler_for(target: Target) -> tuple[str, ...]:
    """This machine's, or zig as a cross compiler for another kind of processor."""
    if target in ahead.targets():
        return compiler()
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip(f"{target.name} is for {target.machine}, and ziglang is not installed")
    return (sys.executable, "-P", "-m", "ziglang", "cc", "-target", f"{target.machine}-linux-gnu")


def missing(target: str) -> str | None:
    """Why this machine cannot run a target's kernels."""
    if TARGETS[target] not in ahead.targets():
        return f"{target} is for {TARGETS[target].machine}, this is {platform.machine()}"
    has = torch.backends.cpu.get_cpu_capability()
    needed = {"avx512": ("AVX512",), "avx2": ("AVX512", "AVX2")}
    if target in needed and has not in needed[target]:
        return f"this processor has {has} and no {target}"
    return None


@pytest.mark.parametrize(
    "name",
    ["lru", *[pytest.param(n, marks=FUZZ) for n in VARIANTS if n in OTHERS]],
)
@pytest.mark.parametrize("target", TARGETS)
def test_every_instruction_set_keeps_the_contract(
    target, name, monkeypatch, held_to_the_reference, with_gradients, relative_error
):
    compiler()
    reason = missing(target)
    if reason:
        pytest.skip(reason)
    monkeypatch.setattr(program, "best_target", lambda: TARGETS[target])
    if name != "lru":  # one cell as users have it; the others compile in two thirds of the time
        flags = tuple("-O1" if flag == "-O3" else flag for flag in build.FLAGS)
        monkeypatch.setattr(build, "FLAGS", flags)
    kind, options = VARIANTS[name]
    for sizes, steps, batch in (((3, 5), 1, 1), ((7, 33), 6, 5), ((9, 17), 6, 14)):
        torch.manual_seed(0)
        cell = make(kind, *sizes, **options)
        x = torch.randn(steps, batch, sizes[0])
        state = [torch.randn(batch, n) * 0.5 for n in cell.state_sizes]
        together = {
            "lengths": torch.tensor([steps, 0, 1, *[steps - 1] * batch])[:batch],
            "reset": torch.rand(steps, batch) < 0.3,
            "reverse": True,
            "return_states": True,
        }
        for call in ({}, together):
            held_to_the_reference(cell, x, state, **call)
        assert cpu_target_of(cell) == {target}
    whole, doubled = cell.double(), (x.double(), [s.double() for s in state])
    got = with_gradients(whole, *doubled, "cpu", **together)
    truth = with_gradients(whole, *doubled, "reference", **together)
    for a, b in zip([*got[0], *got[1]], [*truth[0], *truth[1]], strict=True):
        assert relative_error(a, b) <= 1e-12


def cpu_target_of(cell: Any) -> set[str]:
    """For which instruction sets kernels of this very cell were made."""
    from elman.kernels import choose

    program = choose(cell, torch.zeros(2, 1, cell.input_size), backend="cpu").program
    assert program is not None
    return {program.target.name}


# What the compiler says.


def says(source: str, target: Target, folder: Path) -> str:
    """What the compiler has to say of a source."""
    file = folder / "kernel.c"
    file.write_text(source, encoding="utf-8")
    strict = ("-O1", "-std=gnu11", "-fPIC", "-Wall", "-Wextra", "-Werror", "-c")
    done = subprocess.run(
        [*compiler_for(target), *strict, *target.flags, str(file), "-o", str(folder / "kernel.o")],
        env=os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(build.cache_folder() / "zig")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("name", FEW_OR_FUZZ)
def test_the_source_compiles_without_a_warning(name, tmp_path):
    kind, options = VARIANTS[name]
    cell = make(kind, 3, 5, **options)
    target = program.best_target()
    if target is None:
        pytest.skip(f"no kernels are made for {platform.machine()} processors yet")
    masks = ("mask",) * len(cell.state_sizes) if name in ("lstm", "gru") else None
    for holds in {None, masks}:
        plans = make_plans(trace(cell, holds), cell.state_sizes)
        assert says(cell_source(plans, target, False), target, tmp_path) == ""


@pytest.mark.parametrize("double", [False, pytest.param(True, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize("name", FEW_OR_FUZZ)
def test_every_cell_compiles_for_neon(name, double, tmp_path):
    kind, options = VARIANTS[name]
    cell = make(kind, 3, 5, **options)
    source = cell_source(make_plans(trace(cell), cell.state_sizes), TARGETS["neon"], double)
    assert says(source, TARGETS["neon"], tmp_path) == ""


@pytest.mark.fuzz
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_compiles_without_a_warning(target, double, tmp_path):
    wanted = TARGETS[target]
    cell = make("lstm", 3, 5, **EVERYTHING)
    source = cell_source(make_plans(trace(cell), cell.state_sizes), wanted, double)
    assert says(source, wanted, tmp_path) == ""
    for source in products_sources(wanted, double):
        assert says(source, wanted, tmp_path) == ""
    assert double or says(halves_source(wanted), wanted, tmp_path) == ""


def test_every_target_has_a_source():
    cell = make("gru", 3, 5)
    for target in TARGETS.values():
        for double in (False, True):
            source = cell_source(make_plans(trace(cell), cell.state_sizes), target, double)
            assert f"#define V {target.vector // (8 if double else 4)}\n" in source


@pytest.mark.parametrize("name", VARIANTS)
def test_no_size_is_written_into_a_source(name):
    """So that one library serves all sizes of a cell, those that happen to agree too."""
    kind, options = VARIANTS[name]
    sources = set()
    for inputs, units in ((3, 5), (7, 33), (5, 5), (10, 5), (1, 3), (8, 4)):
        sizes = {"output_size", "proj_size"}
        for size in {3, inputs, units} if options.keys() & sizes else {3}:
            more = dict.fromkeys(sizes & options.keys(), size)
            cell = make(kind, inputs, units, **options | more)
            plans = make_plans(trace(cell), cell.state_sizes)
            sources.add(cell_source(plans, TARGETS["avx512"], False))
    assert len(sources) == 1


def test_an_unknown_target_is_told_the_nearest(monkeypatch):
    monkeypatch.setenv("ELMAN_TARGET", "avx521")
    program.best_target.cache_clear()
    with pytest.raises(InputError, match=r"ELMAN_TARGET='avx521'.*Did you mean 'avx512'"):
        run(make("mgu", 2, 3), torch.zeros(2, 1, 2))


# Memory and undefined behaviour.

SANITIZED = """
import sys
import torch
from elman.cells import make
from elman.kernels import build, record, run

what, level = sys.argv[1:]
build.FLAGS = tuple(f for f in build.FLAGS if f != "-O3") + (
    level, "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
if what == "control":
    numbers = torch.zeros(5)
    library = build.load("void f(float *p, long n) { for (long i = 0; i <= n; i++) p[i] = 1; }")
    import ctypes
    library.f(ctypes.c_void_p(numbers.data_ptr()), ctypes.c_long(5))
    sys.exit(0)


def as_they_come(rows, columns, dtype):
    return torch.randn(rows, columns, dtype=dtype)


def turned(rows, columns, dtype):
    return torch.randn(columns, rows, dtype=dtype).t()


def with_gaps(rows, columns, dtype):
    return torch.randn(2 * rows, 3 * columns + 1, dtype=dtype)[1::2, 1::3]


def expanded(rows, columns, dtype):
    return torch.randn(1, 1, dtype=dtype).expand(rows, columns)


def run_it(cell, lie, steps, batch, dtype):
    wide = lambda width: lie(steps * batch, width, dtype).unflatten(0, (steps, batch))
    x = wide(cell.input_size).detach().requires_grad_()
    state = tuple(lie(batch, n, dtype).detach().requires_grad_() for n in cell.state_sizes)
    lengths = torch.randint(0, steps + 1, (batch,))
    reset = wide(1)[..., 0] < -0.5
    masks = tuple(wide(n) < -0.5 for n in cell.state_sizes)
    together = dict(lengths=lengths, reset=reset, return_states=True)
    for call in (
        {}, dict(return_states=True, reverse=True), dict(reset=reset), together,
        dict(together, reverse=True), dict(together, hold=masks),
    ):
        if "hold" in call and name not in ("lstm", "gru"):
            continue
        with record() as ran:
            result = run(cell, x, state, backend="cpu", **call)
        assert ran[0].backend == "cpu"
        parts = [result.output, *result.state, *(result.states or ())]
        loss = sum(p.sum() if lie is expanded else p.square().sum() for p in parts)
        loss.backward()  # the cotangents of a sum are one number, expanded
        with torch.no_grad():
            run(cell, x, state, backend="cpu", **call)


if what == "threads":
    import threading
    from elman.errors import InputError
    from elman.kernels.stream import CellStream

    sys.setswitchinterval(1e-6)
    streams = [CellStream(make(name, 20, 60), 2, torch.zeros(1)) for name in ("lstm", "gru")]
    taken, refused = [], []

    def use(k):
        mine, x = streams[k % 2], torch.randn(2, 20)
        for n in range(120):
            try:
                some = x.expand(n % 5 + 2, 2, 20)
                taken.append(mine.chunk(some) if n % 7 else mine.step(x))
                mine.state = tuple(torch.zeros(2, 60) for _ in mine.state)
            except InputError:
                refused.append(k)

    threads = [threading.Thread(target=use, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused and all(y.isfinite().all() for y in taken)
    print("through")
    sys.exit(0)
grid = [((3, 5), 4, 3, 1), ((7, 33), 20, 9, 2)]
if level != "-O0":
    grid = [(*point[:3], threads) for point in (((1, 2), 1, 1), *grid) for threads in (1, 2)]
for name, options in eval(what):
    for sizes, steps, batch, threads in grid:
        dtypes = (torch.float32, torch.float64) if name in ("lstm", "lru") else (torch.float32,)
        for dtype in dtypes:
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            cell = make(name, *sizes, dtype=dtype, **options)
            for lie in (as_they_come, turned, with_gaps, expanded):
                run_it(cell, lie, steps, batch, dtype)
print("through")
"""


def sanitized(what: str, level: str, cache: Path) -> subprocess.CompletedProcess[str]:
    command = compiler()
    if platform.system() != "Linux":
        pytest.skip(f"no way to preload a sanitizer on {platform.system()}")
    found = subprocess.run(
        [*command, "-print-file-name=libasan.so"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not os.path.isabs(found):
        pytest.skip(f"{command[0]} has no libasan.so")
    cache.mkdir(mode=0o700, exist_ok=True)
    environment = os.environ | {
        "LD_PRELOAD": found,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "ELMAN_CACHE": str(cache),
    }
    return subprocess.run(
        [sys.executable, "-c", SANITIZED, what, level],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.mark.fuzz
def test_the_sanitizer_would_notice(tmp_path):
    done = sanitized("control", "-O0", tmp_path / "cache")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


@pytest.mark.fuzz
def test_threads_that_share_a_stream(tmp_path):
    done = sanitized("threads", "-O0", tmp_path / "cache")
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.strip() == "through"


def check_sanitized(names: Iterable[str], level: str, cache: Path) -> None:
    done = sanitized(repr([VARIANTS[name] for name in names]), level, cache)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "through" in done.stdout
    assert "runtime error" not in done.stderr


@pytest.mark.fuzz
@pytest.mark.parametrize(
    "names",
    [FEW, pytest.param(tuple(n for n in VARIANTS if n not in FEW), marks=pytest.mark.slow)],
    ids=["few", "others"],
)
def test_nothing_is_read_or_written_out_of_bounds(names, tmp_path):
    """However tensors lie in memory; not optimised, which compiles ten times as fast."""
    check_sanitized(names, "-O0", tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ("lstm", "gru", "mgu"),
        ("lstm with everything", "lru", "gru_cho", "jordan"),
        ("elman", "irnn", "ugrnn", "indrnn", "mingru", "minlstm", "esn"),
    ],
    ids=lambda names: names[0],
)
def test_nor_is_it_when_optimised(names, tmp_path):
    check_sanitized(names, "-O1", tmp_path / "cache")

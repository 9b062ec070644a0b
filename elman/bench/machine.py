"""The machine: its names, and its limits that stand beside every figure."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import elman
from elman.bench.report import Note, Row
from elman.bench.settings import Settings
from elman.errors import ElmanError
from elman.kernels import build
from elman.kernels.program import best_target

GROUP = "limits"

SOURCE = """
typedef float vec __attribute__((vector_size(VECTOR)));
enum { LANES = VECTOR / 4, STREAMS = 8 };

/* CHAINS * LANES multiply-adds a turn, none of which waits for another. */
float multiply_add(long turns, float by, float plus) {
    vec sum[CHAINS], all = {0};
    vec b = all + by, p = all + plus;
    /* From different numbers, or a compiler makes one chain of all. */
    for (int c = 0; c < CHAINS; c++) sum[c] = all + (float)c;
    for (long t = 0; t < turns; t++)
        #pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) sum[c] = sum[c] * b + p;
    for (int c = 0; c < CHAINS; c++) all += sum[c];
    return all[0];
}

#if defined(__x86_64__) && VECTOR == 64
#include <immintrin.h>
int has_dots(void) { return __builtin_cpu_supports("avx512bf16") != 0; }

/* DOTS * LANES dot products of two pairs a turn, each two multiply-adds. */
__attribute__((target("avx512bf16"))) float dot(long turns, int one, int other) {
    __m512 sum[DOTS], all = {0};
    __m512bh a = (__m512bh)_mm512_set1_epi32(one), b = (__m512bh)_mm512_set1_epi32(other);
    for (int c = 0; c < DOTS; c++) sum[c] = all + (float)c;
    for (long t = 0; t < turns; t++)
        #pragma GCC unroll 24
        for (int c = 0; c < DOTS; c++) sum[c] = _mm512_dpbf16_ps(sum[c], a, b);
    for (int c = 0; c < DOTS; c++) all += sum[c];
    return all[0];
}
#else
int has_dots(void) { return 0; }
#endif

/* Reads `count` numbers, a multiple of STREAMS * LANES, as often as asked. */
float read_all(const float *from, long count, long times) {
    vec sum[STREAMS] = {0}, all = {0};
    for (long t = 0; t < times; t++)
        for (long i = 0; i < count; i += STREAMS * LANES)
            #pragma GCC unroll 8
            for (int s = 0; s < STREAMS; s++) sum[s] += *(const vec *)(from + i + s * LANES);
    for (int s = 0; s < STREAMS; s++) all += sum[s];
    return all[0];
}
"""

CHAINS = 12
"""Independent sums: more than a processor has in flight, fewer than it has registers."""

DOTS = 24
"""Independent sums of dot products, where there are 32 registers of 64 bytes."""

BLOCK = 8 * 16
"""The largest number of values that one turn of `read_all` reads."""

ONES, OPPOSITES = 0x3F803F80, 0x3F80BF80
"""Pairs of bfloat16: (1, 1) and (1, -1), whose dot product leaves a sum as it is."""

TRIES = 5
SECONDS = 0.1
"""Seconds that one try takes."""


def describe() -> dict[str, Any]:
    """Return the names of the machine and the versions of the software that ran on it."""
    target = best_target()
    try:
        compiler = build.find_compiler()
    except ElmanError:
        compiler = None
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "target": target.name if target else "no",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "caches": {f"L{level}": size for level, size in _caches().items()},
        "compiler": compiler.version if compiler else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "elman": elman.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def measure(settings: Settings, threads: int) -> Iterator[Row | Note]:
    """Measure the rates of multiply-adds and of dot products, and how fast each memory is read."""
    try:
        rates = {
            "multiply-adds, float32": multiply_add_rate(threads),
            "dot products, bfloat16": dot_rate(threads),
        }
        for work, rate in rates.items():
            if rate is not None:
                yield Row(GROUP, work, "", threads, rate / 1e9, "GFLOP/s")
        for place, size in _places(settings.quick).items():
            speed = read_rate(threads, size, 1e-2 if settings.quick else SECONDS)
            shape = f"{size / 1e6:.3g} MB a thread"
            yield Row(GROUP, f"reading {place}", shape, threads, speed / 1e9, "GB/s")
    except ElmanError as error:
        yield Note(GROUP, f"not measured: {error}")


@functools.cache
def multiply_add_rate(threads: int) -> float:
    """Return the floating-point operations a second (a multiply-add is two), measured once.

    Raises:
        ElmanError: nothing can be compiled here.
    """
    program, vector = _program()
    half = ctypes.c_float(0.5)
    return _rate(
        threads,
        lambda turns, _: program.multiply_add(turns, half, half),
        2.0 * CHAINS * vector / 4,
        SECONDS,
    )


@functools.cache
def dot_rate(threads: int) -> float | None:
    """Return the operations a second of bfloat16 dot products; None where no kernel uses them.

    Raises:
        ElmanError: nothing can be compiled here.
    """
    program, vector = _program()
    if not program.has_dots():
        return None
    ones, opposites = ctypes.c_int(ONES), ctypes.c_int(OPPOSITES)
    return _rate(
        threads,
        lambda turns, _: program.dot(turns, ones, opposites),
        4.0 * DOTS * vector / 4,
        SECONDS,
    )


def read_rate(threads: int, size: int, seconds: float = SECONDS) -> float:
    """Return the bytes read a second, where each thread reads `size` bytes again and again.

    Raises:
        ElmanError: nothing can be compiled here.
    """
    program, _ = _program()
    count = max(1, size // (4 * BLOCK)) * BLOCK
    held = [torch.ones(count) for _ in range(threads)]
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in held]
    return _rate(
        threads,
        lambda turns, me: program.read_all(pointers[me], ctypes.c_long(count), turns),
        4.0 * count,
        seconds,
    )


def least_seconds(operations: float, threads: int, half: bool = False) -> float | None:
    """Return the seconds that `operations` take at the full rate (`half`: of bfloat16), or None."""
    try:
        rate = dot_rate(threads) if half else None
        return operations / (rate or multiply_add_rate(threads))
    except ElmanError:
        return None


def _program() -> tuple[ctypes.CDLL, int]:
    target = best_target()
    if target is None:
        raise build.NoCompiler("no kernels are made for this processor.")
    values = {"VECTOR": target.vector, "CHAINS": CHAINS, "DOTS": DOTS}
    source = "".join(f"#define {name} {value}\n" for name, value in values.items()) + SOURCE
    return build.load(source, target.flags), target.vector


def _rate(
    threads: int, work: Callable[[ctypes.c_long, int], object], each: float, seconds: float
) -> float:
    """Return the units of work a second, `each` a turn, on all threads: the best of a few tries."""
    turns = 1
    while (took := _shortest(1, work, turns)) < seconds / 10:
        turns *= 4
    turns = max(1, int(turns * seconds / took))
    return each * turns * threads / _shortest(threads, work, turns)


def _shortest(threads: int, work: Callable[[ctypes.c_long, int], object], turns: int) -> float:
    return min(_together(threads, work, turns) for _ in range(TRIES))


def _together(threads: int, work: Callable[[ctypes.c_long, int], object], turns: int) -> float:
    """Time `turns` of work on every thread; C runs outside the interpreter's lock."""
    workers = [
        threading.Thread(target=work, args=(ctypes.c_long(turns), me)) for me in range(threads)
    ]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def _places(quick: bool) -> dict[str, int]:
    """Return the bytes that a thread reads to find them in each cache, and in memory."""
    caches = _caches()
    second, third = caches.get(2, 1 << 20), caches.get(3, 0)
    places = {"L2": second // 2}
    if third > 4 * second:
        places["L3"] = max(2 * second, third // 8)
    places["memory"] = min(max(4 * third, 64 << 20), 256 << 20)
    return {name: min(size, 1 << 20) for name, size in places.items()} if quick else places


def _caches() -> dict[int, int]:
    """Return the bytes of each data cache by level, from Linux; empty on other systems."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind = (index / "type").read_text().strip()
            level = int((index / "level").read_text())
            size = (index / "size").read_text().strip()
        except OSError:
            continue
        if kind != "Instruction":
            found[level] = int(size.rstrip("KM")) * (1 << (20 if size.endswith("M") else 10))
    return found


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

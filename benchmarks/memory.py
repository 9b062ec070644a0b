"""Peak memory beside the size of the file: it must not grow with it.

    python benchmarks/memory.py                    # 200 MB and 2,000 MB: some ten minutes
    python benchmarks/memory.py --megabytes 50 200

For each size a text and a CSV are generated (and removed again). In a process of its own, so
that its peak is its own, each of these is done: fit a vocabulary on the text, write the token
file and stream one epoch of it; go through the CSV in Arrow batches, adding up a column. What is
printed is the peak resident memory, and how much of it came after Elman was imported.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

JOBS = ("characters", "words", "csv")


def text_file(path: Path, megabytes: int) -> None:
    """Words with the frequencies of a language (Zipf), and numbers that come once each."""
    rng = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    lengths = rng.integers(1, 10, 50_000)
    words = np.array(["".join(letters[rng.integers(0, 26, n)]) for n in lengths])
    chance = 1 / np.arange(1, len(words) + 1)
    chance /= chance.sum()
    once = 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * 1_000_000:
            lines = words[rng.choice(len(words), size=(20_000, 12), p=chance)]
            file.writelines(" ".join(line) + f" {once + n}\n" for n, line in enumerate(lines))
            once += len(lines)


def csv_file(path: Path, megabytes: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("id,x,y,z,label,note\n")
        row = 0
        while file.tell() < megabytes * 1_000_000:
            cells = rng.normal(size=(20_000, 3)).tolist()
            file.writelines(
                f'{row + n},{x},{y:.3f},{z:.3f},{"abc"[n % 3]},"note {n}, in words"\n'
                for n, (x, y, z) in enumerate(cells)
            )
            row += len(cells)


def peak() -> float:
    """The largest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def work(job: str, path: Path) -> dict[str, float]:
    import pyarrow.compute as pc

    from elman.data import CarriedBatches, Vocabulary, lines, scan, tokens

    before, began, seen = peak(), time.perf_counter(), 0
    if job == "csv":
        for batch in scan(path):
            pc.sum(batch["x"])
            seen += batch.num_rows
    else:
        vocabulary = Vocabulary.fit(lines(path), job, size=20_000)  # type: ignore[arg-type]
        encoded = path.with_suffix(f".{job}.npy")
        tokens.write(lines(path), vocabulary, encoded)
        for window in CarriedBatches(tokens.open(encoded), batch_size=64, k1=256):
            seen += window.targets.numel()
        encoded.unlink()
    seconds = time.perf_counter() - began
    return {"peak": peak(), "grown": peak() - before, "seconds": seconds, "seen": seen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--folder", type=Path, help="where the files are made; default: temporary")
    parser.add_argument("--work", nargs=2, metavar=("JOB", "FILE"), help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.work:
        print(json.dumps(work(told.work[0], Path(told.work[1]))))
        return
    print(
        f"{'':12}{'file MB':>9}{'peak MB':>9}{'grown MB':>10}{'seconds':>9}{'tokens or rows':>16}"
    )
    with tempfile.TemporaryDirectory(dir=told.folder) as folder:
        for job in told.jobs:
            for megabytes in told.megabytes:
                path = Path(folder) / ("t.csv" if job == "csv" else "t.txt")
                (csv_file if job == "csv" else text_file)(path, megabytes)
                command = [sys.executable, __file__, "--work", job, str(path)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                result = json.loads(done.stdout)
                print(
                    f"{job:12}{path.stat().st_size / 1e6:9,.0f}{result['peak']:9.0f}"
                    f"{result['grown']:10.0f}{result['seconds']:9.1f}{result['seen']:16,.0f}",
                    flush=True,
                )
                path.unlink()


if __name__ == "__main__":
    main()

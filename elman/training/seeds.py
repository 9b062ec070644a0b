"""All random generators of a run are seeded, saved and restored by one function each."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed(value: int, *, deterministic: bool = False) -> None:
    """Seed Python's, numpy's and torch's generators (every device).

    Args:
        deterministic: also refuse operations whose result depends on the order of threads.

    >>> seed(3); first = torch.rand(1)
    >>> seed(3); bool(torch.rand(1) == first)
    True
    """
    random.seed(value)
    np.random.seed(value % 2**32)  # noqa: NPY002  (a user's code may draw from it)
    torch.manual_seed(value)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def capture() -> dict[str, Any]:
    """Return the state of every generator, as tensors and plain values."""
    version, internal, spare = random.getstate()
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    state = {
        "python": (version, _tensor(internal), spare),
        "numpy": (
            _tensor(numpy["state"]["key"]),
            int(numpy["state"]["pos"]),
            int(numpy["has_gauss"]),
            float(numpy["gauss"]),
        ),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore(state: dict[str, Any]) -> None:
    """Put every generator back to where `capture` found it."""
    version, internal, spare = state["python"]
    random.setstate((version, tuple(internal.tolist()), spare))
    words, position, has_gauss, gauss = state["numpy"]
    words = words.numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _tensor(words: object) -> torch.Tensor:
    return torch.from_numpy(np.array(words, dtype=np.int64))


@contextmanager
def kept() -> Iterator[None]:
    """Put the generators back afterwards, so that validation does not change the run."""
    before = capture()
    try:
        yield
    finally:
        restore(before)

"""How alike recordings are, and what can be said of each without a network.

Everything here takes log-mel frames `(T, mels)` before they are normalised. Nearest neighbours
under dynamic time warping on cepstra were how isolated words were recognised before statistical
models (Sakoe & Chiba 1978, Davis & Mermelstein 1980); mean and deviation of the bands show how
much the timbre alone tells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from elman.modalities import likeness
from elman.modalities.audio_features import mfcc
from elman.modalities.likeness import Array, Places, Series, dtw_distances

#: Cepstral coefficients 1 to 12 of a step are compared; coefficient 0 is the loudness.
_COEFFICIENTS = 12
#: Training recordings that are compared at once, padded to the longest of them.
_AT_ONCE = 64


def mel_statistics(frames: Sequence[Series]) -> Array:
    """Return the mean and the standard deviation of each band over time, `(n, 2 mels)`.

    >>> mel_statistics([np.array([[1.0, 4.0], [3.0, 4.0]])]).tolist()
    [[2.0, 4.0, 1.0, 0.0]]
    """
    exact = (np.asarray(one, np.float64) for one in frames)
    return np.stack([np.concatenate([one.mean(0), one.std(0)]) for one in exact])


def nearest_by_cepstra(train: Sequence[Series], others: Sequence[Series]) -> Places | None:
    """Return the place of the training recording that is nearest by time warping on `cepstra`.

    None where it would take over a minute.

    >>> rng = np.random.default_rng(0)
    >>> first, second = rng.normal(size=(8, 40)), rng.normal(size=(8, 40))
    >>> nearest_by_cepstra([first, second], [np.repeat(second, 2, 0)]).tolist()
    [1]
    """
    if _cost(train, others) > likeness.MOST_CELLS:
        return None
    known, asked = cepstra(train), cepstra(others)
    distances = np.empty((len(asked), len(known)))
    for group in _groups(train):
        distances[:, group] = dtw_distances(asked, [known[place] for place in group])
    return np.asarray(distances.argmin(1), dtype=np.int64)


def cepstra(frames: Sequence[Series]) -> list[Array]:
    """Return cepstral coefficients 1 to 12 of each recording, `(ceil(T / 2), 12)`.

    Frames are averaged in pairs first, at a quarter of the cost; an odd last one stays. The mean
    of a coefficient is kept: in short words it tells more of the word than of the microphone.

    >>> [one.shape for one in cepstra([np.zeros((5, 40)), np.zeros((1, 40))])]
    [(3, 12), (1, 12)]
    """
    found = []
    for one in frames:
        begins = np.arange(0, len(one), 2)
        sizes = np.diff(np.append(begins, len(one)))
        pairs = np.add.reduceat(np.asarray(one, np.float64), begins) / sizes[:, None]
        found.append(mfcc(torch.from_numpy(pairs), _COEFFICIENTS + 1).numpy()[:, 1:])
    return found


def _groups(frames: Sequence[Series]) -> list[Places]:
    """Places of recordings of like length: a single long one would pad all others to its own."""
    order = np.argsort([len(one) for one in frames], kind="stable")
    return [order[begin : begin + _AT_ONCE] for begin in range(0, len(order), _AT_ONCE)]


def _cost(train: Sequence[Series], others: Sequence[Series]) -> float:
    """Cells of all warping tables, padding included, times the channels."""
    padded = sum(len(group) * -(-len(train[group[-1]]) // 2) for group in _groups(train))
    return float(sum(-(-len(one) // 2) for one in others)) * padded * _COEFFICIENTS

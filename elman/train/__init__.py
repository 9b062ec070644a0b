"""Training through time: `fit`, and what it is made of.

The loop knows nothing of tasks. It is handed an `Objective` (a model, its loss, its
validation), a sampler whose position can be saved, and `Settings`.
"""

from elman.train.bptt import TruncatedBPTT
from elman.train.interrupt import Interrupted
from elman.train.loop import Fit, fit
from elman.train.objective import Objective, Sampler
from elman.train.progress import Display, Tick
from elman.train.seeds import seed
from elman.train.settings import Settings

__all__ = [
    "Display",
    "Fit",
    "Interrupted",
    "Objective",
    "Sampler",
    "Settings",
    "Tick",
    "TruncatedBPTT",
    "fit",
    "seed",
]

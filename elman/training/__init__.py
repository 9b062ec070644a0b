"""This room trains a model through time: `fit`, and the parts that it is made of.

The loop knows nothing of tasks. It is handed an `Objective` (a model, its loss, its
validation), a sampler whose position can be saved, and `Settings`.
"""

from elman.training.bptt import TruncatedBPTT
from elman.training.interrupt import Interrupted
from elman.training.loop import Fit, fit
from elman.training.objective import Objective, Sampler
from elman.training.progress import Display, Tick
from elman.training.seeds import seed
from elman.training.settings import Settings

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

"""The doctor measures what a recurrent model remembers and where its gradients go.

`elman.doctor(model, batch)` is the whole of it. Its parts work on a `Passage`, what went through
one layer: `observe` makes them from any model.
"""

from elman.inspect.attribution import attribute, integrated_gradients, occlusion
from elman.inspect.concepts import follow
from elman.inspect.diagnosis import Finding, diagnose
from elman.inspect.dynamics import fixed_points, jacobians, lyapunov, orthogonality, spectrum
from elman.inspect.examination import Examination, doctor
from elman.inspect.facts import RunFacts
from elman.inspect.flow import flows, weight_share
from elman.inspect.memory import by_intervention, horizon
from elman.inspect.passage import Passage, observe
from elman.inspect.remedies import Remedy
from elman.inspect.watching import Watch, watch

__all__ = [
    "Examination",
    "Finding",
    "Passage",
    "Remedy",
    "RunFacts",
    "Watch",
    "attribute",
    "by_intervention",
    "diagnose",
    "doctor",
    "fixed_points",
    "flows",
    "follow",
    "horizon",
    "integrated_gradients",
    "jacobians",
    "lyapunov",
    "observe",
    "occlusion",
    "orthogonality",
    "spectrum",
    "watch",
    "weight_share",
]

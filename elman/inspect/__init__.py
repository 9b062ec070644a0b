"""The doctor: what a recurrent model remembers, where its gradients go, and what cures it."""

from elman.inspect.passage import Passage, observe

__all__ = ["Passage", "observe"]

"""The worth of a prediction: metrics, intervals, paired comparisons and baselines."""

from elman.scoring.evaluation import Evaluation

__all__ = ["Evaluation"]

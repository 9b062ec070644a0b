"""Thresholds of health that training's light watch and `elman doctor` share.

A rule that both apply has its threshold here, with the reason beside it, so that a run is not
healthy by the one and ill by the other. A threshold of one of them alone stands beside its rule.
"""

REACH = 0.01
"""Share of its largest influence, or of its largest gradient, under which what a layer has read
counts as forgotten. The lag at which that happens is the memory horizon."""

LEAST_MEMORY = 4
"""Steps of memory that every recurrent network has: a shorter memory is too short, and a shorter
need is no need."""

CLOSED, OPEN = 0.05, 0.95
"""Below and above which a gate is saturated: at 0.95 the slope of a sigmoid is about a fifth of its
largest, and little gradient passes."""

SATURATED = 0.9
"""Share of gate values that are saturated above which gates are stuck. In trained networks that
learn well about half of them are."""

CLIPPED = 0.9
"""Share of steps clipped from which clipping always acts: the threshold is then a second, hidden
learning rate."""

SPIKES = 0.02
"""Share of steps whose loss spikes from which something is wrong: one batch in fifty then spoils
what the others did. A few spikes in a thousand steps belong to the data."""

"""Settings of all compiled kernels of this process: assign to them."""

flush_denormal = True
"""If true, numbers too small for full precision count as zero inside kernels. Backward passes over
long sequences are full of them, and each costs a hundred ordinary operations."""

training_memory: int | None = None
"""Bytes that one call may keep for its backward pass; beyond them it keeps states now and then and
computes the rest again. A quarter of the machine's memory if None."""

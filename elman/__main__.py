"""`python -m elman` is the `elman` command (as `torchrun -m elman` needs it)."""

from elman.cli import main

main()

"""Tasks that learn from examples, each a sequence with its answer."""

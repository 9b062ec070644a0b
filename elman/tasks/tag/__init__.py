"""Tagging: a label for each step of a sequence."""

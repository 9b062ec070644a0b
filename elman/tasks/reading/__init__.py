"""Sequences and their answers out of a user's files: which column is which, and how it is read.

A sequence is one cell, the numbers of one row, or the rows of a long table that share a group. The
answer is a column (a label, a number, tags). What was found in the training file is kept
(`layout.Layout`), so that every later file is read in the same way.
"""

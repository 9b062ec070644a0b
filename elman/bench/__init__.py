"""How fast recurrences are here, each beside its peer in the same process.

`elman.bench.session.run` measures and returns a `Report`: groups of rows. A row is one kind of work
at one size, with the ratio of the times, its spread and its goal.
"""

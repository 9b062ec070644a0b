"""Runs: the folder of a run, the way from files to a judged run, its report, the loaded model."""

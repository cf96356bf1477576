"""The report's and the paper's experiments: one file each, `python -m experiments.NAME`."""

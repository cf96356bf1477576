"""Ablations of the paper and the report, one command each: ``python -m experiments.NAME``."""

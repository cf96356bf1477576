"""Searching for settings with Keras Tuner: sweeps, their trials and their results."""

"""Trains a run from its configuration to its results; has callbacks for any `fit`."""

"""Training: a run from its configuration to its results, and callbacks for any `fit`."""

"""Training: optimisers, callbacks, and a run from its configuration to its results."""

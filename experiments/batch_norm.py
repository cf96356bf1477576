"""The paper's Table 3: BatchNorm in the two heads."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

VARIANTS = [
    common.Variant("hidden and projector output (default)", {}, "68.1"),
    common.Variant("hidden layers only", {"model": {"batch_norm": "hidden"}}, "67.4"),
    common.Variant("all, predictor output too", {"model": {"batch_norm": "all"}}, "unstable"),
    # The paper warms up this row, and no other.
    common.Variant(
        "none",
        {"model": {"batch_norm": "none"}, "training": {"warmup_epochs": 1}},
        "34.6",
    ),
]


if __name__ == "__main__":
    options.run_command(lambda argv: common.compare(__doc__, "batch_norm", VARIANTS, argv))

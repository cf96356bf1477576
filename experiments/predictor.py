"""The paper's Table 1: what becomes of SimSiam without a trained predictor."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

VARIANTS = [
    common.Variant("rate not decayed (default)", {}, "68.1"),
    common.Variant("rate decayed", {"training": {"predictor_decay": True}}, "67.7"),
    common.Variant("fixed random predictor", {"model": {"predictor": "fixed"}}, "1.5"),
    common.Variant("no predictor", {"model": {"predictor": "none"}}, "0.1"),
]


if __name__ == "__main__":
    options.run_command(lambda argv: common.compare(__doc__, "predictor", VARIANTS, argv))

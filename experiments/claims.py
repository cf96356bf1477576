"""The report's claims in their order, each with what measures it and what judges it.

A claim is reproduced, explained (what it describes is so, and we know why), contradicted or open.
Verdicts are computed from ``results/``: where results are missing, a claim is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from experiments import judging
from experiments.judging import Judged, Results


class Claim(NamedTuple):
    """A claim of the report.

    Attributes:
        quote: In the report's words.
        command: What measures it.
        judge: Compares it with the results.
    """

    quote: str
    command: str
    judge: Callable[[Results], Judged]


CLAIMS = (
    Claim(
        "Siamese neural networks is popular because of its ability to make predictions based on a "
        "small training dataset.",
        "python -m experiments.transfer",
        judging.few_labels,
    ),
    Claim(
        "Without the stop gradient operation the network would collapse. This would happen just "
        "after a few epochs. It did not collapse when running with the stop gradient operation.",
        "python -m experiments.stop_gradient",
        judging.stop_gradient_prevents_collapse,
    ),
    Claim(
        "Stop-gradient is the part of the algorithm that prevents collapsing. The other parts "
        "affected the accuracy, but did not show any tendency to affect collapsing.",
        "python -m experiments.predictor && python -m experiments.batch_size && "
        "python -m experiments.batch_norm",
        judging.other_parts_do_not_matter,
    ),
    Claim(
        "SimSiam has competitive results, where the accuracy of SimSiam is the highest when doing "
        "under 100 epochs of pre-training.",
        "python -m experiments.methods",
        judging.competitive_when_short,
    ),
    Claim(
        "Other frameworks showed a higher accuracy when training longer.",
        "python -m experiments.methods",
        judging.others_gain_more,
    ),
    Claim(
        "When comparing SimSiam to SimCLR, SimSiam had better results in all cases.",
        "python -m experiments.methods",
        judging.better_than_simclr,
    ),
    Claim(
        "After just one or two epochs, the training loss (w/o stop-gradient) will converge to "
        "about -0.87. This is different from the result in [1] where the training loss would "
        "converge to -1.0 which is the minimum possible loss value.",
        "python -m experiments.collapse_floor",
        judging.floor,
    ),
    Claim(
        "The loss with stop-gradient has some slight dissimilarities from the results in [1], but "
        "they both seem to be in the same area of around -0.7.",
        "python -m experiments.stop_gradient --dataset tiny_imagenet --data-dir "
        "tiny-imagenet-200.zip --epochs 50",
        judging.around_minus_07,
    ),
    Claim(
        "One potential reason for the dissimilarities in the results … is that the dataset in this "
        "implementation contains less data. The augmentations of the data is also random.",
        "python -m experiments.collapse_floor",
        judging.less_data,
    ),
    Claim(
        "The stop-grad is an absolute necessary component of the algorithm to stop collapsing.",
        "python -m experiments.stop_gradient && python -m experiments.methods",
        judging.necessary,
    ),
)
"""In the report's order."""

"""The sweeps about methods: the search for each one's settings, and the paper's comparisons.

Nothing here imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_simsiam import presets
from keras_simsiam.config import Run

RATES: dict[str, tuple[float, ...]] = {
    "simsiam": (1.0, 2.0),
    "fastsiam": (1.0, 2.0),
    "byol": (1.0, 2.0, 4.0),
    "simclr": (0.25, 1.0),
    "moco": (0.25, 1.0),
    "swav": (0.25, 1.0),
    "barlow_twins": (1 / 1024, 1 / 256, 1 / 64, 1 / 16, 1 / 8),
    "vicreg": (1 / 128, 1 / 64, 1 / 16, 1 / 8),
}
"""Learning rates that `search` tries for each method, as multiples of the run's own.

FastSiam is not a method of its own: it is SimSiam with four views, see `chosen`.

BYOL's are larger: its paper's loss sums the two directions, ours is their mean. Those of Barlow
Twins and VICReg are smaller, and reach far: their losses sum over the dimensions of z, Barlow
Twins' over all pairs of them."""

TEMPERATURES = (0.1, 0.2)
"""Temperatures that `search` tries for each method that has one."""

TABLE_4: dict[str, tuple[str, ...]] = {
    "simsiam": ("70.0", "70.8", "71.3"),
    "simclr": ("68.3", "69.8", "70.4"),
    "moco": ("69.9", "71.0", "72.2"),
    "byol": ("70.6", "73.2", "74.3"),
    "swav": ("69.1", "70.7", "71.8"),
}
"""The paper's accuracy of each method after 200, 400 and 800 epochs."""


def chosen(method: str, run: Run) -> dict:
    """The settings of a method: what its search has found for the run's dataset, if it was made."""
    if method == "fastsiam":
        return {**chosen("simsiam", run), "model.symmetry": "fastsiam"}
    found = presets.CHANGES.get(presets.default_preset(run.data.dataset), {}).get(method, {})
    own = {f"{section}.{k}": v for section, values in found.items() for k, v in values.items()}
    return {"model.method": method, **own}


def search(run: Run) -> dict:
    """Learning rate and temperature of each method."""
    rates = {m: [run.training.learning_rate * factor for factor in RATES[m]] for m in RATES}
    return {
        "method": {"choices": {method: chosen(method, run) for method in RATES}},
        **{
            f"rate of {method}": {
                "choices": {rate: {"training.learning_rate": rate} for rate in tried},
                "when": {"method": [method]},
            }
            for method, tried in rates.items()
        },
        "model.temperature": {
            "choices": list(TEMPERATURES),
            "when": {"method": ["simclr", "moco", "swav"]},
        },
    }


def methods(
    run: Run, lengths: Sequence[int] = (), found: Mapping[str, Mapping[str, Any]] | None = None
) -> dict:
    """Table 4: every method at several lengths of training.

    Args:
        run: The run that the sweep changes.
        lengths: Epochs of the trainings; by default a quarter and a half of the run's, and all.
        found: Settings by method, such as ``{"byol": {"training.learning_rate": 1.0}}``, in place
            of those that `chosen` has.
    """
    choices, paper = {}, {}
    for i, epochs in enumerate(lengths or [run.training.epochs // part for part in (4, 2, 1)]):
        for method in RATES:
            label = f"{method}, {epochs} epochs"
            settings = {**chosen(method, run), **(found or {}).get(method, {})}
            choices[label] = {**settings, "training.epochs": epochs}
            if method in TABLE_4 and not lengths:
                paper[label] = TABLE_4[method][i]
    return {"variant": {"choices": choices, "paper": paper}}


def relations(run: Run) -> dict:
    """Section 6.2: what SimSiam and the others have in common, one change at a time."""
    simclr, swav, byol = (chosen(method, run) for method in ("simclr", "swav", "byol"))
    predictor = {"model.predictor": "mlp"}
    return {
        "variant": {
            "choices": {
                "SimSiam": chosen("simsiam", run),
                "BYOL: SimSiam with a momentum target": byol,
                "BYOL without its target": {**byol, "model.target": "self"},
                "SimCLR": simclr,
                "SimCLR with predictor": {**simclr, **predictor},
                "SimCLR with predictor and stop-gradient": {
                    **simclr,
                    **predictor,
                    "model.stop_gradient": True,
                },
                "SwAV": swav,
                "SwAV with predictor": {**swav, **predictor},
                "SwAV without stop-gradient": {**swav, "model.stop_gradient": False},
            },
            "paper": {
                "SimSiam": "68.1",
                "BYOL: SimSiam with a momentum target": "66.5",
                "SimCLR": "66.5",
                "SimCLR with predictor": "66.4",
                "SimCLR with predictor and stop-gradient": "66.0",
                "SwAV": "66.5",
                "SwAV with predictor": "65.2",
                "SwAV without stop-gradient": "NaN",
            },
        }
    }


def targets(steps_per_epoch: int) -> dict:
    """Section 5.2: how often, and how, what makes the target is renewed."""
    return {
        "target": {
            "choices": {
                "self, every step": {},
                "every 10 steps": {"model.target": "every:10"},
                "every 100 steps": {"model.target": "every:100"},
                "every epoch": {"model.target": f"every:{steps_per_epoch}"},
                "momentum 0.99": {"model.target": "momentum:0.99"},
                "each image's average, no predictor": {
                    "model.target": "images:0.8",
                    "model.predictor": "none",
                },
            },
            "paper": {
                "self, every step": "68.1",
                "every 10 steps": "68.7",
                "every 100 steps": "68.9",
                "every epoch": "67.0",
                "each image's average, no predictor": "55.0",
            },
        }
    }


DIMENSION: dict = {
    "model.projector_dim": {
        "choices": [256, 512, 1024, 2048],
        "paper": {256: "65.3", 512: "67.2", 1024: "67.5", 2048: "68.1"},
    }
}
"""Appendix B: the dimension of z. The predictor's hidden width is a quarter of it, by default."""

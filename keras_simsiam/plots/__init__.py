"""Every figure the project draws."""

from keras_simsiam.plots.comparison import (
    accuracy_over,
    compared_bars,
    compared_curves,
    floor,
    measured,
    parallel_coordinates,
)
from keras_simsiam.plots.evaluation import confusion, neighbours, scatter
from keras_simsiam.plots.training import curves, spectrum, view_pairs

__all__ = [
    "accuracy_over",
    "compared_bars",
    "compared_curves",
    "confusion",
    "curves",
    "floor",
    "measured",
    "neighbours",
    "parallel_coordinates",
    "scatter",
    "spectrum",
    "view_pairs",
]

"""Figures, drawn with matplotlib. Metrics go by their keys in `keras_simsiam.metrics`."""

from keras_simsiam.plots.bars import compared_bars, measured
from keras_simsiam.plots.features import confusion, scatter, spectrum
from keras_simsiam.plots.images import neighbours, views
from keras_simsiam.plots.lines import compared_curves, curves, metric_over
from keras_simsiam.plots.sweep import parallel_coordinates

__all__ = [
    "compared_bars",
    "compared_curves",
    "confusion",
    "curves",
    "measured",
    "metric_over",
    "neighbours",
    "parallel_coordinates",
    "scatter",
    "spectrum",
    "views",
]

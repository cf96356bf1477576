"""Draws figures with matplotlib. Metrics are named by their keys in `keras_simsiam.metrics`."""

from keras_simsiam.plots.bars import compared_bars as compared_bars
from keras_simsiam.plots.bars import measured as measured
from keras_simsiam.plots.features import confusion as confusion
from keras_simsiam.plots.features import scatter as scatter
from keras_simsiam.plots.features import spectrum as spectrum
from keras_simsiam.plots.images import neighbors as neighbors
from keras_simsiam.plots.images import views as views
from keras_simsiam.plots.lines import compared_curves as compared_curves
from keras_simsiam.plots.lines import compared_over as compared_over
from keras_simsiam.plots.lines import curves as curves
from keras_simsiam.plots.lines import metric_over as metric_over
from keras_simsiam.plots.sheets import recall as recall
from keras_simsiam.plots.sheets import sheet as sheet
from keras_simsiam.plots.sweep import parallel_coordinates as parallel_coordinates

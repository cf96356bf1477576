"""How good features are: kNN and linear accuracy, and the features that they are taken of."""

from keras_simsiam.evaluation.features import (
    RAW_PIXELS_SIDE,
    augmented_features,
    extract,
    model_encoder,
    raw_pixels,
)
from keras_simsiam.evaluation.knn import KNNAccuracy, knn_accuracy, knn_predict
from keras_simsiam.evaluation.linear import LinearAccuracy, linear_accuracy, linear_predict

__all__ = [
    "RAW_PIXELS_SIDE",
    "KNNAccuracy",
    "LinearAccuracy",
    "augmented_features",
    "extract",
    "knn_accuracy",
    "knn_predict",
    "linear_accuracy",
    "linear_predict",
    "model_encoder",
    "raw_pixels",
]

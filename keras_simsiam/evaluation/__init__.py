"""Evaluates features: the encoder that makes them, and the accuracy of kNN and linear probes."""

from keras_simsiam.evaluation.encoder import (
    Encoder,
    preprocessing_of,
    raw_pixels,
    raw_pixels_of,
)
from keras_simsiam.evaluation.features import augmented_features, extract
from keras_simsiam.evaluation.knn import KNNAccuracy, knn_accuracy, knn_predict
from keras_simsiam.evaluation.linear import LinearAccuracy, linear_accuracy, linear_predict

__all__ = [
    "Encoder",
    "KNNAccuracy",
    "LinearAccuracy",
    "augmented_features",
    "extract",
    "knn_accuracy",
    "knn_predict",
    "linear_accuracy",
    "linear_predict",
    "preprocessing_of",
    "raw_pixels",
    "raw_pixels_of",
]

"""How good features are: kNN accuracy, and the features that it is taken of."""

from keras_simsiam.evaluation.features import RAW_PIXELS_SIDE, extract, model_encoder, raw_pixels
from keras_simsiam.evaluation.knn import KNNAccuracy, knn_accuracy, knn_predict

__all__ = [
    "RAW_PIXELS_SIDE",
    "KNNAccuracy",
    "extract",
    "knn_accuracy",
    "knn_predict",
    "model_encoder",
    "raw_pixels",
]

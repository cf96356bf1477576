"""Classifiers of images: a trained backbone with classes, learned from labels."""

from keras_simsiam.fine_tuning.classifier import Classifier as Classifier
from keras_simsiam.fine_tuning.exported import ExportedClassifier as ExportedClassifier
from keras_simsiam.fine_tuning.exported import load_classifier as load_classifier
from keras_simsiam.fine_tuning.exported import write_classifier as write_classifier
from keras_simsiam.fine_tuning.labeled import Labeled as Labeled
from keras_simsiam.fine_tuning.labeled import find_labeled as find_labeled
from keras_simsiam.fine_tuning.measuring import FineTuned as FineTuned
from keras_simsiam.fine_tuning.measuring import fine_tune as fine_tune
from keras_simsiam.fine_tuning.predicting import predict as predict
from keras_simsiam.fine_tuning_options import Learning as Learning

"""What one does with the features of one's images: find, compare, choose, label and draw them.

Features have the name of each image; `embed` makes them, and every other function takes them.
"""

from keras_simsiam.collection.duplicates import find_duplicates as find_duplicates
from keras_simsiam.collection.embedding import Embedded as Embedded
from keras_simsiam.collection.embedding import embed as embed
from keras_simsiam.collection.embedding import embed_to_file as embed_to_file
from keras_simsiam.collection.encoders import find_encoder as find_encoder
from keras_simsiam.collection.features import Features as Features
from keras_simsiam.collection.features import Origin as Origin
from keras_simsiam.collection.labeling import predict_labels as predict_labels
from keras_simsiam.collection.selection import farthest_first as farthest_first
from keras_simsiam.collection.selection import outliers as outliers
from keras_simsiam.collection.sources import Source as Source
from keras_simsiam.collection.sources import find_source as find_source

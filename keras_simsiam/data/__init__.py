"""Images to train and evaluate on, and the batches of views made from them.

`load` reads a dataset by name; `views` turns its images into batches of views. Wherever they are
stored, `as_images` gives images one interface, `Images`.
"""

from keras_simsiam.data.dataset import Dataset, load
from keras_simsiam.data.images import Images, ImagesLike
from keras_simsiam.data.in_files import ImageFiles
from keras_simsiam.data.in_memory import ImageArray, as_images
from keras_simsiam.data.in_records import ImageStream
from keras_simsiam.data.pipeline import views
from keras_simsiam.data.plan import Plan

__all__ = [
    "Dataset",
    "ImageArray",
    "ImageFiles",
    "ImageStream",
    "Images",
    "ImagesLike",
    "Plan",
    "as_images",
    "load",
    "views",
]

"""Images to train and evaluate on, and the batches of views made from them.

`load` reads a dataset by name; `views` turns its images into batches of views. `Images` is the
interface that images have wherever they are stored, and `as_images` gives it to an array.
"""

from keras_simsiam.data.dataset import Dataset as Dataset
from keras_simsiam.data.dataset import left_out as left_out
from keras_simsiam.data.dataset import load as load
from keras_simsiam.data.dataset import sizes as sizes
from keras_simsiam.data.images import Images as Images
from keras_simsiam.data.images import ImagesLike as ImagesLike
from keras_simsiam.data.in_files import ImageFiles as ImageFiles
from keras_simsiam.data.in_memory import ImageArray as ImageArray
from keras_simsiam.data.in_memory import as_images as as_images
from keras_simsiam.data.in_records import ImageRecords as ImageRecords
from keras_simsiam.data.measuring import fitted as fitted
from keras_simsiam.data.pipeline import views as views
from keras_simsiam.data.plan import Plan as Plan
from keras_simsiam.data.separate import SeparateImages as SeparateImages

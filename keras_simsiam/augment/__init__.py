"""Random views: an ordered list of operations, each with its own draw and its own pixels.

There are two separate stages. `draw` turns uniform random numbers, which depend only on
(seed, epoch, example, view), into explicit parameters; `apply` turns images and parameters into
views deterministically. So a view does not depend on its batch, and the same parameters give the
same pixels on the host and on an accelerator.

To add an operation, say one that inverts images, add

1. its settings to `keras_simsiam.augmentation.Augmentation`, here ``invert_probability``,
2. its place in `OPERATIONS` in ``augment/views.py``,
3. a module ``augment/invert.py``::

    class Invert(Operation):
        name = "invert"
        probability = "invert_probability"
        numbers: ClassVar = {"invert": 1}

        def draw(self, augmentation, numbers, height, width):
            return {"where": numbers["invert"][:, 0] < augmentation.invert_probability}

        def apply(self, augmentation, planes, parameters, size):
            return tf.where(parameters["where"][:, None, None, None], 1.0 - planes, planes)

Its random numbers are drawn under its own name, so the parameters of the other operations stay
as they were.
"""

from keras_simsiam.augment.operation import Operation as Operation
from keras_simsiam.augment.operation import Parameters as Parameters
from keras_simsiam.augment.views import OPERATIONS as OPERATIONS
from keras_simsiam.augment.views import apply as apply
from keras_simsiam.augment.views import crops as crops
from keras_simsiam.augment.views import draw as draw
from keras_simsiam.augment.views import make_views as make_views
from keras_simsiam.augment.views import native_makes as native_makes
from keras_simsiam.augment.views import proportions as proportions
from keras_simsiam.augment.views import uniforms as uniforms

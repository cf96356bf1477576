"""TensorFlow's threads for training on a few cores."""

from __future__ import annotations

import os

from keras_simsiam.environment import cores


def one_core_per_view() -> None:
    """Runs the passes of two views side by side, a core each, on two cores without a GPU.

    With both cores at work on one operation, a narrow network takes up to twice as long. The
    training command calls it; in your own script, call it before anything is computed. It has no
    effect after that, nor if the number of threads is set in TensorFlow or in the environment. With
    more than two cores, TensorFlow's defaults are kept, because nothing else was measured.
    """
    import tensorflow as tf

    threading = tf.config.threading
    set_before = (
        "TF_NUM_INTEROP_THREADS" in os.environ
        or "TF_NUM_INTRAOP_THREADS" in os.environ
        or threading.get_inter_op_parallelism_threads()
        or threading.get_intra_op_parallelism_threads()
    )
    if cores() != 2 or tf.config.list_physical_devices("GPU") or set_before:
        return
    try:
        threading.set_inter_op_parallelism_threads(2)
        threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow has computed something
        return

"""TensorFlow's threads for training, in processes where it has computed nothing yet."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os
import tensorflow as tf
from keras_simsiam.training import threads

os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[: int(os.environ["CORES"])]))
threads.one_core_per_view()
tf.zeros([])
get = tf.config.threading
print(get.get_inter_op_parallelism_threads(), get.get_intra_op_parallelism_threads())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({"CORES": "2"}, "2 1"),
        ({"CORES": "1"}, "0 0"),  # 0 is TensorFlow's default
        ({"CORES": "2", "TF_NUM_INTRAOP_THREADS": "2"}, "0 0"),
    ],
)
def test_two_cores_take_a_view_each_unless_the_user_has_set_threads(variables, threads):
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this needs two cores and Linux")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **variables}
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split("\n")[-2] == threads

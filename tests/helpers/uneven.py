"""Compares losses of a batch that leaves two devices unequal with those of one device.

Prints the largest difference of each loss, of its gradients and of z_std.
"""

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from keras_simsiam.models import barlow_twins, objectives, simclr, swav, vicreg  # noqa: E402

TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
Z = np.random.RandomState(0).standard_normal((7, 2, 4)).astype("f")  # four and three


def swapped_assignments(z1, z2):
    """SwAV's loss with z as scores."""
    codes = swav.sinkhorn(objectives.of_whole_batch(tf.stop_gradient(z1)))
    return swav.cross_entropy(tf.gather(codes, objectives.own_rows(z1)), z2, 0.1)


LOSSES = {
    "simclr": lambda z1, z2: simclr.nt_xent(z1, z2, z1, z2, 0.1),
    "barlow_twins": barlow_twins.barlow_twins_loss,
    "vicreg": vicreg.vicreg_loss,
    "swav": swapped_assignments,
}

for name, loss in LOSSES.items():

    def step(z, loss=loss):
        """This device's part of the loss, its gradients, and z_std."""
        with tf.GradientTape() as tape:
            tape.watch(z)
            z1, z2 = tf.unstack(z, axis=1)
            part = loss(z1, z2) * objectives.share(z) / objectives.replicas()
        return part, tape.gradient(part, z), objectives.z_std(z1)

    @tf.function
    def on_both(batches, step=step):
        """The sum of the parts, all gradients, and z_std."""
        part, gradient, std = TWO.run(step, args=(next(batches),))
        total = TWO.reduce("sum", part, axis=None)
        return total, TWO.gather(gradient, axis=0), TWO.reduce("mean", std, axis=None)

    dataset = tf.data.Dataset.from_tensor_slices(Z).batch(8)
    found = on_both(iter(TWO.experimental_distribute_dataset(dataset)))
    expected = tf.function(step)(tf.constant(Z))
    print(name, max(float(tf.reduce_max(abs(a - b))) for a, b in zip(found, expected, strict=True)))

"""On which devices a run trains: one, all of this machine, or those of several."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_simsiam.errors import InputError, check_choice

if TYPE_CHECKING:
    import tensorflow as tf

STRATEGIES = ("auto", "none", "mirrored", "multi_worker")


@dataclass
class Devices:
    """On what to train; it changes how fast a run is, and not what comes out."""

    strategy: str = "auto"
    """auto (mirrored where there are several GPUs or logical devices), none, mirrored (all GPUs of
    this machine, or all its logical devices) or multi_worker (the machines in TF_CONFIG, or of a
    Slurm job)."""
    logical_devices: int = 1
    """Split the CPU into so many devices, to try mirrored without GPUs."""
    data_service: str | None = None
    """Address of a tf.data service that makes the views on other machines, grpc://HOST:PORT."""

    def __post_init__(self):
        check_choice("strategy", self.strategy, STRATEGIES)
        if self.logical_devices < 1:
            raise InputError(f"logical_devices {self.logical_devices} is too small; the least is 1")

    def check_data_service(self) -> None:
        """Raises InputError where there is to be a tf.data service, and none answers."""
        from keras_simsiam.data import service

        if self.data_service is not None:
            service.check(self.data_service)


def make_strategy(devices: Devices) -> tf.distribute.Strategy:
    """The strategy; must be called before TensorFlow has done anything.

    Raises:
        InputError: If it cannot be had.
    """
    import tensorflow as tf

    if devices.logical_devices > 1:
        configuration = [tf.config.LogicalDeviceConfiguration()] * devices.logical_devices
        cpu = tf.config.list_physical_devices("CPU")[0]
        if tf.config.get_logical_device_configuration(cpu) != configuration:
            try:
                tf.config.set_logical_device_configuration(cpu, configuration)
            except RuntimeError as e:
                raise InputError(
                    f"logical_devices {devices.logical_devices} comes too late: TensorFlow is in "
                    "use already; ask for them first"
                ) from e
    if devices.strategy == "multi_worker":
        return _multi_worker()
    gpus = len(tf.config.list_physical_devices("GPU"))
    one = max(gpus, devices.logical_devices) < 2
    if devices.strategy == "none" or (devices.strategy == "auto" and one):
        return tf.distribute.get_strategy()
    if gpus:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices.logical_devices)])


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: the first of several, or the only one."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    # Without a task called "chief" the first worker is.
    return resolver.task_type == "chief" or (
        "chief" not in resolver.cluster_spec().as_dict() and not resolver.task_id
    )


def share_out(
    strategy: tf.distribute.Strategy, views: Callable[[tuple[int, int]], tf.data.Dataset]
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """The batches for `fit`, so that all devices together get those that one would.

    Args:
        strategy: On what to train.
        views: Makes the batches, or one part of each of several equal ones, given which and of how
            many.
    """
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return views((0, 1))  # Keras cuts each batch into as many pieces as there are devices

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batches = views((context.input_pipeline_id, context.num_input_pipelines))
        replicas = context.num_replicas_in_sync // context.num_input_pipelines
        if replicas == 1:
            return batches
        # Each element is for one device.
        size = tf.nest.flatten(batches.element_spec)[0].shape[0] // replicas
        return batches.rebatch(size, drop_remainder=True)

    return strategy.distribute_datasets_from_function(of_worker)


def _multi_worker() -> tf.distribute.Strategy:
    import tensorflow as tf

    try:
        resolver = None
        if "TF_CONFIG" in os.environ:
            json.loads(os.environ["TF_CONFIG"])["task"]["index"]
            resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        elif "SLURM_JOB_ID" in os.environ:
            resolver = _slurm_resolver()
    except (ValueError, KeyError, RuntimeError, OSError) as e:
        raise InputError(f"the cluster in TF_CONFIG or of Slurm cannot be read: {e!r}") from e
    if resolver is None:
        raise InputError(
            "strategy multi_worker needs TF_CONFIG, or a Slurm job: "
            'TF_CONFIG=\'{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", '
            '"index": 0}}\''
        )
    implementation = (
        tf.distribute.experimental.CommunicationImplementation.NCCL
        if tf.config.list_physical_devices("GPU")
        else tf.distribute.experimental.CommunicationImplementation.RING
    )
    return tf.distribute.MultiWorkerMirroredStrategy(
        resolver, tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    )


def _slurm_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The tasks of a Slurm job, with the GPUs of each where there are any."""
    import tensorflow as tf

    # Jobs that share a machine must not share ports.
    port_base = 10_000 + int(os.environ["SLURM_JOB_ID"]) % 20_000
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver
    if shutil.which("nvidia-smi"):
        return slurm(port_base=port_base)
    # TensorFlow's gives each task at least one GPU; here only its addresses are taken.
    tasks = slurm(port_base=port_base, gpus_per_node=1024, gpus_per_task=1, auto_set_gpu=False)
    cluster = tasks.cluster_spec()  # only then are the tasks known
    task_type, task_id = tasks.get_task_info()
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster,
        task_type=task_type,
        task_id=task_id,
        num_accelerators={"GPU": 0},
        rpc_layer="grpc",
    )

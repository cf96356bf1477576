"""The devices that a run trains on: one, all of this machine, or those of several machines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from keras_simsiam.errors import InputError, LostWorker, first_line, is_address, shown
from keras_simsiam.fields import Settings, setting
from keras_simsiam.training import threads

if TYPE_CHECKING:
    import tensorflow as tf

_CLUSTER = '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Devices(Settings):
    """Where a run is computed. This affects its speed only."""

    strategy: Literal["auto", "none", "mirrored", "multi_worker"] = "auto"
    """none for one device, mirrored for all GPUs of this machine (or all its logical devices),
    multi_worker for the machines in TF_CONFIG or of a Slurm job; auto is mirrored if there are
    several GPUs or logical devices, else none."""
    logical_devices: int = setting(1, at_least=1)
    """Split the CPU into this many devices, to try mirrored without GPUs."""
    data_service: str | None = None
    """Address of a tf.data service that makes the views on other machines: grpc://HOST:PORT."""

    def check_data_service(self) -> None:
        """Raises InputError if a tf.data service was asked for and does not answer."""
        from keras_simsiam.data import service

        if self.data_service is not None:
            service.check(self.data_service)


def make_strategy(devices: Devices) -> tf.distribute.Strategy:
    """TensorFlow's strategy for the devices.

    Logical devices must be created before TensorFlow has computed anything.

    Raises:
        InputError: If the devices are not available.
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
                    f"logical_devices must be set before TensorFlow is used; got "
                    f"{devices.logical_devices} afterwards"
                ) from e
    threads.one_core_per_view()
    if devices.strategy == "multi_worker":
        return multi_worker()
    gpus = len(tf.config.list_physical_devices("GPU"))
    one = max(gpus, devices.logical_devices) < 2
    if devices.strategy == "none" or (devices.strategy == "auto" and one):
        return tf.distribute.get_strategy()
    if gpus:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices.logical_devices)])


@contextlib.contextmanager
def lost_workers(remedy: str) -> Iterator[None]:
    """Replaces TensorFlow's errors for a lost worker by an error of one line.

    Args:
        remedy: What to do then.

    Raises:
        LostWorker: If another worker, or the data service, is lost.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.UnknownError as e:
        said = re.search(r"LostWorker: (.+)", str(e))  # raised in a dataset
        if said is None:
            raise
        raise LostWorker(said[1]) from e
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as e:
        raise LostWorker(f"another worker is gone; {remedy}") from e


@contextlib.contextmanager
def op_determinism(enabled: bool) -> Iterator[None]:
    """Makes TensorFlow's operations deterministic within the block, if `enabled`."""
    # The public API can only enable it.
    from tensorflow.python.framework import config

    if not enabled or config.is_op_determinism_enabled():
        yield
        return
    config.enable_op_determinism()
    try:
        yield
    finally:
        config.disable_op_determinism()


def share_out(
    strategy: tf.distribute.Strategy, views: Callable[[tuple[int, int]], tf.data.Dataset]
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """The batches for `fit`: all devices together train on the batches of a single device.

    Args:
        strategy: The devices.
        views: A function that makes the batches, given which part of each to make, and of how many
            equal parts; see ``part`` of `keras_simsiam.data.views`.
    """
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return views((0, 1))  # Keras splits each batch over the devices

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batches = views((context.input_pipeline_id, context.num_input_pipelines))
        replicas = context.num_replicas_in_sync // context.num_input_pipelines
        if replicas == 1:
            return batches
        # Each element goes to one device.
        size = tf.nest.flatten(batches.element_spec)[0].shape[0] // replicas
        return batches.rebatch(size, drop_remainder=True)

    return strategy.distribute_datasets_from_function(of_worker)


def multi_worker() -> tf.distribute.Strategy:
    """TensorFlow's strategy for the machines in TF_CONFIG or of a Slurm job.

    Raises:
        InputError: If they are not described, or this process cannot start as one of them.
    """
    import tensorflow as tf

    if "TF_CONFIG" in os.environ:
        _check_cluster(os.environ["TF_CONFIG"])
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    elif "SLURM_JOB_ID" in os.environ:
        try:
            resolver = _slurm_resolver()
        except (ValueError, KeyError, RuntimeError, OSError) as e:
            raise InputError(f"cannot read the cluster from Slurm: {e!r}") from e
    else:
        raise InputError(
            f"strategy multi_worker needs a Slurm job or TF_CONFIG, such as TF_CONFIG='{_CLUSTER}'"
        )
    implementation = (
        tf.distribute.experimental.CommunicationImplementation.NCCL
        if tf.config.list_physical_devices("GPU")
        else tf.distribute.experimental.CommunicationImplementation.RING
    )
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    except (tf.errors.OpError, RuntimeError) as e:
        address = resolver.cluster_spec().task_address(resolver.task_type, resolver.task_id)
        raise InputError(
            f"cannot start this worker at {address}, which must be a free port of this machine: "
            f"{first_line(e)}"
        ) from e


def _check_cluster(text: str) -> None:
    """Raises InputError unless TF_CONFIG is a cluster of workers, and a task in it."""

    def require(holds: bool, what: str, got: object) -> None:
        if not holds:
            raise InputError(f"TF_CONFIG must {what}, such as {_CLUSTER}; got {shown(got)}")

    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = text
    require(isinstance(config, dict), "be a JSON object", config)
    cluster, task = config.get("cluster"), config.get("task")
    require(isinstance(cluster, dict) and cluster != {}, 'have a "cluster" of workers', config)
    require(
        {*cluster} <= {"chief", "worker"},
        'have workers, and a chief at most, in "cluster"',
        cluster,
    )
    for addresses in cluster.values():
        require(isinstance(addresses, list) and addresses != [], "list addresses", addresses)
        for address in addresses:
            require(is_address(address), "have addresses HOST:PORT", address)
    every = [address for addresses in cluster.values() for address in addresses]
    require(len({*every}) == len(every), "have each address once", every)
    require(len(cluster.get("chief", [])) < 2, "have one chief at most", cluster)
    require(isinstance(task, dict), 'have a "task" with type and index', config)
    kind, index = task.get("type"), task.get("index")
    require(isinstance(kind, str) and kind in cluster, "have a task type of its cluster", task)
    number = int(index) if isinstance(index, str) and index.isdecimal() else index
    known = isinstance(number, int) and not isinstance(number, bool)
    require(known and 0 <= number < len(cluster[kind]), "have a task index of its cluster", task)


def _slurm_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The tasks of a Slurm job, with the GPUs of each, if any."""
    import tensorflow as tf

    # Jobs on the same machine must use different ports.
    port_base = 10_000 + int(os.environ["SLURM_JOB_ID"]) % 20_000
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver
    if shutil.which("nvidia-smi"):
        return slurm(port_base=port_base)
    # TensorFlow's resolver gives each task at least one GPU; only its addresses are used here.
    tasks = slurm(port_base=port_base, gpus_per_node=1024, gpus_per_task=1, auto_set_gpu=False)
    cluster = tasks.cluster_spec()  # must precede get_task_info
    task_type, task_id = tasks.get_task_info()
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster,
        task_type=task_type,
        task_id=task_id,
        num_accelerators={"GPU": 0},
        rpc_layer="grpc",
    )

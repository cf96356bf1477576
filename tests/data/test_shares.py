"""What each of several workers reads: its own images, whether in files or in records."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image

from keras_simsiam import Augmentation, data, views
from keras_simsiam.data.packing import Packing, pack
from keras_simsiam.data.plan import Plan

COUNT, BATCH = 64, 16
LIGHT = Augmentation(jitter_probability=0, blur_probability=0, grayscale_probability=0)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The same images in files of some 20 kB, and in four record files."""
    path = tmp_path_factory.mktemp("shares")
    for i in range(COUNT):
        write_image(path / f"in/{i:02}.png", i, (80 + i % 3, 80))
    pack(f"folder:{path}/in", str(path / "out"), Packing(shard_size=COUNT // 4))
    return {"files": f"folder:{path}/in", "records": f"records:{path}/out"}


def bytes_read():
    """Bytes that this process has read so far, all threads together."""
    return int(pathlib.Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


@pytest.mark.skipif(not pathlib.Path("/proc/self/io").exists(), reason="needs /proc")
@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("kind", ["files", "records"])
def test_each_worker_reads_the_bytes_of_its_own_images_only(kind, workers, datasets, monkeypatch):
    def one_epoch(plan):
        return tf.data.Dataset.range(0, COUNT // BATCH, plan.together)

    monkeypatch.setattr(Plan, "steps", one_epoch)  # a pipeline reads ahead as far as there is more
    images = data.as_images(data.load(datasets[kind]).images)
    paths = data.load(datasets["files"]).paths
    sizes = np.array([pathlib.Path(path).stat().st_size for path in paths])
    shares = []
    for worker in range(workers):
        batches = views(images, LIGHT, BATCH, 1, 8, part=(worker, workers), numbered=True)
        before = bytes_read()
        own = np.concatenate([batch["examples"] for batch in batches])
        read = bytes_read() - before
        assert sizes[own].sum() <= read < 1.05 * sizes[own].sum()
        shares.append(own)
    assert sorted(np.concatenate(shares)) == [*range(COUNT)]

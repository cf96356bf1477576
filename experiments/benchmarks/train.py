"""Training images per second: ``python -m experiments.benchmarks.train``.

All rivals train the same network at the same resolution, batch size and recipe on all cores: this
package, PyTorch eager and compiled, channels first and last, and lightly. Their input is

- ``batch``: one batch again and again, for the time of the step alone;
- ``memory``: decoded images, augmented by each rival's own means: torchvision on Pillow images as
  in the authors' repository, or albumentations, in a DataLoader with one worker per core;
- ``files``: the same from JPEG files, Tiny ImageNet's with ``--data-dir``.

Needs ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
from collections.abc import Callable, Sequence

from experiments.benchmarks import augment, common, jpeg, pytorch
from keras_simsiam import options

SETTINGS = {"narrow": (18, 16, 32), "standard": (18, 64, 64), "resnet50": (50, 64, 64)}
"""Depth and width of the ResNet (with the ImageNet stem), and side of the views in pixels."""
FILES = {"narrow": (18, 16, 64)}
"""The same for training from files."""
INPUTS = ("batch", "memory", "files")


def main(argv: list[str] | None = None) -> None:
    """Measures the rivals on each network and input."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--settings", nargs="+", default=["narrow", "standard"], choices=SETTINGS)
    parser.add_argument("--inputs", nargs="+", default=list(INPUTS), choices=INPUTS)
    parser.add_argument("--data-dir", help="Tiny ImageNet's zip or folder, for files")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        # Not what an earlier run compiled, and may not have finished writing.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/torch"
        for name in args.settings:
            for kind in args.inputs:
                setting = FILES.get(name) if kind == "files" else SETTINGS[name]
                if setting is not None:
                    files = jpeg.small(folder, args.data_dir) if kind == "files" else None
                    _measure(name, kind, setting, files, args)


def _measure(
    name: str, kind: str, setting: tuple, files: Sequence[str] | None, args: argparse.Namespace
) -> None:
    """Measures all rivals on one network and input, and reports them."""
    depth, width, size = setting
    in_memory = functools.partial(augment.images, str(size), 4096)
    images = in_memory if files is None else functools.partial(list, files)
    work = (images, depth, width, size, args.batch_size)
    makers = _steps() if kind == "batch" else _whole()
    sized = {rival: functools.partial(make, *work) for rival, make in makers.items()}
    kept = {rival: common.KEEPS_PAGES for rival in makers if rival.endswith(_KEPT)}
    with common.processes(sized, os.cpu_count(), args.seconds, kept) as rivals:
        found = common.paired(rivals, args.rounds)
    what = {"batch": "training step", "memory": "training", "files": "training from JPEG files"}
    title = f"{what[kind]}, ResNet-{depth} width {width}, {size}×{size}, batch {args.batch_size}"
    prefix = {"batch": "step", "memory": "train", "files": "train_files"}
    common.report(f"{prefix[kind]}_{name}", title, "images/s", found)


_KEPT = ", malloc keeping pages"


def _steps() -> dict[str, Callable]:
    """Rivals on one batch."""
    return {
        common.OURS: functools.partial(ours, True),
        "PyTorch": functools.partial(pytorch.step, False, False),
        "PyTorch, channels last": functools.partial(pytorch.step, True, False),
        "torch.compile": functools.partial(pytorch.step, False, True),
        "torch.compile, channels last": functools.partial(pytorch.step, True, True),
    }


def _whole() -> dict[str, Callable]:
    """Rivals with their input."""
    training = functools.partial(functools.partial, pytorch.training)
    authors, lightly = pytorch.authors_parts, pytorch.lightly_parts
    strongest = training(pytorch.with_albumentations, authors, True, True)
    return {
        common.OURS: functools.partial(ours, False),
        "PyTorch, authors' recipe": training(pytorch.with_pillow, authors, False, False),
        "lightly": training(pytorch.with_lightly, lightly, False, False),
        "torch.compile, channels last, albumentations": strongest,
        f"torch.compile, channels last, albumentations{_KEPT}": strongest,
    }


def ours(
    one_batch: bool,
    images: Callable[[], Sequence],
    depth: int,
    width: int,
    size: int,
    batch_size: int,
) -> Callable[[], int]:
    """The training step of `fit`; on the first batch only, or on all."""
    model, pairs = model_and_pairs(images, depth, width, size, batch_size)
    return steps_of(model, first_of(pairs) if one_batch else pairs, batch_size)


def model_and_pairs(
    images: Callable[[], Sequence], depth: int, width: int, size: int, batch_size: int
) -> tuple:
    """A compiled model, and the batches of views to train it on."""
    import keras_simsiam as ks
    from keras_simsiam.data import ImageFiles
    from keras_simsiam.training import threads

    threads.one_core_per_view()  # as the training command does
    found = images()
    held = ImageFiles(found) if isinstance(found[0], str) else found
    pairs = ks.views(held, ks.Augmentation(), batch_size, image_size=size)
    backbone = {18: ks.resnet18, 50: ks.resnet50}[depth](width=width)
    projector = ks.projector(backbone.output_shape[-1], pytorch.DIM)
    model = ks.SimSiam(backbone, projector, ks.predictor(pytorch.DIM))
    rate = pytorch.RATE
    model.compile(**ks.paper_optimizers(batch_size, steps=10_000, base_learning_rate=rate))
    return model, pairs


def first_of(pairs):
    """The first batch of a dataset again and again."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensors(next(iter(pairs))).repeat().prefetch(2)


def steps_of(model, pairs, batch_size: int) -> Callable[[], int]:
    """The training steps of `fit`, one at a time."""
    model.fit(pairs, steps_per_epoch=1, shuffle=False, verbose=0)
    batches = iter(pairs)

    def one() -> int:
        model.train_function(batches)["loss"].numpy()
        return batch_size

    return one


if __name__ == "__main__":
    options.run_command(main)

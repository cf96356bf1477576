"""Training images per second: ``python -m experiments.benchmarks.train``.

All rivals train the same network at the same resolution, batch size and recipe on all cores, from
decoded images in memory, augmentation included: this package, the authors' recipe in PyTorch
(torchvision's transforms on Pillow images, a DataLoader with one worker per core), and lightly.
Needs ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
from collections.abc import Callable, Iterator

from experiments.benchmarks import augment, common
from keras_simsiam import options

SETTINGS = {"narrow": (16, 32), "standard": (64, 64)}
"""Width of ResNet-18 (with the ImageNet stem), and side of the views in pixels."""
DIM = 512
RATE = 0.01


def main(argv: list[str] | None = None) -> None:
    """Measures the rivals on each network."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args(argv)
    makers = {"PyTorch, authors' recipe": authors, "keras-simsiam": ours, "lightly": lightly}
    cores = os.cpu_count()
    for name in args.settings:
        width, size = SETTINGS[name]
        work = (width, size, args.batch_size)
        sized = {rival: functools.partial(make, *work) for rival, make in makers.items()}
        with common.processes(sized, cores=cores, seconds=args.seconds) as rivals:
            found = common.paired(rivals, args.rounds)
        title = f"training, ResNet-18 width {width}, {size}×{size}, batch {args.batch_size}"
        common.report(f"train_{name}", title, "images/s", found)


def ours(width: int, size: int, batch_size: int) -> Callable[[], int]:
    """The training step of `fit`."""
    return steps_of(*model_and_pairs(width, size, batch_size), batch_size)


def model_and_pairs(width: int, size: int, batch_size: int) -> tuple:
    """A compiled model, and the batches of views to train it on."""
    import keras_simsiam as ks
    from keras_simsiam.training import threads

    threads.one_for_each_view()
    photos = augment.images(str(size), 4096)
    pairs = ks.views(photos, ks.Augmentation(), batch_size, image_size=size)
    model = ks.SimSiam(ks.resnet18(width=width), ks.projector(8 * width, DIM), ks.predictor(DIM))
    model.compile(**ks.paper_optimizers(batch_size, steps=10_000, base_learning_rate=RATE))
    return model, pairs


def steps_of(model, pairs, batch_size: int) -> Callable[[], int]:
    """The training steps of `fit`, one at a time."""
    model.fit(pairs, steps_per_epoch=1, shuffle=False, verbose=0)
    batches = iter(pairs)

    def one() -> int:
        model.train_function(batches)["loss"].numpy()
        return batch_size

    return one


def authors(width: int, size: int, batch_size: int) -> Callable[[], int]:
    """The heads and the loss of the authors' repository."""
    common.import_torchvision()
    from torch import nn

    def mlp(*dims: int) -> list[nn.Module]:
        layers = []
        for before, after in itertools.pairwise(dims):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
        return layers[:-1]

    features = 8 * width
    projector = nn.Sequential(*mlp(features, features, features, DIM))
    predictor = nn.Sequential(*mlp(DIM, DIM // 4), nn.ReLU(), nn.Linear(DIM // 4, DIM))
    criterion = nn.CosineSimilarity(dim=1)

    def loss(p1, p2, z1, z2):
        return -(criterion(p1, z2.detach()).mean() + criterion(p2, z1.detach()).mean()) / 2

    transform = augment.pillow_transform(size)
    return _steps(width, size, batch_size, transform, (projector, predictor), loss)


def lightly(width: int, size: int, batch_size: int) -> Callable[[], int]:
    """The heads, the loss and the transform of lightly."""
    common.import_torchvision()
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
    from lightly.transforms import SimSiamTransform

    projector = SimSiamProjectionHead(8 * width, 8 * width, DIM)
    predictor = SimSiamPredictionHead(DIM, DIM // 4, DIM)
    criterion = NegativeCosineSimilarity()

    def loss(p1, p2, z1, z2):
        return (criterion(p1, z2.detach()) + criterion(p2, z1.detach())) / 2

    transform = SimSiamTransform(input_size=size).transforms[0]
    return _steps(width, size, batch_size, transform, (projector, predictor), loss)


class Pairs:
    """A PyTorch dataset with two views of each image; `load` opens an item if given."""

    def __init__(self, photos: list, transform: Callable, load: Callable | None = None):
        self.photos, self.transform, self.load = photos, transform, load

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple:
        photo = self.photos[index]
        photo = photo if self.load is None else self.load(photo)
        return self.transform(photo), self.transform(photo)


def endless(
    photos: list, transform: Callable, batch_size: int, load: Callable | None = None
) -> Iterator:
    """Shuffled batches of `Pairs`, epoch after epoch, from one worker per core."""
    import torch

    loader = torch.utils.data.DataLoader(
        Pairs(photos, transform, load),
        batch_size,
        shuffle=True,
        num_workers=len(os.sched_getaffinity(0)),
        drop_last=True,
        persistent_workers=True,
        multiprocessing_context="fork",  # spawning fails in a process that was itself spawned
    )
    while True:
        yield from loader


def _steps(width, size, batch_size, transform, heads, loss) -> Callable[[], int]:
    """Training steps in PyTorch."""
    import torch
    from PIL import Image
    from torchvision.models.resnet import BasicBlock, ResNet

    backbone = ResNet(BasicBlock, [2, 2, 2, 2])
    # torchvision has no argument for the width of all layers.
    backbone.inplanes = width
    backbone.conv1 = torch.nn.Conv2d(3, width, 7, 2, 3, bias=False)
    backbone.bn1 = torch.nn.BatchNorm2d(width)
    for i in range(4):
        layer = backbone._make_layer(BasicBlock, width << i, 2, stride=1 if i == 0 else 2)
        setattr(backbone, f"layer{i + 1}", layer)
    backbone.fc = torch.nn.Identity()
    projector, predictor = heads
    parts = torch.nn.ModuleList([backbone, projector, predictor])
    optimizer = torch.optim.SGD(parts.parameters(), RATE, momentum=0.9, weight_decay=1e-4)
    photos = [Image.fromarray(image) for image in augment.images(str(size), 4096)]
    batches = endless(photos, transform, batch_size)

    def one() -> int:
        x1, x2 = next(batches)
        z1, z2 = projector(backbone(x1)), projector(backbone(x2))
        value = loss(predictor(z1), predictor(z2), z1, z2)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        value.item()
        return len(x1)

    return one


if __name__ == "__main__":
    options.run_command(main)

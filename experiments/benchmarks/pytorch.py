"""Rivals in PyTorch: their input from images or files, and their training step."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from experiments.benchmarks import augment, common

DIM = 512
RATE = 0.01
BLOCKS = {18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}
"""Blocks per stage by depth of the ResNet."""


def open_with_pillow(item: str | np.ndarray):
    """The Pillow image in a file, or of an array."""
    from PIL import Image

    return Image.open(item).convert("RGB") if isinstance(item, str) else Image.fromarray(item)


def open_with_opencv(item: str | np.ndarray) -> np.ndarray:
    """The image in a file, uint8 ``[H, W, 3]``; an array is returned as it is."""
    import cv2

    return cv2.imread(item, cv2.IMREAD_COLOR_RGB) if isinstance(item, str) else item


class Pairs:
    """A PyTorch dataset with two views of each image.

    Args:
        items: Files or uint8 arrays ``[H, W, 3]``.
        load: Makes of an item what the transform takes.
        transform: Makes a view.
    """

    def __init__(self, items: Sequence, load: Callable, transform: Callable):
        self.items, self.load, self.transform = items, load, transform

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple:
        image = self.load(self.items[index])
        return self.transform(image), self.transform(image)


def endless(pairs: Pairs, batch_size: int) -> Iterator:
    """Shuffled batches of pairs, epoch after epoch, from one worker per core."""
    import torch

    loader = torch.utils.data.DataLoader(
        pairs,
        batch_size,
        shuffle=True,
        num_workers=len(os.sched_getaffinity(0)),
        drop_last=True,
        persistent_workers=True,
        multiprocessing_context="fork",  # spawning fails in a process that was itself spawned
    )
    while True:
        yield from loader


def with_pillow(items: Sequence, size: int, batch_size: int) -> Iterator:
    """Batches as the authors make them, with torchvision's transforms of Pillow images."""
    common.import_torchvision()
    return endless(Pairs(items, open_with_pillow, augment.pillow_transform(size)), batch_size)


def with_albumentations(
    items: Sequence, size: int, batch_size: int, interpolation: str = "linear"
) -> Iterator:
    """Batches of albumentations, with OpenCV."""
    import torch

    transform = augment.albumentations_transform(size, interpolation)

    def view(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(transform(image).transpose(2, 0, 1).copy())

    return endless(Pairs(items, open_with_opencv, view), batch_size)


def with_lightly(items: Sequence, size: int, batch_size: int) -> Iterator:
    """Batches as lightly makes them."""
    common.import_torchvision()
    from lightly.transforms import SimSiamTransform

    transform = SimSiamTransform(input_size=size).transforms[0]
    return endless(Pairs(items, open_with_pillow, transform), batch_size)


def one_batch(items: Sequence, size: int, batch_size: int) -> Iterator:
    """The same batch again and again, for the time of the step alone."""
    return itertools.repeat(next(with_albumentations(items, size, batch_size)))


def resnet(depth: int, width: int):
    """A ResNet of torchvision without its last layer, and the number of its features.

    torchvision has no argument for the width of all layers.
    """
    common.import_torchvision()
    import torch
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    block, blocks = BasicBlock if depth == 18 else Bottleneck, BLOCKS[depth]
    backbone = ResNet(block, blocks)
    backbone.inplanes = width
    backbone.conv1 = torch.nn.Conv2d(3, width, 7, 2, 3, bias=False)
    backbone.bn1 = torch.nn.BatchNorm2d(width)
    for i, count in enumerate(blocks):
        layer = backbone._make_layer(block, width << i, count, stride=1 if i == 0 else 2)
        setattr(backbone, f"layer{i + 1}", layer)
    backbone.fc = torch.nn.Identity()
    return backbone, 8 * width * block.expansion


def authors_parts(features: int) -> tuple:
    """Projector, predictor and loss of the authors' repository."""
    from torch import nn

    def mlp(*dims: int) -> list[nn.Module]:
        layers = []
        for before, after in itertools.pairwise(dims):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
        return layers[:-1]

    projector = nn.Sequential(*mlp(features, features, features, DIM))
    predictor = nn.Sequential(*mlp(DIM, DIM // 4), nn.ReLU(), nn.Linear(DIM // 4, DIM))
    criterion = nn.CosineSimilarity(dim=1)

    def loss(p1, p2, z1, z2):
        return -(criterion(p1, z2.detach()).mean() + criterion(p2, z1.detach()).mean()) / 2

    return projector, predictor, loss


def lightly_parts(features: int) -> tuple:
    """Projector, predictor and loss of lightly."""
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead

    criterion = NegativeCosineSimilarity()

    def loss(p1, p2, z1, z2):
        return (criterion(p1, z2.detach()) + criterion(p2, z1.detach())) / 2

    projector = SimSiamProjectionHead(features, features, DIM)
    return projector, SimSiamPredictionHead(DIM, DIM // 4, DIM), loss


def training(
    batches: Callable[[Sequence, int, int], Iterator],
    parts: Callable[[int], tuple],
    channels_last: bool,
    compiled: bool,
    images: Callable[[], Sequence],
    depth: int,
    width: int,
    size: int,
    batch_size: int,
) -> Callable[[], int]:
    """Training steps.

    Args:
        batches: The input, such as `with_pillow`.
        parts: `authors_parts` or `lightly_parts`.
        channels_last: Whether images and weights are stored with the channels last.
        compiled: Whether ``torch.compile`` compiles the networks.
        images: Returns the files or the images to train on.
        depth: Of the ResNet.
        width: Of its first stage.
        size: Side of the views in pixels.
        batch_size: Images per step.
    """
    import torch

    backbone, features = resnet(depth, width)
    projector, predictor, loss = parts(features)
    encoder = torch.nn.Sequential(backbone, projector)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    networks = torch.nn.ModuleList([encoder, predictor]).to(memory_format=layout)
    optimizer = torch.optim.SGD(networks.parameters(), RATE, momentum=0.9, weight_decay=1e-4)

    def forward(x1, x2):
        z1, z2 = encoder(x1), encoder(x2)
        return loss(predictor(z1), predictor(z2), z1, z2)

    forward = torch.compile(forward) if compiled else forward
    made = batches(images(), size, batch_size)

    def one() -> int:
        x1, x2 = (view.contiguous(memory_format=layout) for view in next(made))
        value = forward(x1, x2)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        value.item()
        return len(x1)

    return one


step = functools.partial(training, one_batch, authors_parts)
"""Training steps on one batch; the next argument is ``channels_last``."""

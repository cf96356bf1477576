"""How PyTorch's checkpoints name their tensors, and the common names that they get here.

The common names are torchvision's for the backbone and those of an ``nn.Sequential`` for the heads,
such as ``backbone.layer1.0.conv1.weight``, ``projector.0.weight`` and ``predictor.3.bias``. Files
differ only in how their names begin.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from keras_simsiam.errors import InputError
from keras_simsiam.models import torch_files

_RENAMED = (
    (r"module\.", ""),  # DistributedDataParallel
    (r"(encoder_q|base_encoder)\.", "encoder."),  # MoCo v1 and v2; v3
    (r"online_encoder\.net\.", "backbone."),  # byol-pytorch
    (r"encoder\.fc\.(?=\d)", "projector."),  # the authors: the projector is the ResNet's fc
    (r"encoder\.", "backbone."),  # the authors, and older solo-learn
    (r"projection_head\.layers\.", "projector."),  # lightly
    (r"prediction_head\.layers\.", "predictor."),
    (r"projection_head\.(?=\d)", "projector."),  # SwAV
    (r"(?=conv1\.|bn1\.|layer\d\.|fc\.)", "backbone."),  # a ResNet alone
)
"""Beginnings of names in files, and what replaces them; all are tried, in this order."""

_CLASSIFIERS = ("backbone.fc.", "classifier.", "online_classifier.")
"""Names to leave out: the classes of a supervised network, or of a monitor of training."""


def common(found: dict[str, Any]) -> dict[str, Any]:
    """The tensors of a file by their common names.

    Args:
        found: The tensors by the names in the file.
    """
    weights = {}
    for name, array in found.items():
        for pattern, replacement in _RENAMED:
            name = re.sub(f"^{pattern}", replacement, name)
        if not name.endswith("num_batches_tracked"):
            weights[name] = array
    # lightly's backbone is the list of a ResNet's children: convolution, BatchNorm, four stages.
    numbers = sorted({int(m[1]) for n in weights if (m := re.match(r"backbone\.(\d+)\.", n))})
    if len(numbers) == 6:
        children = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
        names = dict(zip(map(str, numbers), children, strict=True))
        weights = {
            re.sub(r"^backbone\.(\d+)\.", lambda m: f"backbone.{names[m[1]]}.", name): array
            for name, array in weights.items()
        }
    return weights


def of_parts(tensors: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of backbone and heads, without biases that have no effect.

    Args:
        tensors: The tensors by their common names.

    Raises:
        InputError: If a bias does not fit the BatchNorm after it.
    """
    weights = {
        name: torch_files.to_array(name, tensor)
        for name, tensor in tensors.items()
        if name.startswith(("backbone.", "projector.", "predictor."))
        and not name.startswith(_CLASSIFIERS)
    }
    # A bias before BatchNorm only shifts the running mean, and our layers there have none.
    for name in [n for n in weights if re.match(r"(projector|predictor)\.\d+\.bias$", n)]:
        head, number, _ = name.split(".")
        mean = f"{head}.{int(number) + 1}.running_mean"
        if weights.get(f"{head}.{number}.weight", np.empty(0)).ndim == 2 and mean in weights:
            if weights[mean].shape != weights[name].shape:
                raise InputError(f"weights '{name}' and '{mean}' must have one shape")
            weights[mean] = weights[mean] - weights.pop(name)
    return weights

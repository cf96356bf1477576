"""Makes a SavedModel from PyTorch weights: ``python -m keras_simsiam.import_weights FILE``."""

from __future__ import annotations

import pathlib
import typing
from collections.abc import Sequence
from dataclasses import dataclass

from keras_simsiam import options
from keras_simsiam.augmentation import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.backbone_rules import ResNet
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting, switch
from keras_simsiam.files import claimed


@dataclass(frozen=True)
class Import(Settings):
    """How to convert the checkpoint."""

    backbone: str = setting("resnet50", choices=typing.get_args(ResNet))
    """The backbone; its stem and width, and the heads, are read from the checkpoint."""
    output: str | None = setting(None, alias="-o")
    """Folder of the SavedModel; by default saved_models/ and the checkpoint's name."""
    overwrite: bool = switch(False)
    """Replace an existing SavedModel."""
    image_size: int = setting(224, at_least=1)
    """Side in pixels of the images that the network was trained on."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of each channel, in [0, 1], with which those images were normalized."""
    std: tuple[float, float, float] = setting(IMAGENET_STD, above=0)
    """Standard deviation of each channel, in (0, 1]."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and imports; returns the exit code."""
    parser = options.Parser("import_weights", "Convert a PyTorch checkpoint to a SavedModel.")
    parser.usage = "python -m keras_simsiam.import_weights CHECKPOINT [options]"
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="a ResNet of torchvision, timm, SimSiam, MoCo, BYOL, SwAV, Barlow Twins, VICReg, "
        "DINO, lightly, solo-learn or mmselfsup, as .safetensors or as written by torch.save",
    )
    parser.add_arguments(Import, dest="what")
    parsed = parser.parse_args(argv)
    what: Import = parsed.what
    output = pathlib.Path(what.output or f"saved_models/{pathlib.Path(parsed.checkpoint).stem}")
    if output.exists() and not what.overwrite:
        raise InputError(f"'{output}' exists; choose another --output, or --overwrite")

    # Before anything is read, so that a folder that cannot be written to is reported at once.
    with claimed(output, beside=True):
        _import(parsed.checkpoint, output, what)
    return 0


def _import(checkpoint: str, output: pathlib.Path, what: Import) -> None:
    from keras_simsiam.export import export_encoder
    from keras_simsiam.models import pytorch
    from keras_simsiam.preprocessing import Preprocessing

    weights = pytorch.read_pytorch(checkpoint)
    model = pytorch.build(weights, what.backbone)
    export_encoder(model, output, Preprocessing(what.image_size, what.mean, what.std))
    print(
        f"{checkpoint}: {', '.join(pytorch.parts(model))}, {len(weights)} arrays\n"
        f"SavedModel  {output}\n"
        f"evaluate it with: python -m keras_simsiam.evaluate --saved-model {output}"
    )


if __name__ == "__main__":
    options.run_command(main)

"""Makes a SavedModel of PyTorch's weights: ``python -m keras_simsiam.import_weights FILE``."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

from simple_parsing import field, flag

from keras_simsiam import options
from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.errors import InputError


@dataclass
class Import:
    """What to make of the checkpoint."""

    backbone: str = "resnet50"
    """resnet18, resnet34 or resnet50; stem, width and heads are as in the checkpoint."""
    output: str | None = field(default=None, alias="-o")
    """Folder of the SavedModel to write; saved_models/ and the checkpoint's name if not given."""
    image_size: int = 224
    """Side in pixels of the images that the network was trained at."""
    overwrite: bool = flag(False, negative_prefix="--no-")
    """Replace a SavedModel that is there already."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of each channel with which its images were normalised, in [0, 1]."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation of each channel."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and imports; gives the exit code."""
    parser = options.Parser("import_weights", "Make a SavedModel of a PyTorch checkpoint.")
    parser.usage = "python -m keras_simsiam.import_weights CHECKPOINT [options]"
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="of the authors, torchvision's ResNet, lightly's or solo-learn's SimSiam; "
        ".safetensors or what torch.save wrote",
    )
    parser.add_arguments(Import, dest="what")
    parsed = parser.parse_args(argv)
    what: Import = parsed.what
    output = pathlib.Path(what.output or f"saved_models/{pathlib.Path(parsed.checkpoint).stem}")
    if output.exists() and not what.overwrite:
        raise InputError(f"'{output}' exists already; give another -o, or --overwrite")
    if what.image_size < 1:
        raise InputError(f"image_size {what.image_size} is not a positive number of pixels")

    from keras_simsiam.export import export_encoder
    from keras_simsiam.models import pytorch

    weights = pytorch.read_pytorch(parsed.checkpoint)
    model = pytorch.build(weights, what.backbone)
    export_encoder(model, output, what.image_size, what.mean, what.std)
    print(
        f"{parsed.checkpoint}: {', '.join(pytorch.parts_of(weights))}, {len(weights)} arrays\n"
        f"SavedModel  {output}\n"
        f"python -m keras_simsiam.evaluate --saved-model {output} evaluates it"
    )
    return 0


if __name__ == "__main__":
    options.run_command(main)

"""Where a run starts: its backbone's own normalization, and weights that are not random."""

from __future__ import annotations

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError, shown
from keras_simsiam.models import backbones, pytorch
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.models.parts import input_channels
from keras_simsiam.training import transfer


def with_own_normalization(run: Run) -> Run:
    """The run with the mean and std that its backbone was made for, if that says them.

    Raises:
        InputError: If others were asked for.
    """
    own, a = backbones.own_normalization(run.model.backbone), run.augmentation
    if own is None or own == (a.mean, a.std):
        return run
    for name, needed in own._asdict().items():
        given = getattr(a, name)
        if given not in (needed, getattr(type(a), name)):
            raise InputError(
                f"{name} must be that of {run.model.backbone}, "
                f"{' '.join(f'{v:.6g}' for v in needed)}; got {shown(given)}"
            )
    return run.replace(augmentation=own._asdict())


def load_weights(run: Run, model: JointEmbedding, size: int) -> str | None:
    """Loads the weights that a run starts from, if they are not random, and says what they are.

    Args:
        run: The run.
        model: Its model, with random weights.
        size: Side of its views in pixels.

    Raises:
        InputError: If they cannot be read, or do not fit.
    """
    channels = input_channels(model.backbone)
    m, source = run.model, run.model.start_from
    if source is not None and source.endswith(".h5"):
        m, source = m.replace(start_from=None, backbone_weights=source), None
    if source is not None:
        loaded = transfer.take(source, run, model)
    elif m.pytorch_weights is not None:
        loaded = _load_pytorch(m.pytorch_weights, model)
    elif (network := backbones.pretrained(m, size, channels)) is not None:
        model.backbone.set_weights(network.get_weights())
        loaded = f"backbone from {m.backbone_weights or m.backbone}"
    else:
        return None
    if model.targets is not None:
        model.targets.renew(model.backbone, model.projector)
    return loaded


def _load_pytorch(path: str, model: JointEmbedding) -> str:
    weights = pytorch.read_pytorch(path)
    whole = pytorch.is_whole(weights, model)
    pytorch.assign(model if whole else model.backbone, weights, path)
    return f"{'all parts' if whole else 'backbone'} from {path}"

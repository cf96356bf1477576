"""How a run resumes: from its latest intact checkpoint, if network and images are the same."""

from __future__ import annotations

import json
import pathlib
import warnings
from collections.abc import Iterator

import keras

from keras_simsiam import _compat
from keras_simsiam.errors import InputError, first_line
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.training import checkpoint_file
from keras_simsiam.training.callbacks import not_finite


def intact(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, dict]]:
    """Yields the intact checkpoints, latest first, and the state in each.

    Damaged checkpoints are skipped with a warning that names them.
    """
    for path in sorted(folder.glob("step-*.keras"), reverse=True):
        try:
            state = checkpoint_file.read(path)
        except (OSError, checkpoint_file.Damaged) as e:
            warnings.warn(f"checkpoint '{path}' is damaged: {e}", stacklevel=2)
        else:
            yield path, state


def check_begun_with(folder: pathlib.Path, dataset: str, fingerprints: dict[str, str]) -> None:
    """Raises InputError if the latest checkpoint is of other images.

    Args:
        folder: Folder of the checkpoints.
        dataset: Description of the run's images.
        fingerprints: Digests of the images, which must equal those in the checkpoint.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `restore` warns of those that are damaged
        path, state = next(intact(folder), (None, {}))
    if path is not None:
        check_images(state, dataset, fingerprints, f"cannot resume from '{path}'")


def restore(
    folder: pathlib.Path, built: JointEmbedding
) -> tuple[pathlib.Path, JointEmbedding, dict]:
    """Loads the latest checkpoint.

    Args:
        folder: Folder of the checkpoints.
        built: The run's model, whose networks the checkpoint must have.

    Returns:
        The checkpoint's path, its model, and its state.

    Raises:
        InputError: If there is no intact checkpoint, or it belongs to another run.
    """
    for path, state in intact(folder):
        written_by = state.get("keras", keras.__version__)
        if written_by.split(".")[0] != keras.__version__.split(".")[0]:
            raise InputError(
                f"cannot resume from '{path}': Keras was {written_by}, now {keras.__version__}, "
                "which cannot read the checkpoint"
            )
        model = load(path, built)
        check_fits(model, built, path)
        weight = not_finite(model)
        if weight is None:
            return path, model, {"best": _best_of_earlier_version(folder), **state}
        warnings.warn(
            f"checkpoint '{path}' is not used: its weight {weight} is not finite", stacklevel=2
        )
    raise none_left(folder)


def check_images(info: dict, dataset: str, fingerprints: dict[str, str], refusal: str) -> None:
    """Raises InputError if a run's images are not those with which it began.

    Args:
        info: What was saved: ``fingerprints``, or ``dataset`` by earlier versions.
        dataset: Description of the images.
        fingerprints: Digests of the images.
        refusal: The beginning of the message.
    """
    before = info.get("fingerprints")
    if before is None:
        was = info.get("dataset", dataset)
        if was != dataset:
            raise InputError(f"{refusal}: dataset was {was}, now {dataset}")
        return
    for name in {**before, **fingerprints}:
        was, now = (images.get(name, "none") for images in (before, fingerprints))
        if was != now:
            raise InputError(
                f"{refusal}: the images differ from those with which it began: {name} were {was}, "
                f"now {now}"
            )


def none_left(folder: pathlib.Path) -> InputError:
    """The error for a folder without a usable checkpoint."""
    count = len([*folder.glob("step-*.keras")])
    if not count:
        return InputError(f"there is no checkpoint in '{folder}'")
    return InputError(f"none of the {count} checkpoints in '{folder}' is intact")


def load(path: pathlib.Path, built: JointEmbedding) -> JointEmbedding:
    """Loads the model of a checkpoint.

    Args:
        path: The checkpoint, which must be intact.
        built: The run's model, for its preprocessing, which checkpoints of earlier versions lack.

    Raises:
        InputError: If this version cannot read the checkpoint.
    """
    try:
        model = keras.models.load_model(path)
    except Exception as e:  # any part of Keras may raise its own error
        raise InputError(f"cannot read checkpoint '{path}': {first_line(e)}") from e
    model.preprocessing = built.preprocessing
    return model


def check_fits(loaded: JointEmbedding, built: JointEmbedding, path: pathlib.Path) -> None:
    """Raises InputError if the networks of a checkpoint are not those of the run."""
    before, now = (
        [
            f"{_compat.path_of(w)} {list(w.shape)}"
            for part in model.parts.values()
            for w in part.weights
        ]
        for model in (loaded, built)
    )
    if before == now:
        return
    differing = ((a, b) for a, b in zip(before, now, strict=False) if a != b)
    was, is_ = next(differing, (f"{len(before)} weights", f"{len(now)} weights"))
    raise InputError(f"cannot resume from '{path}': the network had {was}, now {is_}")


def _best_of_earlier_version(folder: pathlib.Path) -> dict | None:
    """The accuracy and step of ``best.keras``, which earlier versions wrote to ``best.json``."""
    try:
        best = json.loads((folder / "best.json").read_text())
        return {"knn_top1": best["knn_top1"], "step": int(best["from"][5:-6])}
    except (OSError, ValueError, KeyError):
        return None

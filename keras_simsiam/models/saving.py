"""How a model of several networks is written to a ``.keras`` file, and read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import keras

from keras_simsiam import _compat
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.view_rules import SmallViews


class SavedWithParts(_compat.Model):
    """A model that is saved with its networks, its preprocessing and both of its optimizers."""

    parts: Any
    settings: ClassVar[tuple[str, ...]]
    augmentation: Augmentation | Sequence[Augmentation] | None
    image_size: Any
    small_views: SmallViews | None
    preprocessing: Preprocessing | None
    _assumed: Preprocessing | None
    predictor_optimizer: keras.optimizers.Optimizer | None
    accumulate: int

    def get_config(self) -> dict:
        """The arguments that make this model again, its networks included."""
        parts = {k: keras.saving.serialize_keras_object(v) for k, v in self.parts.items()}
        known = None if self.preprocessing is self._assumed else self.preprocessing
        augmentations = [dataclasses.asdict(a) for a in each_of(self.augmentation)]
        return {
            **parts,
            **{name: getattr(self, name) for name in self.settings},
            "augmentation": augmentations if len(augmentations) != 1 else augmentations[0],
            "image_size": self.image_size,
            "small_views": self.small_views and dataclasses.asdict(self.small_views),
            "preprocessing": known.get_config() if known else None,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        """Makes the model again from `get_config`."""
        config = dict(config)
        # Older files lack it. One that was assumed is assumed again, of the image size.
        preprocessing = config.pop("preprocessing", None)
        for name, value in config.items():
            if isinstance(value, dict) and "class_name" in value:
                config[name] = keras.saving.deserialize_keras_object(value)
        augmentation = config["augmentation"]
        if isinstance(augmentation, dict):
            config["augmentation"] = Augmentation(**augmentation)
        else:
            config["augmentation"] = [Augmentation(**a) for a in augmentation or ()] or None
        small_views = config.pop("small_views", None)  # older files, and other methods, lack it
        if small_views is not None:
            config["small_views"] = SmallViews(**small_views)
        model = cls(**config)
        if preprocessing is not None:
            model.preprocessing, model._assumed = Preprocessing(**preprocessing), None
        return model

    def get_compile_config(self) -> dict | None:
        """The optimizers, saved next to the weights; None before `compile`."""
        if getattr(self, "optimizer", None) is None:
            return None
        optimizers = {"optimizer": self.optimizer, "predictor_optimizer": self.predictor_optimizer}
        return {
            **{k: keras.saving.serialize_keras_object(v) for k, v in optimizers.items()},
            "jit_compile": self.jit_compile,
            "accumulate": self.accumulate,
        }

    def compile_from_config(self, config: dict) -> None:
        """Sets the saved optimizers."""
        self.compile(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


def each_of(augmentation: Augmentation | Sequence[Augmentation] | None) -> Sequence[Augmentation]:
    """The augmentations: none, one, or one per view."""
    if augmentation is None:
        return ()
    return (augmentation,) if isinstance(augmentation, Augmentation) else augmentation

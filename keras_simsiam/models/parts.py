"""The networks of a method: what each takes and gives, and whether they fit one another."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import tensorflow as tf

from keras_simsiam.errors import InputError, first_line, shown


def output_dim(network: keras.Model, name: str = "backbone", image_size: int | None = None) -> int:
    """Dimension of a network's output, such as a backbone's features.

    Args:
        network: A functional model, or a subclassed one, which is called on a symbolic input.
        name: Its name in messages.
        image_size: Side of a backbone's images, if it is known.

    Raises:
        InputError: If its output is not one vector per image, or not known.
    """
    shape = getattr(network, "output_shape", None)
    if shape is None:
        shape = network(keras.Input(_built_on(network, name, image_size))).shape
    shape = tuple(shape) if isinstance(shape, tf.TensorShape) else shape
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None:
        raise InputError(f"the {name}'s output must have shape (None, D); got {shape}")
    return shape[1]


def _built_on(network: keras.Model, name: str, image_size: int | None) -> tuple:
    """The shape of one input of a subclassed network."""
    shape = (network.get_build_config() or {}).get("input_shape")
    if isinstance(shape, tuple | list | tf.TensorShape):
        return tuple(shape)[1:]
    if name == "backbone" and image_size is not None:
        return (image_size, image_size, 3)
    raise InputError(
        f"the {name} must be built, such as by calling it on an array; got {network.name}, "
        "which does not know its input's shape"
    )


def check_parts(parts: dict[str, keras.Model], image_size: int | None = None) -> None:
    """Raises InputError unless each network takes what the one before it gives."""
    for name in ("backbone", "projector"):
        if name not in parts:
            raise InputError(
                f"parts must have a {name}; got {', '.join(map(str, parts)) or 'none'}"
            )
    for name, part in parts.items():
        if not isinstance(part, keras.Model):
            raise InputError(f"{name} must be a keras.Model; got {shown(part)}")
    taken = _input_shape(parts["backbone"])
    if taken is not None and len(taken) != 4:
        raise InputError(f"the backbone's input must have shape (None, H, W, C); got {taken}")
    dim = output_dim(parts["backbone"], image_size=image_size)
    for name in ("projector", "predictor"):
        if name in parts:
            taken = _input_shape(parts[name])
            if taken is not None and taken[1:] not in ((dim,), (None,)):
                raise InputError(
                    f"the {name}'s input must have shape (None, {dim}), like the output "
                    f"that it is given; got {taken}"
                )
            previous, dim = dim, output_dim(parts[name], name)
    if "predictor" in parts and dim != previous:
        raise InputError(
            f"the predictor's output must have shape (None, {previous}), that of z; "
            f"got (None, {dim})"
        )
    first = {id(part): name for name, part in reversed(parts.items())}
    for name, part in parts.items():
        if first[id(part)] != name:
            raise InputError(f"{name} must be a network of its own; got the {first[id(part)]}")


def check_takes(backbone: keras.Model, size: int, dim: int) -> None:
    """Raises InputError unless a backbone gives features of small views, too.

    Args:
        backbone: A backbone.
        size: Side of the small views in pixels.
        dim: Dimension of its features of large ones.
    """
    taken = _input_shape(backbone)
    shape = (None, size, size, input_channels(backbone))
    found, why = None, f"its input must have shape {taken}"
    if taken is None or all(side in (size, None) for side in taken[1:3]):
        try:
            found = tuple(backbone.compute_output_shape(shape))
            why = f"its output would have shape {found}"
        except Exception as e:  # Keras raises whatever its layers raise
            why = first_line(e)
    if found != (None, dim):
        raise InputError(
            f"the backbone must take small views of {size}×{size} pixels, too; "
            f"got {backbone.name}: {why}"
        )


def renewed(network: keras.Model) -> keras.Model:
    """A network of the same layers with initial weights of its own."""
    copy = type(network).from_config(network.get_config())
    if not copy.built:
        copy.build_from_config(network.get_build_config())
    return copy


def layers_of(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """A layer and all those within it, each once."""
    return iter(layer._flatten_layers())


def input_channels(backbone: keras.Model) -> int:
    """Channels of the images that a backbone takes; 3 if it does not say."""
    taken = _input_shape(backbone)
    return (taken and taken[-1]) or 3


def _input_shape(network: keras.Model) -> tuple | None:
    """The shape of a network's only input; None if it does not say."""
    shape = getattr(network, "input_shape", None)
    return shape if isinstance(shape, tuple) and not isinstance(shape[0], tuple) else None

"""Makes views from images: the list of operations, their random numbers, and their application.

The distributions are those of torchvision's transforms, which the authors used (paper, Section 4
and Appendix D).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import tensorflow as tf

from keras_simsiam.arrays import check_images
from keras_simsiam.augment import crop, native
from keras_simsiam.augment.blur import Blur
from keras_simsiam.augment.color_jitter import ColorJitter
from keras_simsiam.augment.crop import Crop, crop_image
from keras_simsiam.augment.erase import Erase
from keras_simsiam.augment.grayscale import Grayscale
from keras_simsiam.augment.operation import Operation, Parameters
from keras_simsiam.augment.planes import normalize, to_images, to_planes
from keras_simsiam.augment.solarize import Solarize
from keras_simsiam.augment.turn import Turn
from keras_simsiam.augment.vertical_flip import VerticalFlip
from keras_simsiam.augmentation import Augmentation, each_view
from keras_simsiam.errors import InputError, shown
from keras_simsiam.view_rules import SmallViews

_CROP = Crop()
_COLORS: tuple[Operation, ...] = (ColorJitter(), Grayscale(), Blur())
_FIRST_BLOCK = (_CROP, *_COLORS)
"""The operations that share one block of random numbers, in this order. Changing it would change
the views of every seed. Any other operation draws its own block, under its name."""

OPERATIONS = (_CROP, VerticalFlip(), Turn(), *_COLORS, Solarize(), Erase())
"""The operations in the order in which they are applied. The crop must be first, because images of
many sizes are cropped before they are batched."""


def uniforms(
    seed: int,
    epochs: tf.Tensor,
    examples: tf.Tensor,
    augmentations: Sequence[Augmentation],
    use_native: bool = False,
) -> tf.Tensor:
    """Draws random numbers for the views of each example; they depend on the arguments only.

    Args:
        seed: The run's seed, 0 ≤ seed < 2**31.
        epochs: int64 ``[B]``.
        examples: int64 ``[B]``, numbers of the examples in the dataset.
        augmentations: One per view; the numbers of a view do not depend on those of later views.
        use_native: Whether `keras_simsiam.native` may draw them; they are the same.

    Returns:
        float32 ``[views, B, n]`` in [0, 1): view, example, number. n depends on the operations
        that can occur.
    """

    def width(*operations: Operation) -> int:
        return sum(sum(operation.numbers.values()) for operation in operations)

    def block(key: tf.Tensor, *operations: Operation) -> tf.Tensor:
        shape = [len(augmentations), width(*operations)]
        return tf.random.stateless_uniform(shape, key, alg="philox")

    def of_example(key: tf.Tensor) -> tf.Tensor:
        blocks = [block(key, *_FIRST_BLOCK)]
        for operation in _own_blocks(augmentations):
            number = tf.constant(zlib.crc32(operation.name.encode()), tf.int64)
            own_key = tf.random.experimental.stateless_fold_in(key, number, alg="philox")
            blocks.append(block(own_key, operation))
        return tf.concat(blocks, axis=1)

    keys = tf.stack([epochs + (seed << 32), examples], axis=1)
    if use_native and native.knows([]) and not _own_blocks(augmentations):
        return native.uniforms(keys, len(augmentations), width(*_FIRST_BLOCK))
    numbers = tf.map_fn(of_example, keys, fn_output_signature=tf.float32)
    return tf.transpose(numbers, [1, 0, 2])


def draw(
    augmentations: Sequence[Augmentation],
    numbers: tf.Tensor,
    height: tf.Tensor | float | None = None,
    width: tf.Tensor | float | None = None,
) -> tuple[Parameters, ...]:
    """Turns uniform numbers into the parameters of the views of each image.

    Args:
        augmentations: The distributions, one per view.
        numbers: float32 ``[views, B, n]``, from `uniforms` with the same augmentations.
        height: Height of the source images in pixels, a number or float32 ``[B]``; None if they
            are crops already.
        width: Their width.

    Returns:
        For each view, ``{operation: {parameter: tensor [B, ...]}}`` of the operations that can
        occur.
    """
    return tuple(
        {
            operation.name: operation.draw(a, split[operation.name], height, width)
            for operation in OPERATIONS
            if operation.occurs(a)
        }
        for a, split in zip(augmentations, _split(numbers, augmentations), strict=True)
    )


def apply(
    augmentation: Augmentation, images: tf.Tensor, parameters: Parameters, size: int
) -> tf.Tensor:
    """Makes one view of each image.

    Args:
        augmentation: The distributions, for their limits, and the normalization.
        images: uint8 ``[B, H, W, C]``; crops of `size` pixels a side if the parameters were drawn
            for crops.
        parameters: What to do to each image, from `draw`.
        size: Side of the views in pixels.

    Returns:
        float32 ``[B, size, size, C]``, normalized.
    """
    planes = to_planes(images)
    for operation in OPERATIONS:
        if operation.name in parameters:
            planes = operation.apply(augmentation, planes, parameters[operation.name], size)
    return to_images(normalize(planes, augmentation.mean, augmentation.std))


def make_views(
    augmentation: Augmentation | Sequence[Augmentation],
    batch: dict,
    size: int,
    at_once: int | None = None,
    small_views: SmallViews | None = None,
    use_native: bool = False,
) -> tuple[tf.Tensor, ...]:
    """Makes all views of a batch, on whatever device this runs.

    Args:
        augmentation: One for all views, or one per view.
        batch: ``parameters``, those of each view from `draw`, and either ``images``, the uint8
            images that all views are made from, or ``crops``, one batch of crops per view.
        size: Side of the views in pixels.
        at_once: The most images to process at once; all if None. A CPU is fastest with as many
            as fit into its cache.
        small_views: The last views of the batch, if these are small; `augmentation` and `size` are
            those of the others.
        use_native: Whether `keras_simsiam.native` may make them, on the CPU and not inside XLA.

    Returns:
        x1, x2 and so on, float32 ``[B, size, size, C]``.

    Raises:
        InputError: If the batch is not such a batch, or its images are not uint8.
    """
    if not isinstance(batch, Mapping) or "parameters" not in batch:
        raise InputError(
            "batch must be a batch of views(..., augment_on='device'), with images and parameters; "
            f"got {shown(batch)}"
        )
    parameters = batch["parameters"]
    large = len(parameters) - (small_views.count if small_views else 0)
    augmentations, sizes = each_view(augmentation, large, size, small_views)
    sources = batch.get("crops") or (batch["images"],) * len(parameters)
    for a, images in zip(augmentations, sources, strict=True):
        check_images(images, channels=a.channels)
    if use_native and native_makes(augmentations):
        each = zip(augmentations, sources, parameters, sizes, strict=True)
        return tuple(native.apply(*of_view) for of_view in each)
    count = sources[0].shape[0]
    parts = next(
        n for n in range(1, count + 1) if count % n == 0 and count <= n * (at_once or count)
    )

    def make(part: tuple[tuple, tuple]) -> tuple[tf.Tensor, ...]:
        return tuple(
            apply(a, images, drawn, size)
            for a, size, images, drawn in zip(augmentations, sizes, *part, strict=True)
        )

    if parts == 1:
        return make((sources, parameters))
    split = tf.nest.map_structure(
        lambda t: tf.reshape(t, [parts, count // parts, *t.shape[1:]]), (sources, parameters)
    )
    made = tf.map_fn(make, split, fn_output_signature=(tf.float32,) * len(parameters))
    return tuple(
        tf.reshape(view, [count, size, size, view.shape[-1]])
        for view, size in zip(made, sizes, strict=True)
    )


def native_makes(augmentations: Sequence[Augmentation]) -> bool:
    """Whether `keras_simsiam.native` is there and knows all operations that can occur.

    It knows images of three channels only.
    """
    if any(a.channels != 3 for a in augmentations):
        return False
    return native.knows([o.name for o in OPERATIONS if any(map(o.occurs, augmentations))])


def proportions(augmentations: Sequence[Augmentation], numbers: tf.Tensor) -> tf.Tensor:
    """What can be drawn of each view's crop before the size of the image is known.

    Args:
        augmentations: One per view.
        numbers: float32 ``[views, B, n]``, from `uniforms` with the same augmentations.

    Returns:
        float32 ``[B, views, 22]``, for `crops`.
    """
    each = zip(augmentations, _split(numbers, augmentations), strict=True)
    return tf.stack([crop.proportions(a, split[Crop.name]) for a, split in each], axis=1)


def crops(
    augmentations: Sequence[Augmentation],
    image: tf.Tensor,
    drawn: tf.Tensor,
    sizes: Sequence[int],
    use_native: bool = False,
) -> tuple[tf.Tensor, ...]:
    """Crops one image of any size for each of its views, without flips.

    Args:
        augmentations: One per view.
        image: uint8 ``[H, W, C]``.
        drawn: float32 ``[views, 22]``, those of the image from `proportions`.
        sizes: Side of each view in pixels.
        use_native: Whether `keras_simsiam.native` may make them; they are the same.

    Returns:
        For each view, uint8 ``[size, size, C]``.
    """
    if use_native and image.shape[2] == 3 and native.knows([Crop.name]):
        return native.crops(augmentations, image, drawn, sizes)
    height, width = (tf.cast(v, tf.float32) for v in tf.unstack(tf.shape(image)[:2]))
    boxes = {
        a: tf.cast(Crop().box(a, drawn, height, width), tf.int32)
        for a in dict.fromkeys(augmentations)
    }
    each = enumerate(zip(augmentations, sizes, strict=True))
    return tuple(crop_image(image, boxes[a][i], size) for i, (a, size) in each)


def _own_blocks(augmentations: Sequence[Augmentation]) -> list[Operation]:
    """The operations that can occur in any view and draw their own block of random numbers."""
    own = (o for o in OPERATIONS if o not in _FIRST_BLOCK)
    return [operation for operation in own if any(map(operation.occurs, augmentations))]


def _split(
    numbers: tf.Tensor, augmentations: Sequence[Augmentation]
) -> list[dict[str, dict[str, tf.Tensor]]]:
    """Splits ``[views, B, n]`` by view, operation and name, into ``[B, count]`` each."""
    operations = (*_FIRST_BLOCK, *_own_blocks(augmentations))
    counts = [count for operation in operations for count in operation.numbers.values()]

    def of_view(numbers: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        parts = iter(tf.split(numbers, counts, axis=1))
        return {o.name: {name: next(parts) for name in o.numbers} for o in operations}

    return [of_view(view) for view in tf.unstack(numbers)]

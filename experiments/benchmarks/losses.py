"""Losses and their gradients per second: ``python -m experiments.benchmarks.losses``.

The losses of Barlow Twins, VICReg and SimCLR on random projections, with their gradients by both
views, beside lightly's, eager and compiled. Needs ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable

from experiments.benchmarks import common
from keras_simsiam import options

LOSSES = {"barlow_twins": "BarlowTwinsLoss", "vicreg": "VICRegLoss", "simclr": "NTXentLoss"}
"""lightly's class of each method."""


def main(argv: list[str] | None = None) -> None:
    """Measures the rivals on each loss."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=LOSSES)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args(argv)
    makers = {
        common.OURS: ours,
        "lightly": functools.partial(lightly, False),
        "lightly, torch.compile": functools.partial(lightly, True),
    }
    for loss in args.losses:
        work = (loss, args.batch_size, args.dim)
        sized = {name: functools.partial(make, *work) for name, make in makers.items()}
        with common.processes(sized, args.cores, args.seconds) as rivals:
            found = common.paired(rivals, args.rounds)
        title = f"loss and gradients of {loss}, {args.batch_size} images, {args.dim} dimensions"
        common.report(f"loss_{loss}", title, "batches/s", found)


def ours(name: str, batch_size: int, dim: int) -> Callable[[], int]:
    """The package's loss, as the training step computes it."""
    import tensorflow as tf

    from keras_simsiam.models.barlow_twins import barlow_twins_loss
    from keras_simsiam.models.simclr import nt_xent
    from keras_simsiam.models.vicreg import vicreg_loss

    loss = {
        "barlow_twins": barlow_twins_loss,
        "vicreg": vicreg_loss,
        "simclr": lambda z1, z2: nt_xent(z1, z2, z1, z2, 0.1),
    }[name]
    views = tf.unstack(tf.random.stateless_normal([2, batch_size, dim], (0, 0)))

    @tf.function
    def gradients(*views):
        with tf.GradientTape() as tape:
            tape.watch(views)
            value = loss(*views)
        return tape.gradient(value, views)

    def one() -> int:
        gradients(*views)[0].numpy()
        return 1

    return one


def lightly(compiled: bool, name: str, batch_size: int, dim: int) -> Callable[[], int]:
    """lightly's loss."""
    common.import_torchvision()
    import torch
    from lightly import loss as losses

    loss = getattr(losses, LOSSES[name])()
    loss = torch.compile(loss) if compiled else loss
    views = torch.randn(2, batch_size, dim).unbind()
    views = [view.clone().requires_grad_() for view in views]

    def one() -> int:
        torch.autograd.grad(loss(*views), views)
        return 1

    return one


if __name__ == "__main__":
    options.run_command(main)

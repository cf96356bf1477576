"""Images per second on one and several devices: ``python -m experiments.benchmarks.scaling``.

Uses the GPUs of this machine, or logical devices on one CPU, which cannot be faster but show the
cost of distribution. The global batch size is the same for any number of devices.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from experiments.benchmarks import common
from keras_simsiam import options, presets

WARM_UP = 5


def main(argv: list[str] | None = None) -> None:
    """Measures each number of devices in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        print(json.dumps({"rate": measure(args.one, args)}))
        return

    def in_process(devices: int) -> float:
        command = [sys.executable, "-m", "experiments.benchmarks.scaling", "--one", str(devices)]
        for name in ("batch_size", "width", "steps"):
            command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(run.stdout.splitlines()[-1])["rate"]

    rivals = {f"{n} device{'s' if n > 1 else ''}": lambda n=n: in_process(n) for n in args.devices}
    title = f"training, ResNet-18 width {args.width}, 32×32, batch {args.batch_size}"
    common.report("scaling", title, "images/s", common.paired(rivals, args.rounds))


def measure(count: int, args: argparse.Namespace) -> float:
    """Images per second on `count` devices."""
    import keras
    import tensorflow as tf

    from keras_simsiam import data
    from keras_simsiam.training.devices import Devices, make_strategy, share_out
    from keras_simsiam.training.inputs import load_inputs
    from keras_simsiam.training.prepare import build_model

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        tf.config.set_visible_devices(gpus[:count], "GPU")
    strategy = make_strategy(Devices("mirrored" if count > 1 else "none", 1 if gpus else count))
    settings = {"model": {"width": args.width}, "training": {"batch_size": args.batch_size}}
    run = presets.preset("photo_patches").replace(**settings)
    inputs = load_inputs(run)
    with strategy.scope():
        model = build_model(run, inputs)
    times = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: times.append(time.perf_counter())
    )
    model.fit(
        share_out(
            strategy,
            lambda part: data.views(
                inputs.images, run.augmentation, args.batch_size, 0, inputs.image_size, part=part
            ),
        ),
        steps_per_epoch=WARM_UP + args.steps,
        shuffle=False,
        verbose=0,
        callbacks=[clock],
    )
    return args.steps * args.batch_size / (times[-1] - times[WARM_UP - 1])


if __name__ == "__main__":
    options.run_command(main)

"""A callback of your own in a run: ``train --callback experiments.own_callback:make``."""

import json
import pathlib

import keras


class JSONLines(keras.callbacks.Callback):
    """Writes the metrics of each epoch as a line of JSON, to whatever reads them."""

    def __init__(self, path, settings):
        super().__init__()
        self.path = pathlib.Path(path)
        self.path.write_text(json.dumps(settings) + "\n")

    def on_epoch_end(self, epoch, logs=None):
        """Adds a line."""
        with self.path.open("a") as file:
            line = {"epoch": epoch + 1, **{name: float(v) for name, v in (logs or {}).items()}}
            print(json.dumps(line), file=file)


def make(run):
    """Called once before the training, with its settings."""
    return JSONLines("metrics.jsonl", run.to_dict()["training"])

"""A tiny SimSiam to save checkpoints of."""

import numpy as np

from helpers.backbones import tiny
from keras_simsiam import Augmentation, SimSiam, paper_optimizers, predictor, projector, views


def make(width=2, dim=16):
    model = SimSiam(tiny(width), projector(8 * width, dim, layers=2), predictor(dim))
    model.compile(**paper_optimizers(8, 100))
    return model


def fit(model, callbacks, epochs=1, steps=2):
    images = np.random.RandomState(0).randint(0, 256, (32, 8, 8, 3), np.uint8)
    return model.fit(
        views(images, Augmentation.preset("cifar"), 8),
        epochs=epochs,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )

"""Fine-tunes the backbone of a run, an ordinary Keras model, with a tenth of the labels."""

import pathlib
import sys

import keras

import keras_simsiam as ks

run = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "runs/photo_patches")
simsiam = keras.models.load_model(max(run.glob("checkpoints/step-*.keras")))
train, test = ks.load("photo_patches", "train"), ks.load("photo_patches", "test")
x, x_test = (simsiam.preprocessing(d.images).numpy() for d in (train, test))

model = keras.Sequential([simsiam.backbone, keras.layers.Dense(len(train.class_names))])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.02, momentum=0.9), loss, metrics=["accuracy"])
model.fit(x[::10], train.labels[::10], batch_size=32, epochs=20, verbose=2)
print(f"top-1 {model.evaluate(x_test, test.labels, verbose=0)[1]:.1%}")

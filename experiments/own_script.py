"""SimSiam in a script of one's own: load, two views, model, compile, fit, kNN, export."""

import keras

from keras_simsiam import (
    Augmentation, KNNMonitor, SimSiam, export_encoder, load, paper_optimizers, predictor,
    projector, resnet18, views,
)  # fmt: skip

BATCH, EPOCHS = 64, 5
keras.utils.set_random_seed(0)
train, test = load("photo_patches", "train"), load("photo_patches", "test")
steps = len(train.images) // BATCH

pairs = views(train.images, Augmentation.preset("cifar"), batch_size=BATCH, seed=0)

backbone = resnet18(width=16)  # any keras.Model that ends in a vector
model = SimSiam(backbone, projector(128, 512, layers=2), predictor(512))
model.compile(**paper_optimizers(BATCH, steps=EPOCHS * steps, base_learning_rate=0.5))

knn = KNNMonitor(train.images, train.labels, test.images, test.labels, every=1)
model.fit(pairs, epochs=EPOCHS, steps_per_epoch=steps, callbacks=[knn], shuffle=False)
print(f"kNN top-1 {knn.latest.top1:.1%}, top-5 {knn.latest.top5:.1%}")

export_encoder(model, "saved_models/own_script", image_size=32)

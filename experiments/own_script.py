"""SimSiam in your own script: load, two views, model, compile, fit, kNN, export."""

import keras

import keras_simsiam as ks

BATCH, EPOCHS = 64, 5
ks.one_core_per_view()  # faster on two cores
keras.utils.set_random_seed(0)
train, test = ks.load("photo_patches", "train"), ks.load("photo_patches", "test")
steps = len(train.images) // BATCH

pairs = ks.views(train.images, ks.Augmentation.preset("cifar"), batch_size=BATCH, seed=0)

backbone = ks.resnet18(width=16)  # any keras.Model that ends in a vector
model = ks.SimSiam(backbone, ks.projector(128, 512, layers=2), ks.predictor(512))
model.compile(**ks.paper_optimizers(BATCH, steps=EPOCHS * steps, base_learning_rate=0.5))

knn = ks.KNNMonitor(train.images, train.labels, test.images, test.labels, every=1)
model.fit(pairs, epochs=EPOCHS, steps_per_epoch=steps, callbacks=[knn], shuffle=False)
top1, top5 = knn.evaluate()
print(f"kNN top-1 {top1:.1%}, top-5 {top5:.1%}")

ks.export_encoder(model, "saved_models/own_script")

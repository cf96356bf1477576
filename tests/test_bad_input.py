"""Whatever a public callable is given that it cannot use ends in one line that says what it needs.

A row is what the message says and the call. What is accepted although it is of another type is at
the end.
"""

import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_simsiam as ks
from keras_simsiam import InputError, augment, evaluation, plots
from keras_simsiam.data import Dataset
from keras_simsiam.evaluation import probing
from keras_simsiam.evaluation.collapse import singular_values
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.probes import Probes

NAN, INF = math.nan, math.inf
FLOATS = np.zeros((8, 8, 8, 3), np.float32)
IMAGES = np.random.RandomState(0).randint(0, 256, (8, 8, 8, 3), np.uint8)
LABELS = np.arange(8) % 2
FEATURES = np.random.RandomState(0).rand(8, 4).astype("f")
PLAIN = ks.Augmentation.preset("none")


def pooled(*sides, dim=3):
    """A network from images to vectors."""
    layers = [keras.Input((*sides, 3)), keras.layers.GlobalAveragePooling2D()]
    return keras.Sequential([*layers, keras.layers.Dense(dim)])


@pytest.fixture(scope="module")
def t(tmp_path_factory):
    """Tiny networks, models and files that the rows share."""
    backbone = pooled(8, 8)
    heads = ks.projector(3, 4, layers=1), ks.predictor(4, layers=1)
    model = ks.SimSiam(backbone, *heads)
    model.compile("sgd")
    path = tmp_path_factory.mktemp("bad_input")
    (path / "file.txt").write_text("nothing")
    (path / "saved_model.pb").write_bytes(b"nothing")
    return types.SimpleNamespace(
        backbone=backbone,
        projector=heads[0],
        predictor=heads[1],
        model=model,
        encoder=evaluation.Encoder(lambda x: tf.cast(x[:, 0, 0], tf.float32), ks.Preprocessing(8)),
        path=path,
    )


NOT_IMAGES = {
    "float in [0, 1]": (FLOATS, r"float32 \[8, 8, 8, 3\]"),
    "float64": (FLOATS.astype("d"), r"float64 \[8, 8, 8, 3\]"),
    "int32": (IMAGES.astype("i"), r"int32 \[8, 8, 8, 3\]"),
    "uint16": (IMAGES.astype("H"), r"uint16 \[8, 8, 8, 3\]"),
    "bool": (IMAGES > 9, r"bool \[8, 8, 8, 3\]"),
    "object": (IMAGES.astype(object), r"object \[8, 8, 8, 3\]"),
    "one image": (IMAGES[0], r"uint8 \[8, 8, 3\]"),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), r"uint8 \[8, 3, 8, 8\]"),
    "gray": (IMAGES[..., :1], r"uint8 \[8, 8, 8, 1\]"),
    "with alpha": (np.repeat(IMAGES[..., :1], 4, -1), r"uint8 \[8, 8, 8, 4\]"),
    "none": (IMAGES[:0], r"uint8 \[0, 8, 8, 3\]"),
    "of no height": (IMAGES[:, :0], r"uint8 \[8, 0, 8, 3\]"),
    "nothing": (None, "NoneType"),
    "a list": ([1, 2], "list"),
    "a name": ("cifar10", "str"),
    "a tensor": (tf.zeros([8, 8, 8, 3]), r"float32 \[8, 8, 8, 3\]"),
}

TAKES_IMAGES = {
    "views": ("images", lambda t, x: ks.views(x, PLAIN, 4)),
    "extract": ("images", lambda t, x: evaluation.extract(t.encoder, x)),
    "augmented_features": ("images", lambda t, x: evaluation.augmented_features(t.encoder, x)),
    "Encoder": ("images", lambda t, x: t.encoder(x)),
    "Encoder.of": ("images", lambda t, x: evaluation.Encoder.of(t.model, 8).function(x)),
    "Preprocessing": ("images", lambda t, x: ks.Preprocessing(8)(x)),
    "KNNMonitor": ("bank", lambda t, x: ks.KNNMonitor(x, LABELS, IMAGES, LABELS)),
    "KNNMonitor's queries": ("queries", lambda t, x: ks.KNNMonitor(IMAGES, LABELS, x, LABELS)),
    "CollapseMonitor": ("images", lambda t, x: ks.CollapseMonitor(x)),
    "evaluate": (
        "images",
        lambda t, x: probing.evaluate(
            t.encoder, Dataset(x, LABELS, "ab"), Dataset(IMAGES, LABELS, "ab"), Probes()
        ),
    ),
    "make_views": (
        "images",
        lambda t, x: augment.make_views(PLAIN, {"images": x, "parameters": ({}, {})}, 8),
    ),
    "plots.neighbors": (
        "queries",
        lambda t, x: plots.neighbors(x, IMAGES[:, None], None, t.path / "x.png"),
    ),
}

NOT_LABELS = {
    "one-hot": (np.eye(2)[LABELS], r"float64 \[8, 2\]"),
    "names": (["cat", "dog"] * 4, r"\[8\]"),
    "negative": (LABELS - 1, "-1 at position 0"),
    "NaN": (np.array([NAN] * 8), "nan at position 0"),
    "fractions": (LABELS + 0.5, "0.5 at position 0"),
    "huge": (LABELS + 2**40, "1099511627776 at position 0"),
    "too few": (LABELS[1:], r"int64 \[7\]"),
    "a row": (LABELS[None], r"int64 \[1, 8\]"),
    "bools": (LABELS > 0, r"bool \[8\]"),
    "objects": (LABELS.astype(object), r"object \[8\]"),
    "one number": (1, r"1"),
    "nothing": (None, "None"),
    "ragged": ([[0], [1, 2]] * 4, "0 1 2"),
}

TAKES_LABELS = {
    "knn_accuracy": (
        "bank_labels",
        lambda t, y: ks.knn_accuracy(FEATURES, y, FEATURES, LABELS, k=3),
    ),
    "knn_accuracy's queries": (
        "query_labels",
        lambda t, y: ks.knn_accuracy(FEATURES, LABELS, FEATURES, y, k=3),
    ),
    "linear_accuracy": (
        "bank_labels",
        lambda t, y: ks.linear_accuracy(FEATURES, y, FEATURES, LABELS, epochs=1),
    ),
    "linear_accuracy's queries": (
        "query_labels",
        lambda t, y: ks.linear_accuracy(FEATURES, LABELS, FEATURES, y, epochs=1),
    ),
    "KNNMonitor": ("bank_labels", lambda t, y: ks.KNNMonitor(IMAGES, y, IMAGES, LABELS)),
    "KNNMonitor's queries": (
        "query_labels",
        lambda t, y: ks.KNNMonitor(IMAGES, LABELS, IMAGES, y),
    ),
    "evaluate": (
        "labels",
        lambda t, y: probing.evaluate(
            t.encoder, Dataset(IMAGES, y, "ab"), Dataset(IMAGES, LABELS, "ab"), Probes()
        ),
    ),
    "plots.scatter": (
        "labels",
        lambda t, y: plots.scatter(FEATURES[:, :2], y, ["a", "b"], t.path / "x.png", ""),
    ),
}

NOT_FEATURES = {
    "NaN": (np.full((8, 4), NAN), "nan at position 0, 0"),
    "infinite": (np.full((8, 4), 1e300), "inf at position 0, 0"),
    "empty": (FEATURES[:0], r"float32 \[0, 4\]"),
    "of no dimension": (FEATURES[:, :0], r"float32 \[8, 0\]"),
    "one vector": (FEATURES[0], r"float32 \[4\]"),
    "of three axes": (FEATURES[None], r"float32 \[1, 8, 4\]"),
    "text": (np.full((8, 4), "x"), r"\[8, 4\]"),
    "bools": (FEATURES > 0.5, r"bool \[8, 4\]"),
    "nothing": (None, "None|object"),
}

TAKES_FEATURES = {
    "knn_accuracy": ("bank", lambda t, f: ks.knn_accuracy(f, LABELS, FEATURES, LABELS, k=3)),
    "knn_accuracy's queries": (
        "queries",
        lambda t, f: ks.knn_accuracy(FEATURES, LABELS, f, LABELS, k=3),
    ),
    "linear_accuracy": (
        "bank",
        lambda t, f: ks.linear_accuracy(f, LABELS, FEATURES, LABELS, epochs=1),
    ),
    "effective_rank": ("features", lambda t, f: singular_values(f)),
}


def crossed(takes, values, must):
    """A row for every callable and every value that it must refuse."""
    return [
        pytest.param(
            rf"^{name}'?s? must be {must}.*got .*({said})", call, value, id=f"{who}: {what}"
        )
        for who, (name, call) in takes.items()
        for what, (value, said) in values.items()
        # The dataset's own message.
        if not (who == "evaluate" and value is None and must == "class numbers")
    ]


@pytest.mark.parametrize(
    ("said", "call", "value"),
    [
        *crossed(TAKES_IMAGES, NOT_IMAGES, "uint8"),
        *crossed(TAKES_LABELS, NOT_LABELS, "class numbers"),
        *crossed(TAKES_FEATURES, NOT_FEATURES, "(numbers|finite)"),
    ],
)
def test_arrays_are_refused_where_they_enter(said, call, value, t):
    refused(said, lambda: call(t, value))


BAD_CALLS = [
    # Heads and backbones.
    ("input_dim must be at least 1; got 0", lambda t: ks.projector(0)),
    ("input_dim must be an integer; got 2.5", lambda t: ks.projector(2.5)),
    ("input_dim must be an integer; got '4'", lambda t: ks.projector("4")),
    ("input_dim must be an integer; got True", lambda t: ks.projector(True)),
    ("input_dim must be an integer; got None", lambda t: ks.projector(None)),
    ("output_dim must be at least 1; got -3", lambda t: ks.projector(4, -3)),
    ("hidden_dim must be at least 1; got 0", lambda t: ks.projector(4, 4, 0)),
    ("layers must be at least 1; got 0", lambda t: ks.projector(4, layers=0)),
    (
        "batch_norm must be one of all, hidden, none; got True",
        lambda t: ks.projector(4, 4, None, 1, True),
    ),
    ("name must be text; got 3", lambda t: ks.projector(4, 4, name=3)),
    ("^dim must be at least 1; got 0", lambda t: ks.predictor(0)),
    ("^dim must be an integer; got nan", lambda t: ks.predictor(NAN)),
    ("hidden_dim must be an integer; got inf", lambda t: ks.predictor(4, INF)),
    ("layers must be an integer; got 1 2", lambda t: ks.predictor(4, layers=[1, 2])),
    ("batch_norm must be one of .*; got 'some'", lambda t: ks.predictor(4, 4, 1, "some")),
    ("^dim must be an integer; got float32 .2.", lambda t: ks.no_predictor(np.ones(2, "f"))),
    ("width must be at least 1; got 0", lambda t: ks.resnet18(0)),
    ("width must be an integer; got 'wide'", lambda t: ks.resnet34("wide")),
    ("stem must be one of imagenet, cifar; got None", lambda t: ks.resnet50(2, None)),
    (
        "stem must be one of imagenet, cifar; got uint8 .8, 8, 8, 3.",
        lambda t: ks.resnet18(2, IMAGES),
    ),
    # Networks that do not fit one another.
    ("backbone must be a keras.Model; got 'resnet18'", lambda t: ks.SimSiam("resnet18")),
    ("backbone must be a keras.Model; got None", lambda t: ks.SimSiam(None)),
    (
        "projector must be a keras.Model or None; got 4|projector must be a keras.Model; got 4",
        lambda t: ks.SimSiam(t.backbone, 4),
    ),
    (
        r"backbone's output must have shape \(None, D\); got \(None, 8, 8, 3\)",
        lambda t: ks.SimSiam(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.ReLU()])),
    ),
    (
        r"backbone's input must have shape \(None, H, W, C\); got \(None, 4\)",
        lambda t: ks.SimSiam(t.predictor),
    ),
    (
        r"projector's input must have shape \(None, 3\).*; got \(None, 4\)",
        lambda t: ks.SimSiam(t.backbone, t.predictor),
    ),
    (
        r"predictor's input must have shape \(None, 4\).*; got \(None, 3\)",
        lambda t: ks.SimSiam(t.backbone, t.projector, t.projector),
    ),
    (
        r"predictor's output must have shape \(None, 4\).*; got \(None, 2\)",
        lambda t: ks.SimSiam(t.backbone, t.projector, ks.projector(4, 2, layers=1)),
    ),
    (
        "stop_gradient must be true or false; got 1",
        lambda t: ks.SimSiam(t.backbone, t.projector, stop_gradient=1),
    ),
    (
        "train_predictor must be true or false; got 'no'",
        lambda t: ks.SimSiam(t.backbone, t.projector, train_predictor="no"),
    ),
    (
        "similarity must be one of cosine, .*; got 'dot'",
        lambda t: ks.SimSiam(t.backbone, t.projector, similarity="dot"),
    ),
    (
        "symmetry must be one of symmetric, .*; got 2",
        lambda t: ks.SimSiam(t.backbone, t.projector, symmetry=2),
    ),
    (
        "image_size must be at least 1; got 0",
        lambda t: ks.SimSiam(t.backbone, t.projector, image_size=0),
    ),
    (
        "image_size is required .*; got None",
        lambda t: ks.SimSiam(t.backbone, t.projector, augmentation=PLAIN),
    ),
    (
        "augmentation must be an Augmentation or .*; got 'cifar'",
        lambda t: ks.SimSiam(t.backbone, t.projector, augmentation="cifar", image_size=8),
    ),
    (
        "augmentation must have the same mean and std",
        lambda t: ks.SimSiam(
            t.backbone,
            t.projector,
            augmentation=[PLAIN, PLAIN.replace(std=(1, 1, 1))],
            image_size=8,
        ),
    ),
    ("parts must have a backbone; got none", lambda t: JointEmbedding({})),
    (
        "parts must have a projector; got backbone",
        lambda t: JointEmbedding({"backbone": t.backbone}),
    ),
    ("parts must be a mapping; got Sequential", lambda t: JointEmbedding(t.backbone)),
    # Training.
    (
        "optimizer must be a Keras optimizer, or the name of one; got 'sdg'",
        lambda t: t.model.compile("sdg"),
    ),
    (
        "optimizer must be a Keras optimizer, .*; got None",
        lambda t: t.model.compile(None),
    ),
    (
        "predictor_optimizer must be a Keras optimizer, .*; got 3",
        lambda t: t.model.compile("sgd", 3),
    ),
    (
        "loss must be None, as the method has its own loss .*; got 'mse'",
        lambda t: t.model.compile("sgd", loss="mse"),
    ),
    (
        "metrics must be None, as .* there are no labels; got 'accuracy'",
        lambda t: t.model.compile("sgd", metrics=["accuracy"]),
    ),
    (r"images must be normalized .*; got uint8 \[8, 8, 8, 3\]", lambda t: t.model(IMAGES)),
    (r"images must be normalized .*; got float32 \[8, 8, 3\]", lambda t: t.model.call(FLOATS[0])),
    (
        r"view x1 must be normalized .*; got uint8 \[8, 8, 8, 3\]",
        lambda t: t.model.train_step((tf.constant(IMAGES),) * 2),
    ),
    (
        r"a batch must be views \(x1, x2\); got float32 \[8, 8, 8, 3\]",
        lambda t: t.model.train_step((tf.constant(FLOATS),)),
    ),
    (
        "a batch must have 2 views; got 3",
        lambda t: t.model.train_step((tf.constant(FLOATS),) * 3),
    ),
    (
        "augmentation and image_size of the model are required",
        lambda t: t.model.train_step({"images": IMAGES}),
    ),
    (
        "views must be made by the model's preprocessing, .*image_size=8.*; got .*image_size=6",
        lambda t: with_preprocessing(t).fit(ks.views(IMAGES, PLAIN, 4, image_size=6).take(1)),
    ),
    (
        "views must be made by the model's preprocessing, .*; got .*mean=.0.5",
        lambda t: with_preprocessing(t).fit(ks.views(IMAGES, PLAIN.replace(mean=(0.5,) * 3), 4)),
    ),
    # Optimizers.
    ("learning_rate must be at least 0; got -1", lambda t: ks.SGD(-1)),
    ("learning_rate must be .*; got nan", lambda t: ks.SGD(NAN)),
    ("learning_rate must be .*; got 'fast'", lambda t: ks.LARS("fast")),
    ("learning_rate must be .*; got None", lambda t: ks.LARS(None)),
    ("momentum must be below 1; got 1", lambda t: ks.SGD(0.1, momentum=1)),
    ("momentum must be at least 0; got -0.5", lambda t: ks.LARS(0.1, momentum=-0.5)),
    ("weight_decay must be a finite number; got inf", lambda t: ks.SGD(0.1, weight_decay=INF)),
    ("batch_size must be at least 1; got 0", lambda t: ks.paper_optimizers(0, 10)),
    ("steps must be an integer; got 1.5", lambda t: ks.paper_optimizers(8, 1.5)),
    ("base_learning_rate must be at least 0; got -0.1", lambda t: ks.paper_optimizers(8, 10, -0.1)),
    (
        "base_learning_rate must be a finite number; got nan",
        lambda t: ks.paper_optimizers(8, 10, NAN),
    ),
    ("momentum must be below 1; got 1.5", lambda t: ks.paper_optimizers(8, 10, momentum=1.5)),
    (
        "weight_decay must be at least 0; got -1",
        lambda t: ks.paper_optimizers(8, 10, weight_decay=-1),
    ),
    (
        "warmup_steps must be below steps, which is 10; got 10",
        lambda t: ks.paper_optimizers(8, 10, warmup_steps=10),
    ),
    (
        "warmup_steps must be at least 0; got -1",
        lambda t: ks.paper_optimizers(8, 10, warmup_steps=-1),
    ),
    (
        "optimizer must be one of sgd, .*; got None",
        lambda t: ks.paper_optimizers(8, 10, optimizer=None),
    ),
    (
        "schedule must be one of cosine, constant; got 'step'",
        lambda t: ks.paper_optimizers(8, 10, schedule="step"),
    ),
    (
        "predictor_decay must be true or false; got 0",
        lambda t: ks.paper_optimizers(8, 10, predictor_decay=0),
    ),
    # Augmentation.
    ("brightness must be a finite number; got nan", lambda t: ks.Augmentation(brightness=NAN)),
    ("contrast must be at least 0; got -1", lambda t: ks.Augmentation(contrast=-1)),
    ("saturation must be a finite number; got inf", lambda t: ks.Augmentation(saturation=INF)),
    ("hue must be at most 0.5; got 0.6", lambda t: ks.Augmentation(hue=0.6)),
    (
        "crop_area must be two numbers, the smaller first",
        lambda t: ks.Augmentation(crop_area=(1, 0.2)),
    ),
    ("crop_area must be a finite number; got nan", lambda t: ks.Augmentation(crop_area=(NAN, 1))),
    ("crop_area must be at least 0; got -0.2 1", lambda t: ks.Augmentation(crop_area=(-0.2, 1))),
    ("crop_area must be 2 numbers; got 0.2", lambda t: ks.Augmentation(crop_area=0.2)),
    ("crop_ratio must be above 0; got 0 1", lambda t: ks.Augmentation(crop_ratio=(0, 1))),
    ("flip_probability must be at most 1; got 50", lambda t: ks.Augmentation(flip_probability=50)),
    ("blur_sigma must be at least 0", lambda t: ks.Augmentation(blur_sigma=(-1, 2))),
    (
        "mean must be at most 1; got 123.7 116.3 103.5",
        lambda t: ks.Augmentation(mean=(123.7, 116.3, 103.5)),
    ),
    ("mean must be numbers or auto; got 0.5", lambda t: ks.Augmentation(mean=0.5)),
    ("std must be above 0; got 0 0.1 0.1", lambda t: ks.Augmentation(std=(0, 0.1, 0.1))),
    ("std must be numbers or auto; got None 1 1", lambda t: ks.Augmentation(std=(None, 1, 1))),
    (
        "augmentation must be one of imagenet, cifar, none; got .'cifar'",
        lambda t: ks.Augmentation.preset({"cifar"}),
    ),
    ("unknown setting 'hues'", lambda t: PLAIN.replace(hues=1)),
    # Views.
    ("augmentation must be an Augmentation or .*; got None", lambda t: ks.views(IMAGES, None, 4)),
    (
        "augmentation must be an Augmentation or .*; got .* 3",
        lambda t: ks.views(IMAGES, [PLAIN, 3], 4),
    ),
    ("augmentation must be one .* each of 2 views; got 0", lambda t: ks.views(IMAGES, [], 4)),
    (
        "augmentation must have the same mean and std",
        lambda t: ks.views(IMAGES, [PLAIN, PLAIN.replace(mean=(0, 0, 0))], 4),
    ),
    (
        "batch_size must be at least 2 and at most 8, .*; got 9",
        lambda t: ks.views(IMAGES, PLAIN, 9),
    ),
    ("batch_size must be at least 2 .*; got 0", lambda t: ks.views(IMAGES, PLAIN, 0)),
    ("batch_size must be at least 2 .*; got -4", lambda t: ks.views(IMAGES, PLAIN, -4)),
    ("batch_size must be an integer; got '4'", lambda t: ks.views(IMAGES, PLAIN, "4")),
    ("seed must be at least 0; got -1", lambda t: ks.views(IMAGES, PLAIN, 4, seed=-1)),
    (
        "seed must be below 2147483648; got 2147483648",
        lambda t: ks.views(IMAGES, PLAIN, 4, seed=2**31),
    ),
    ("seed must be an integer; got None", lambda t: ks.views(IMAGES, PLAIN, 4, seed=None)),
    ("image_size must be at least 1; got 0", lambda t: ks.views(IMAGES, PLAIN, 4, image_size=0)),
    (
        "image_size must be an integer; got 8 8",
        lambda t: ks.views(IMAGES, PLAIN, 4, image_size=(8, 8)),
    ),
    ("start_step must be at least 0; got -1", lambda t: ks.views(IMAGES, PLAIN, 4, start_step=-1)),
    (
        "augment_on must be one of host, device; got 'gpu'",
        lambda t: ks.views(IMAGES, PLAIN, 4, augment_on="gpu"),
    ),
    ("count must be at least 2; got 1", lambda t: ks.views(IMAGES, PLAIN, 4, count=1)),
    (
        "part must be two integers, the smaller first; got 2 2",
        lambda t: ks.views(IMAGES, PLAIN, 4, part=(2, 2)),
    ),
    (
        "part must be two integers, the smaller first; got 0 0",
        lambda t: ks.views(IMAGES, PLAIN, 4, part=(0, 0)),
    ),
    ("part must be at least 0; got -1 2", lambda t: ks.views(IMAGES, PLAIN, 4, part=(-1, 2))),
    (
        "data_service must be text; got 5000",
        lambda t: ks.views(IMAGES, PLAIN, 4, data_service=5000),
    ),
    ("batch must be a batch of views.*; got uint8", lambda t: augment.make_views(PLAIN, IMAGES, 8)),
    # Preprocessing and encoders.
    ("image_size must be at least 1; got 0", lambda t: ks.Preprocessing(0)),
    ("image_size must be an integer; got None", lambda t: ks.Preprocessing(None)),
    ("std must be above 0; got 0 0 0", lambda t: ks.Preprocessing(8, std=(0, 0, 0))),
    ("std must be at most 1; got 58 57 57", lambda t: ks.Preprocessing(8, std=(58, 57, 57))),
    ("mean must be a finite number; got nan", lambda t: ks.Preprocessing(8, mean=(NAN, 0, 0))),
    ("function must be a function; got 3", lambda t: ks.Encoder(3, ks.Preprocessing(8))),
    ("preprocessing must be a Preprocessing; got 8", lambda t: ks.Encoder(abs, 8)),
    ("model must be a keras.Model; got 'model.keras'", lambda t: ks.Encoder.of("model.keras")),
    (
        "preprocessing must be a Preprocessing or an integer or None; got 'cifar'",
        lambda t: ks.Encoder.of(t.model, "cifar"),
    ),
    ("preprocessing must be at least 1; got 0", lambda t: ks.Encoder.of(t.model, 0)),
    ("preprocessing is required, .*; got None", lambda t: ks.Encoder.of(pooled(None, None))),
    ("model must be a keras.Model; got None", lambda t: ks.export_encoder(None, t.path / "new")),
    ("path must be text or a path; got None", lambda t: ks.export_encoder(t.model, None)),
    (
        "cannot replace '.*file.txt', which is not a SavedModel",
        lambda t: ks.export_encoder(t.model, t.path / "file.txt"),
    ),
    (
        "preprocessing must be .*; got -8|preprocessing must be at least 1; got -8",
        lambda t: ks.export_encoder(t.model, t.path / "new", -8),
    ),
    ("path must be text or a path; got 3", lambda t: ks.load_encoder(3)),
    ("saved model '.*missing' does not exist", lambda t: ks.load_encoder(t.path / "missing")),
    ("saved model", lambda t: ks.load_encoder(t.path)),
    (
        "encoder must be an Encoder; got Sequential",
        lambda t: evaluation.extract(t.backbone, IMAGES),
    ),
    (
        "seed must be at least 0; got -1",
        lambda t: evaluation.augmented_features(t.encoder, IMAGES, -1),
    ),
    # Probes.
    (
        "^k must be at least 1; got 0",
        lambda t: ks.knn_accuracy(FEATURES, LABELS, FEATURES, LABELS, 0),
    ),
    (
        "^k must be an integer; got 1.5",
        lambda t: ks.knn_accuracy(FEATURES, LABELS, FEATURES, LABELS, 1.5),
    ),
    (
        "temperature must be above 0; got 0",
        lambda t: ks.knn_accuracy(FEATURES, LABELS, FEATURES, LABELS, 3, 0),
    ),
    (
        "temperature must be a finite number; got nan",
        lambda t: ks.knn_accuracy(FEATURES, LABELS, FEATURES, LABELS, 3, NAN),
    ),
    (
        "queries must have the bank's dimension, 4; got 3",
        lambda t: ks.knn_accuracy(FEATURES, LABELS, FEATURES[:, :3], LABELS, 3),
    ),
    (
        "learning_rates must have at least one number",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, learning_rates=()),
    ),
    (
        "learning_rates must be above 0; got 1 -1",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, learning_rates=(1, -1)),
    ),
    (
        "learning_rates must be .*; got nan",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, learning_rates=[NAN]),
    ),
    (
        "learning_rates must be numbers; got 0.1",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, learning_rates=0.1),
    ),
    (
        "epochs must be at least 1; got 0",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, epochs=0),
    ),
    (
        "batch_size must be at least 1; got 0",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, batch_size=0),
    ),
    (
        "seed must be an integer; got 'zero'",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, seed="zero"),
    ),
    (
        "optimizer must be one of sgd, lars; got 'adam'",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, optimizer="adam"),
    ),
    (
        "augmented must be a function; got float32 .8, 4.",
        lambda t: ks.linear_accuracy(FEATURES, LABELS, FEATURES, LABELS, augmented=FEATURES),
    ),
    (
        r"augmented must give features \[8, 4\]; got float32 \[4, 4\]",
        lambda t: ks.linear_accuracy(
            FEATURES, LABELS, FEATURES, LABELS, augmented=lambda epoch: FEATURES[:4]
        ),
    ),
    (
        "bank_labels must have at least two classes; got 1",
        lambda t: ks.linear_accuracy(FEATURES, 0 * LABELS, FEATURES, LABELS),
    ),
    (
        "labels must be below 1, the number of class_names; got 1",
        lambda t: probing.evaluate(
            t.encoder, Dataset(IMAGES, LABELS, "a"), Dataset(IMAGES, LABELS, "a"), Probes()
        ),
    ),
    (
        "the dataset must have labels",
        lambda t: probing.evaluate(
            t.encoder, Dataset(IMAGES, None, ()), Dataset(IMAGES, None, ()), Probes()
        ),
    ),
    (
        "train must be a Dataset; got uint8",
        lambda t: probing.evaluate(t.encoder, IMAGES, IMAGES, Probes()),
    ),
    # Monitors.
    (
        "every must be at least 0; got -1",
        lambda t: ks.KNNMonitor(IMAGES, LABELS, IMAGES, LABELS, every=-1),
    ),
    (
        "every must be an integer; got None",
        lambda t: ks.KNNMonitor(IMAGES, LABELS, IMAGES, LABELS, every=None),
    ),
    ("^k must be at least 1; got 0", lambda t: ks.KNNMonitor(IMAGES, LABELS, IMAGES, LABELS, k=0)),
    (
        "temperature must be above 0; got -1",
        lambda t: ks.KNNMonitor(IMAGES, LABELS, IMAGES, LABELS, temperature=-1),
    ),
    (
        "preprocessing must be .*; got .8, 8.|preprocessing must be .*; got 8 8",
        lambda t: ks.KNNMonitor(IMAGES, LABELS, IMAGES, LABELS, preprocessing=(8, 8)),
    ),
    (
        "encoder is required .*; got None",
        lambda t: ks.KNNMonitor(IMAGES, LABELS, IMAGES, LABELS).evaluate(),
    ),
    (
        "encoder must be an Encoder; got SimSiam",
        lambda t: ks.KNNMonitor(IMAGES, LABELS, IMAGES, LABELS).evaluate(t.model),
    ),
    ("samples must be at least 1; got 0", lambda t: ks.CollapseMonitor(IMAGES, samples=0)),
    ("stop must be true or false; got 'yes'", lambda t: ks.CollapseMonitor(IMAGES, stop="yes")),
    (
        "least_std must be a finite number; got nan",
        lambda t: ks.CollapseMonitor(IMAGES, least_std=NAN),
    ),
    ("least_rank must be at most 1; got 3", lambda t: ks.CollapseMonitor(IMAGES, least_rank=3)),
    ("log_dir must be text.*; got 3", lambda t: ks.CollapseMonitor(IMAGES, log_dir=3)),
    (
        "model of CollapseMonitor must be a SimSiam.*; got Sequential",
        lambda t: watching(t.backbone).measure(),
    ),
    # Runs, datasets and weights.
    ("preset must be one of photo_patches, .*; got 'photos'", lambda t: ks.preset("photos")),
    ("preset must be one of .*; got None", lambda t: ks.preset(None)),
    ("training must be a mapping; got 3", lambda t: ks.Run(training=3)),
    ("unknown setting 'trainings' of run", lambda t: ks.Run().replace(trainings={})),
    ("epochs must be at least 1; got 0", lambda t: ks.Run().replace(training={"epochs": 0})),
    ("seed must be at least 0; got -1", lambda t: ks.Run().replace(training={"seed": -1})),
    (
        "backbone must be one of .*; got 'vgg'",
        lambda t: ks.Run().replace(model={"backbone": "vgg"}),
    ),
    ("path must be text or a path; got None", lambda t: ks.Run.load(None)),
    ("cannot read '.*missing.yaml'", lambda t: ks.Run.load(t.path / "missing.yaml")),
    ("path must be text or a path; got 3", lambda t: ks.Run().save(3)),
    ("name must be text; got None", lambda t: ks.load(None)),
    ("split must be text; got 0", lambda t: ks.load("photo_patches", 0)),
    ("data_dir must be text.*; got 3", lambda t: ks.load("photo_patches", data_dir=3)),
    (
        "check_files must be one of full, header, none; got 'all'",
        lambda t: ks.load("photo_patches", check_files="all"),
    ),
    ("dataset must be one of .*; got 'mnits'", lambda t: ks.load("mnits")),
    (
        "missing' does not exist|must be a folder|missing",
        lambda t: ks.load(f"folder:{t.path}/missing"),
    ),
    ("model must be a keras.Model; got None", lambda t: ks.load_pytorch_weights(None, "x.pth")),
    ("path must be text or a path; got None", lambda t: ks.load_pytorch_weights(t.model, None)),
    (
        "checkpoint '.*missing.pth' does not exist",
        lambda t: ks.load_pytorch_weights(t.model, t.path / "missing.pth"),
    ),
    ("model must be a keras.Model; got 'x'", lambda t: ks.export_pytorch("x", "y")),
    (
        "layout must be one of torchvision, authors; got 'lightly'",
        lambda t: ks.export_pytorch(t.model, t.path / "x.pth", "lightly"),
    ),
    (
        "layout 'authors' must be of a whole SimSiam",
        lambda t: ks.export_pytorch(t.backbone, t.path / "x.pth", "authors"),
    ),
    (
        "run must be a Run; got 'photo_patches'",
        lambda t: ks.SimSiamHyperModel("photo_patches", {"a": [1]}),
    ),
    ("sweep must be a mapping", lambda t: ks.SimSiamHyperModel(ks.Run(), [1])),
    # Figures.
    ("path must be text or a path; got 3", lambda t: plots.curves([{"epoch": 1}], 3, "")),
    ("title must be text; got None", lambda t: plots.curves([{"epoch": 1}], "x", None)),
    ("history must be a list, each a mapping; got 'x'", lambda t: plots.curves("x", "x", "")),
    ("history must be rows with an epoch", lambda t: plots.curves([{"loss": 1}], "x", "")),
    (
        "history must have .* finite numbers.*got nan for 'loss'",
        lambda t: plots.curves([{"epoch": 1, "loss": NAN}], "x", ""),
    ),
    ("history must be rows.*; got 3", lambda t: plots.compared_curves({"a": [[3]]}, "x", "")),
    ("history must be rows.*; got 'x'", lambda t: plots.compared_curves({"a": "x"}, "x", "")),
    ("runs must be a mapping; got 1 2", lambda t: plots.compared_curves([1, 2], "x", "")),
    (
        "values must have .* finite numbers.*got 'b' for 'a'",
        lambda t: plots.compared_bars({"a": "b"}, "x", ""),
    ),
    (
        "values must have a list.*got 0.5 for 'a'",
        lambda t: plots.compared_bars({"a": 0.5}, "x", ""),
    ),
    ("values must have .*; got inf for 'a'", lambda t: plots.compared_bars({"a": [INF]}, "x", "")),
    (
        "values must have .*; got None for 'a'",
        lambda t: plots.measured({"a": [None]}, "x", "", "s"),
    ),
    (
        "series must have a mapping.*; got 1",
        lambda t: plots.metric_over("n", {"loss": [1]}, "x", ""),
    ),
    (
        "series must have .*; got 'a' for 'the setting'",
        lambda t: plots.metric_over("n", {"loss": {"a": [1]}}, "x", ""),
    ),
    (
        "series must have a mapping for each variant; got 1",
        lambda t: plots.compared_over("n", "loss", {"SimSiam": [1]}, "x", ""),
    ),
    (
        "spectra must have .*; got nan for 'a'",
        lambda t: plots.spectrum({"a": np.array([NAN])}, "x"),
    ),
    (
        "each of spectra must have a value; got none of 'a'",
        lambda t: plots.spectrum({"a": []}, "x"),
    ),
    (
        r"counts must be integers \[2, 2\].*; got int64 \[3, 3\]",
        lambda t: plots.confusion(np.eye(3, dtype="int64"), ["a", "b"], "x", ""),
    ),
    (
        r"counts must be integers \[2, 2\].*; got float64 \[2, 2\]",
        lambda t: plots.confusion(np.eye(2), ["a", "b"], "x", ""),
    ),
    (
        "names must be a list, each text; got 'ab'",
        lambda t: plots.confusion(np.eye(2, dtype=int), "ab", "x", ""),
    ),
    (
        r"points must be numbers \[N, 2\]; got float32 \[8, 4\]",
        lambda t: plots.scatter(FEATURES, LABELS, ["a", "b"], "x", ""),
    ),
    (
        "names must be of 2 classes or more; got 1",
        lambda t: plots.scatter(FEATURES[:, :2], LABELS, ["a"], "x", ""),
    ),
    (
        "view x1 must be normalized.*; got uint8",
        lambda t: plots.views([IMAGES], "x", ks.Preprocessing(8)),
    ),
    (
        "batch must be views of the same images",
        lambda t: plots.views([FLOATS, FLOATS[1:]], "x", ks.Preprocessing(8)),
    ),
    ("preprocessing must be a Preprocessing; got None", lambda t: plots.views([FLOATS], "x", None)),
    (
        "images must be at least 1; got 0",
        lambda t: plots.views([FLOATS], "x", ks.Preprocessing(8), 0),
    ),
    (
        r"found must be uint8 \[Q, k, H, W, 3\].*; got uint8 \[8, 8, 8, 3\]",
        lambda t: plots.neighbors(IMAGES, IMAGES, None, "x"),
    ),
    (
        r"same_class must be bool \[8, 1\].*; got bool \[8\]",
        lambda t: plots.neighbors(IMAGES, IMAGES[:, None], LABELS > 0, "x"),
    ),
    # Collections.
    (
        "images must be a folder, files, .*; got 3",
        lambda t: ks.embed("pixels", 3),
    ),
    ("files must be images; got nothing", lambda t: ks.embed("pixels", [])),
    ("files must be images; got 'no.png'", lambda t: ks.embed("pixels", ["no.png"])),
    ("dataset must be one of .*; got 'nowhere'", lambda t: ks.embed("pixels", "nowhere")),
    ("folder '.*' must contain images", lambda t: ks.embed("pixels", t.path)),
    ("none of the images can be read", lambda t: ks.embed("pixels", t.path / "file.txt")),
    ("encoder must be .*; got 3", lambda t: ks.embed(3, IMAGES)),
    ("images must be uint8", lambda t: ks.embed("pixels", FLOATS)),
    ("saved model 'nowhere' does not exist", lambda t: ks.find_encoder("nowhere")),
    ("image_size must be at least 1; got 0", lambda t: ks.find_encoder("random", 0)),
    ("must name a model of keras.applications", lambda t: ks.find_encoder("keras:resnet")),
    ("names must be one for each of 8; got 1", lambda t: ks.Features(["a"], FEATURES)),
    ("features must be numbers", lambda t: ks.Features(["a"], None)),
    ("output must end in", lambda t: ks.Features(["a"], FEATURES[:1]).save(t.path / "x.txt")),
    ("features must be in .npz", lambda t: ks.Features.read(t.path / "file.txt")),
    (
        "features must be those of .*, which has 3,072 dimensions; they are 4",
        lambda t: ks.find_duplicates(
            ks.Features(list("01234567"), FEATURES),
            ks.find_source(IMAGES),
            ks.find_encoder("pixels"),
        ),
    ),
    ("features must be a Features; got 3", lambda t: ks.find_duplicates(3, None, None)),
    ("images must be a folder, files", lambda t: ks.find_source(None)),
    (
        "labels must have at least two classes",
        lambda t: ks.predict_labels(FEATURES, {0: "a", 1: "a"}),
    ),
    ("labels must be of rows below 8", lambda t: ks.predict_labels(FEATURES, {0: "a", 8: "b"})),
    ("features must be finite", lambda t: ks.predict_labels(FEATURES * NAN, {0: "a", 1: "b"})),
    ("count must be at least 1; got 0", lambda t: ks.farthest_first(FEATURES, 0)),
    ("neighbors must be at least 1; got 0", lambda t: ks.outliers(FEATURES, 1, 0)),
    ("columns must be at least 1; got 0", lambda t: plots.sheet(IMAGES, [""] * 8, 0, "x", "")),
    ("captions must be 8, like pictures; got 1", lambda t: plots.sheet(IMAGES, [""], 1, "x", "")),
    ("pictures must be uint8", lambda t: plots.sheet(FLOATS, [""] * 8, 1, "x", "")),
    (
        "recalls must have a value for each of pairs",
        lambda t: plots.recall(LABELS, {"all": np.zeros(3)}, "x"),
    ),
    (
        "values must be of at least one trial; got nothing",
        lambda t: plots.parallel_coordinates({}, [], "x", ""),
    ),
    (
        "settings must have 2 values each.*; got 1 for 'a'",
        lambda t: plots.parallel_coordinates({"a": [1]}, [0.1, 0.2], "x", ""),
    ),
    (
        "logarithmic must name settings above 0; got a, with 0",
        lambda t: plots.parallel_coordinates({"a": [0, 1]}, [0.1, 0.2], "x", "", ["a"]),
    ),
]


def with_preprocessing(t):
    t.model.preprocessing, t.model._assumed = ks.Preprocessing(8), None
    return t.model


def watching(model):
    monitor = ks.CollapseMonitor(IMAGES)
    monitor.set_model(model)
    return monitor


@pytest.mark.parametrize(("said", "call"), BAD_CALLS)
def test_arguments_are_refused_by_name(said, call, t):
    refused(said, lambda: call(t))


def test_the_tables_are_long():
    assert len(BAD_CALLS) >= 150


def refused(said, call):
    with pytest.raises(InputError, match=said) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400


def test_an_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="batchsize"):
        ks.views(IMAGES, PLAIN, 4, batchsize=3)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:, None],
        LABELS.astype("f"),
        LABELS.astype("uint8"),
        LABELS.tolist(),
        tf.constant(LABELS),
        tf.constant(LABELS[:, None], tf.float32),
    ],
)
def test_labels_of_another_type_are_the_same_labels(labels):
    monitor = ks.KNNMonitor(IMAGES, labels, tf.constant(IMAGES), labels)
    assert monitor.bank_labels.dtype == np.int64
    np.testing.assert_array_equal(monitor.query_labels, LABELS)
    expected = ks.knn_accuracy(FEATURES, LABELS, FEATURES, LABELS, 3)
    assert ks.knn_accuracy(FEATURES, labels, FEATURES, labels, 3) == expected
    assert ks.knn_accuracy(FEATURES.tolist(), labels, tf.constant(FEATURES), labels, 3) == expected


@pytest.mark.parametrize("three", [np.int64(3), np.uint8(3), 3.0, np.float32(3), tf.constant(3)])
def test_numbers_of_numpy_and_tensorflow_are_numbers(three):
    assert ks.KNNMonitor(IMAGES, LABELS, IMAGES, LABELS, k=three).k == 3
    assert ks.projector(three, three, layers=np.int32(1)).output_shape == (None, 3)
    assert ks.Preprocessing(three).image_size == 3
    assert type(ks.Preprocessing(three).image_size) is int
    assert ks.SGD(np.float32(0.5), np.float64(0.25)).momentum == 0.25
    half = np.full(3, 0.5, "f")
    assert ks.Augmentation(mean=half, std=half.tolist(), hue=np.float16(0.5)).mean == (0.5,) * 3
    assert ks.SimSiam(pooled(8, 8), ks.projector(3, 4, layers=1), stop_gradient=np.False_)


@pytest.mark.parametrize("where", ["tf.function", "tf.data"])
def test_images_are_refused_in_a_graph(where, t):
    encoder = evaluation.Encoder.of(t.model, 8)

    def run(images):
        if where == "tf.function":
            return tf.function(lambda x: encoder(x))(images)
        return next(iter(tf.data.Dataset.from_tensors(images).map(lambda x: encoder(x))))

    assert run(IMAGES).shape == (8, 3)
    refused("images must be uint8 .*; got float32", lambda: run(FLOATS))
    refused("images must be uint8 .*; got uint8", lambda: run(IMAGES[0]))


def test_a_fit_on_images_that_are_not_normalized_is_refused(t):
    raw = tf.data.Dataset.from_tensors((IMAGES, IMAGES))
    refused("view x1 must be normalized .*; got uint8", lambda: t.model.fit(raw, verbose=0))
    refused("images must be normalized .*; got uint8", lambda: t.model.predict(IMAGES, verbose=0))


def test_a_model_takes_the_preprocessing_of_its_views():
    seen = ks.Augmentation.preset("none").replace(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    model = ks.SimSiam(pooled(8, 8), ks.projector(3, 4, layers=1), ks.predictor(4, layers=1))
    model.compile("sgd")
    model.fit(ks.views(IMAGES, seen, 4).take(1), verbose=0)
    assert model.preprocessing == ks.Preprocessing(8, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))

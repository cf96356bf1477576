"""Features of every image: row i is image i, whatever is left out, interrupted or shared."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image
from helpers.backbones import tiny
from helpers.commands import command
from PIL import Image

import keras_simsiam as ks
from keras_simsiam.collection import embed_to_file, embedding, find_source
from keras_simsiam.data.images import square
from keras_simsiam.evaluation import Encoder


@pytest.fixture(scope="module")
def backbone():
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    return keras.Model(images, tiny()(images))


@pytest.fixture(scope="module")
def exported(backbone, tmp_path_factory):
    """A .keras file, which loads faster than a SavedModel."""
    path = tmp_path_factory.mktemp("exported") / "x.keras"
    backbone.save(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight images of three sizes with names of all kinds, one that is damaged, and an AVIF."""
    folder = tmp_path_factory.mktemp("photos")
    names = ["b/a.png", "a.png", "=b.png", "c d.png", "é.jpg", "x/y/z.png", "1.bmp", "2.gif"]
    for i, name in enumerate(names):
        write_image(folder / name, i, (16 + 8 * (i % 3), 16))
    (folder / "page.avif").write_bytes(b"anything")
    (folder / "c e.png").write_bytes(b"damaged")
    return folder


@pytest.fixture(scope="module")
def whole(photos, exported):
    return ks.embed(exported, f"folder:{photos}")


def test_each_row_is_the_image_of_its_name(photos, backbone, whole):
    assert len(whole) == 8
    assert whole.labels is None
    for name, values in zip(whole.names, whole.values, strict=True):
        image = np.asarray(Image.open(photos / name).convert("RGB"))
        if name.endswith("png"):
            expected = Encoder.of(backbone, 16)(tf.constant(image[None]))[0]
            np.testing.assert_allclose(values, expected, atol=0.02)  # images are rounded to uint8


def test_the_command_writes_what_the_function_returns_and_says_what_is_left_out(
    photos, exported, whole, tmp_path, capsys
):
    output = tmp_path / "x.csv"
    options = ("--saved-model", exported, "--dataset", f"folder:{photos}")
    assert command("embed", *options, "-o", output) == 0
    printed = capsys.readouterr().out
    assert "8 × 8 features" in printed
    assert "1 .avif (page.avif)" in printed
    assert "1 unreadable, " in printed
    assert "(c e.png)" in printed
    read = ks.Features.read(output)
    assert read.names == whole.names
    np.testing.assert_allclose(read.values, whole.values, atol=1e-6)
    assert command("embed", *options, "-o", output) == 2
    assert "exists" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_labels_are_those_of_the_class_folders_of_every_split(tmp_path):
    for i, name in enumerate(
        ["train/cat/1.png", "train/dog/1.png", "Val/cat/2.png", "train/0.png"]
    ):
        write_image(tmp_path / name, i)
    source = find_source(tmp_path)
    assert dict(zip(source.names, zip(source.labels, source.splits, strict=True), strict=True)) == {
        "Val/cat/2.png": ("cat", "validation"),
        "train/0.png": ("", "train"),
        "train/cat/1.png": ("cat", "train"),
        "train/dog/1.png": ("dog", "train"),
    }


def test_files_arrays_and_datasets_are_collections_too(photos, exported, whole, tmp_path):
    files = [str(photos / name) for name in whole.names[:2]]
    (tmp_path / "list.txt").write_text("\n".join(files) + "\n")
    options = ("--saved-model", exported, "-o", tmp_path / "x.npz")
    assert command("embed", *options, "--files", tmp_path / "list.txt") == 0
    read = ks.Features.read(tmp_path / "x.npz")
    assert read.names == files
    np.testing.assert_allclose(read.values, whole.values[:2], atol=1e-6)
    patches = ks.load("photo_patches", "test")
    source = find_source("photo_patches", "test")
    assert source.labels[0] == patches.class_names[patches.labels[0]]
    assert source.names[-1] == f"test/{len(patches.images) - 1}"
    few = patches.images[::200]
    expected = ks.find_encoder(exported)(square(tf.constant(few), 16))
    np.testing.assert_allclose(ks.embed(exported, few).values, expected, atol=1e-5)


@pytest.mark.slow
def test_shards_join_to_the_whole(photos, exported, whole, tmp_path):
    options = ("--saved-model", exported, "--dataset", f"folder:{photos}", "-o", tmp_path / "x.npz")
    for k in (1, 2):
        assert command("embed", *options, "--shard", f"{k}/2") == 0
    joined = ks.Features.read(*(tmp_path / f"x-{k}-of-2.npz" for k in (1, 2)))
    assert joined.names == whole.names
    np.testing.assert_allclose(joined.values, whole.values, atol=1e-6)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(embedding, "PART", 2)
    monkeypatch.setattr("keras_simsiam.collection.sources._BATCH", 2)


@pytest.fixture
def begun(monkeypatch):
    """Interrupts the first work at its fifth image; has how many were done before each."""
    begun = []

    def progress(word, total, before):
        begun.append(before)

        def say(done):
            if len(begun) == 1 and done >= 5:
                raise KeyboardInterrupt  # a signal is ignored if a shell's & started this

        return say

    monkeypatch.setattr(embedding, "Progress", progress)
    return begun


def test_interrupted_it_goes_on_to_the_same_file(
    photos, exported, whole, tmp_path, small_parts, begun
):
    x = tmp_path / "x.npz"
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        embed_to_file(str(exported), find_source(photos), x)
    assert not x.exists()
    embed_to_file(str(exported), find_source(photos), x)
    assert begun[1] >= 4
    found = ks.Features.read(x)
    assert found.names == whole.names
    np.testing.assert_allclose(found.values, whole.values, atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.slow
def test_what_another_model_began_is_begun_anew(photos, exported, tmp_path, small_parts, begun):
    x = tmp_path / "x.npz"
    with pytest.raises(KeyboardInterrupt):
        embed_to_file(str(exported), find_source(photos), x)
    embed_to_file("pixels", find_source(photos), x)
    assert begun[1] == 0
    assert ks.Features.read(x).values.shape == (8, 3072)


def test_any_keras_file_run_and_baseline_is_an_encoder(backbone, exported, tmp_path):
    images = tf.constant(np.random.RandomState(0).randint(0, 256, (3, 16, 16, 3), np.uint8))
    expected = Encoder.of(backbone)(images)

    def same(name):
        np.testing.assert_allclose(ks.find_encoder(name)(images), expected, atol=1e-5)

    same(exported)
    ks.export_encoder(backbone, tmp_path / "encoder")
    same(tmp_path / "encoder")
    with pytest.raises(ks.InputError, match="image_size cannot be changed in a SavedModel"):
        ks.find_encoder(tmp_path / "encoder", 8)
    run = tmp_path / "runs/mine"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("{}\n")
    with pytest.raises(ks.InputError, match="neither a SavedModel nor a checkpoint"):
        ks.find_encoder(run)
    heads = ks.projector(8, 4, layers=1), ks.predictor(4, layers=1)
    ks.SimSiam(backbone, *heads, image_size=16).save(run / "checkpoints/step-00000001.keras")
    same(run)
    (run / "summary.json").write_text(f'{{"saved_model": "{tmp_path / "encoder"}"}}')
    same(run)
    assert ks.find_encoder("pixels")(images).shape == (3, 3072)


@pytest.mark.slow
def test_random_weights_are_always_the_same():
    images = tf.constant(np.random.RandomState(0).randint(0, 256, (3, 16, 16, 3), np.uint8))
    np.testing.assert_array_equal(*(ks.find_encoder("random")(images) for _ in range(2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_a_keras_application_preprocesses_as_its_own_module_does(name, tmp_path):
    network = getattr(keras.applications, name)(
        include_top=False, weights=None, pooling="avg", input_shape=(64, 64, 3)
    )
    network.save_weights(tmp_path / "x.weights.h5")
    encoder = ks.find_encoder(f"keras:{name}:{tmp_path / 'x.weights.h5'}", 64)
    image = np.random.RandomState(0).randint(0, 256, (1, 64, 64, 3), np.uint8)
    module = {"MobileNetV2": "mobilenet_v2", "MobileNetV3Small": "mobilenet_v3"}[name]
    preprocess = getattr(keras.applications, module).preprocess_input
    expected = network(preprocess(image.astype("f")), training=False)
    np.testing.assert_allclose(encoder(tf.constant(image)), expected, atol=1e-5)


def test_bad_input_is_one_line_and_nothing_is_written(exported, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    write_image(tmp_path / "one/a.png", 0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/a.png").write_bytes(b"damaged")
    for channels in (4,):
        images = keras.Input((8, 8, channels))
        gray = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
        gray.save(tmp_path / f"{channels}.keras")
    images = keras.Input((8, 8, 3))
    keras.Model(images, keras.layers.Conv2D(2, 3)(images)).save(tmp_path / "map.keras")
    unsafe = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x[:, 0, 0])])
    unsafe.save(tmp_path / "lambda.keras")
    one = ("--dataset", f"folder:{tmp_path / 'one'}")
    npz = ("-o", tmp_path / "x.npz")
    before = sorted(tmp_path.rglob("*"))
    for said, *argv in (
        ("must contain images", "--dataset", f"folder:{tmp_path / 'empty'}", *npz),
        ("none of the images can be read", "--dataset", f"folder:{tmp_path / 'broken'}", *npz),
        ("nowhere' does not exist", "--dataset", "folder:nowhere", *npz),
        ("either --dataset or --files", *npz),
        ("files must be images; got 'nowhere.png'", "--files", "nowhere.png", *npz),
        ("cannot read 'nowhere.txt'", "--files", "nowhere.txt", *npz),
        ("output must end in .npz, .csv, .parquet", *one, "-o", tmp_path / "x.tsv"),
        ("shard must be K/N", *one, *npz, "--shard", "3/2"),
        ("shard 1/3 would be empty: there are 1 images", *one, *npz, "--shard", "1/3"),
        ("image_size of pixels is 32", *one, *npz, "--saved-model", "pixels", "--image-size", "8"),
        ("3 channels where 4 are expected", *one, *npz, "--saved-model", tmp_path / "4.keras"),
        ("must return vectors [B, D]", *one, *npz, "--saved-model", tmp_path / "map.keras"),
        ("cannot read", *one, *npz, "--saved-model", tmp_path / "lambda.keras"),
        ("does not exist", *one, *npz, "--saved-model", tmp_path / "no.keras"),
        ("model of keras.applications", *one, *npz, "--saved-model", "keras:VGG99"),
    ):
        if "--saved-model" not in argv:
            argv += ["--saved-model", exported]
        assert command("embed", *argv) == 2, said
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error
        assert sorted(tmp_path.rglob("*")) == before, said

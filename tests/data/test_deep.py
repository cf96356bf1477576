"""Folders of images with more than 8 bits or other than three channels, from file to features."""

import numpy as np
import pytest
import tifffile
from helpers import write_image
from helpers.backbones import tiny
from PIL import Image

import keras_simsiam as ks
from keras_simsiam import Pixels
from keras_simsiam.data import ImageFiles, copies
from keras_simsiam.data.measuring import mean_and_std, measured
from keras_simsiam.data.paths import Paths


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def photographs(count=48, side=32):
    """Gray patches of a photograph, uint8."""
    from skimage import data

    photo = np.rint(data.astronaut().mean(axis=2)).astype(np.uint8)
    return np.stack([photo[8 * i : 8 * i + side, 5 * i : 5 * i + side] for i in range(count)])


def folder_of(path, images, write):
    path.mkdir()
    for i, image in enumerate(images):
        write(path / f"{i:03}", image)
    return f"folder:{path}"


def test_twelve_bits_keep_their_contrast(tmp_path):
    name = folder_of(
        tmp_path / "12",
        photographs().astype(np.uint16) * 16,
        lambda p, a: Image.fromarray(a).save(f"{p}.png"),
    )
    train = ks.load(name)
    assert train.pixels.range == "0 to 4,095"
    assert len(np.unique(train.images)) > 200
    exact = ks.load(name, pixels=Pixels.of(3, (0, 4080)))
    np.testing.assert_array_equal(exact.images[..., 0], photographs())
    assert ks.load(name, pixels=train.pixels).pixels == train.pixels


def test_a_range_is_that_of_the_bits_only_where_it_nearly_fills_it(tmp_path):
    for values, expected in (
        (np.linspace(0, 0.9, 10_000), (0, 1)),
        (np.linspace(10, 800, 10_000).astype(int), (10, 799)),
        (np.linspace(10, 1000, 10_000).astype(int), (0, 1023)),
        (np.linspace(-0.9, 0.9, 10_000), (-0.8982, 0.8982)),
        (np.append(np.full(10_000, 7), 60_000), (7, 8)),  # and a hot pixel
    ):
        np.save(tmp_path / "a.npy", values.reshape(-1, 1, 1))
        found = measured(Paths.of([str(tmp_path / "a.npy")]), Pixels(1))
        np.testing.assert_allclose((found.low[0], found.high[0]), expected, rtol=2e-3)


def test_tiffs_of_sixteen_bits_have_the_neighbors_of_the_same_pngs(tmp_path):
    """kNN within a point, by pixels and by random weights."""
    images = photographs(48)
    small = folder_of(tmp_path / "8", images, lambda p, a: Image.fromarray(a).save(f"{p}.png"))
    deep = folder_of(
        tmp_path / "16", images, lambda p, a: tifffile.imwrite(f"{p}.tif", a.astype("u2") * 257)
    )
    labels = np.arange(48) // 12
    for encoder in (ks.find_encoder("pixels"), ks.find_encoder("random", 32)):
        found = []
        for name in (small, deep):
            features = ks.embed(encoder, name).values
            found.append(
                ks.knn_accuracy(features[::2], labels[::2], features[1::2], labels[1::2], 3).top1
            )
        assert abs(found[0] - found[1]) <= 0.01


def test_tiffs_of_eight_bits_are_read_as_they_are(tmp_path):
    images = photographs(4)
    name = folder_of(tmp_path / "8", images, lambda p, a: tifffile.imwrite(f"{p}.tif", a))
    train = ks.load(name)
    assert train.pixels == Pixels()
    np.testing.assert_array_equal(train.images[..., 1], images)
    assert train.paths[0].endswith("000.tif")


def test_both_splits_and_the_export_have_the_range_of_the_training_images(tmp_path):
    for split, factor in (("train", 16), ("val", 8)):
        for i, image in enumerate(photographs(6)):
            place = tmp_path / "set" / split / "a" / f"{i}.tif"
            place.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(place, image.astype(np.uint16) * factor)
    train, test = (ks.load(f"folder:{tmp_path}/set", split) for split in ("train", "validation"))
    assert train.pixels == test.pixels
    assert test.images.max() <= 130
    pixels = train.pixels
    preprocessing = ks.Preprocessing(32, low=pixels.low, high=pixels.high)
    ks.export_encoder(tiny(), tmp_path / "exported", preprocessing)
    encoder = ks.load_encoder(tmp_path / "exported")
    assert encoder.preprocessing.pixels == pixels
    features = ks.embed(encoder, tmp_path / "set/val")  # alone, it would have another range
    np.testing.assert_allclose(features.values, encoder(test.images), atol=1e-5)


@pytest.mark.slow
def test_channels_of_measurements_have_their_own_ranges(tmp_path):
    bands = np.random.RandomState(0).rand(8, 16, 16, 5) * [1, 10, 100, 1000, 1e4]
    name = folder_of(
        tmp_path / "five", bands, lambda p, a: tifffile.imwrite(f"{p}.tif", a.astype("f4"))
    )
    train = ks.load(name, pixels=Pixels(5))
    np.testing.assert_allclose(train.pixels.high, [1, 10, 100, 1000, 1e4], rtol=0.02)
    assert train.images.shape == (8, 16, 16, 5)
    with pytest.raises(ks.InputError, match=r"5 channels where 3 are expected; "):
        ks.load(name)
    augmentation = ks.Augmentation(mean="auto", std="auto")
    with pytest.warns(UserWarning, match="color jitter and grayscale are left out.* 5 channels"):
        pairs = ks.views(train.images, augmentation, 4)
    x1, x2 = next(iter(pairs))
    assert x1.shape == x2.shape == (4, 16, 16, 5)
    assert abs(np.mean(x1)) < 0.5
    model = ks.SimSiam(ks.resnet18(4, channels=5), ks.projector(32, 16), ks.predictor(16))
    model.compile(**ks.paper_optimizers(4, steps=2))
    model.fit(pairs, steps_per_epoch=2, epochs=1, verbose=0, shuffle=False)
    ks.export_encoder(model, tmp_path / "exported")
    encoder = ks.load_encoder(tmp_path / "exported")
    assert encoder.preprocessing.channels == 5
    assert encoder(train.images).shape == (8, 32)
    assert ks.embed(encoder, name).values.shape == (8, 32)
    with pytest.raises(ks.InputError, match=r"images must be uint8 \[N, H, W, 5\]"):
        encoder(train.images[..., :3])


def test_colors_become_gray_for_one_channel(tmp_path):
    for i in range(2):
        write_image(tmp_path / f"{i}.png", i)
        write_image(tmp_path / f"{i}.jpg", i)
    images = ks.load(f"folder:{tmp_path}", pixels=Pixels(1)).images
    assert images.shape == (4, 64, 64, 1)
    for image, name in zip(images, ("0.jpg", "0.png", "1.jpg", "1.png"), strict=True):
        expected = np.asarray(Image.open(tmp_path / name).convert("L")).astype(int)
        assert np.abs(image[..., 0] - expected).max() <= 2


def test_channels_that_do_not_fit_mean_and_std_are_refused():
    images = np.zeros((4, 8, 8, 2), np.uint8)
    message = r"images must be uint8 \[N, H, W, 3\]; got uint8 \[4, 8, 8, 2\]"
    with pytest.raises(ks.InputError, match=message):
        ks.views(images, ks.Augmentation(), 2)
    with pytest.raises(ks.InputError, match="mean and std must have one number for each channel"):
        ks.Augmentation(mean=(0.5,))


def test_mean_and_std_are_those_of_the_images():
    images = np.random.RandomState(0).randint(0, 256, (64, 64, 64, 3), np.uint8)
    images[..., 1] //= 2
    mean, std = mean_and_std(ks.data.as_images(images))
    np.testing.assert_allclose(mean, images.mean((0, 1, 2)) / 255, atol=1e-3)
    np.testing.assert_allclose(std, images.std((0, 1, 2)) / 255, atol=1e-3)


def test_a_constant_channel_and_no_deep_file_have_a_range_or_none(tmp_path):
    np.save(tmp_path / "a.npy", np.full((4, 4, 1), 7, np.uint16))
    assert measured(Paths.of([str(tmp_path / "a.npy")]), Pixels(1)) == Pixels(1, (7,), (8,))
    write_image(tmp_path / "a.png", 0)
    assert measured(Paths.of([str(tmp_path / "a.png")]), Pixels()) == Pixels()


def test_tiffs_are_copied_once_and_again_where_they_change(tmp_path, monkeypatch):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, photographs(1)[0])
    files = Paths.of([str(file)])
    (first,), causes = copies.readable_paths(files)
    assert not causes
    with monkeypatch.context() as patch:
        patch.setattr("keras_simsiam.data.tiff.read_tiff", None)
        assert [*copies.readable_paths(files)[0]] == [first]
    tifffile.imwrite(file, photographs(1)[0][:20])
    (second,), _ = copies.readable_paths(files)
    assert second != first
    found = ImageFiles(files, stored=Paths.of([second])).image(0)
    assert found.shape == (20, 32, 3)


def test_damaged_tiffs_are_named_with_the_cause(tmp_path):
    for i in range(2):
        tifffile.imwrite(tmp_path / f"{i}.tif", photographs(1)[0])
    (tmp_path / "1.tif").write_bytes(b"anything")
    with pytest.raises(ks.InputError, match=r"1 of 2 images .*1\.tif \(not a TIFF file"):
        ks.load(f"folder:{tmp_path}")
    source = ks.find_source(tmp_path)
    assert "not a TIFF" in source.why(1)
    assert ks.embed("pixels", tmp_path).names == ["0.tif"]

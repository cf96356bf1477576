"""Weights from PyTorch and back: what torch computes with them, Keras computes."""

import contextlib
import importlib.util
import io
import json
import struct
import typing
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_simsiam as ks
from keras_simsiam import InputError, export_pytorch, load_pytorch_weights
from keras_simsiam.models import pytorch

safetensors = pytest.importorskip("safetensors.numpy", reason="needs pip install '.[torch]'")


def small(stem="imagenet"):
    return ks.SimSiam(ks.resnet18(width=8, stem=stem), ks.projector(64, 64), ks.predictor(64, 16))


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs pip install '.[torch]'")


@pytest.fixture(scope="module")
def torchvision(torch):
    from experiments.benchmarks.common import import_torchvision

    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs torchvision: pip install '.[bench]'")
    import_torchvision()
    import torchvision

    return torchvision


@pytest.fixture
def authors_file(reference, tmp_path):
    """The reference network of 8 channels as the authors' code saves it, with what it computes."""
    arrays = reference("training")
    there = {"projector.": "encoder.fc.", "backbone.": "encoder."}
    weights = {}
    for name, array in arrays.items():
        if name.startswith("initial/"):
            name = name.removeprefix("initial/")
            for ours, theirs in there.items():
                name = name.replace(ours, theirs)
            weights[f"module.{name}"] = array
    path = tmp_path / "authors.safetensors"
    safetensors.save_file({n: np.ascontiguousarray(a) for n, a in weights.items()}, path)
    return path, arrays


def test_first_training_step_is_pytorchs(authors_file):
    path, arrays = authors_file
    model = small()
    load_pytorch_weights(model, path)
    for view in (1, 2):
        z = model.projector(model.backbone(arrays[f"views{view}"][0], training=True), training=True)
        p = model.predictor(z, training=True)
        np.testing.assert_allclose(z, arrays[f"stop/first/z{view}"], atol=2e-4)
        np.testing.assert_allclose(p, arrays[f"stop/first/p{view}"], atol=2e-4)


def test_network_is_built_from_the_checkpoint_alone(authors_file):
    weights = pytorch.read_pytorch(authors_file[0])
    built, expected = pytorch.build(weights, "resnet18"), small()
    load_pytorch_weights(expected, authors_file[0])
    shapes = [[tuple(v.shape) for v in m.variables] for m in (built, expected)]
    assert shapes[0] == shapes[1]
    for a, b in zip(built.backbone.variables, expected.backbone.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_backbone_takes_its_part_of_a_simsiam(authors_file):
    backbone = ks.resnet18(width=8)
    load_pytorch_weights(backbone, authors_file[0])
    expected = authors_file[1]["initial/backbone.conv1.weight"]
    np.testing.assert_array_equal(
        backbone.get_layer("conv1").kernel, expected.transpose(2, 3, 1, 0)
    )


@pytest.mark.parametrize("layout", typing.get_args(pytorch.Layout))
def test_exported_weights_come_back(layout, tmp_path):
    keras.utils.set_random_seed(3)
    model, other = small(), small()
    export_pytorch(model, tmp_path / "w.safetensors", layout)
    if layout == "torchvision":
        model, other = model.backbone, other.backbone
    load_pytorch_weights(other, tmp_path / "w.safetensors")
    for a, b in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def rewritten(path, tmp_path, change):
    weights = safetensors.load_file(path)
    change(weights)
    out = tmp_path / "changed.safetensors"
    safetensors.save_file(weights, out)
    return out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda w: w.pop("module.encoder.layer2.0.bn1.weight"), "missing: backbone.layer2.0.bn1.w"),
        (
            lambda w: w.update({"module.encoder.extra": w["module.encoder.bn1.bias"]}),
            "unexpected: backbone.extra",
        ),
        (
            lambda w: w.update({"module.predictor.3.bias": np.zeros(5, np.float32)}),
            r"mismatched: predictor.3.bias has shape \[5\], not \[64\]",
        ),
        (
            lambda w: [w.pop(n) for n in list(w) if "predictor" in n or ".fc." in n],
            "has only a backbone: load it into model.backbone",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(authors_file, tmp_path, change, named):
    path = rewritten(authors_file[0], tmp_path, change)
    model = small()
    before = [np.array(v) for v in model.variables]
    with pytest.raises(InputError, match=named):
        load_pytorch_weights(model, path)
    for variable, array in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, array)


def test_files_without_a_resnet_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_pytorch_weights(small(), tmp_path / "none.pth")
    safetensors.save_file({"blocks.0.attn": np.zeros(3, np.float32)}, tmp_path / "vit.safetensors")
    with pytest.raises(InputError, match=r"must hold a ResNet.*blocks\.0\.attn"):
        load_pytorch_weights(small(), tmp_path / "vit.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"1234")
    with pytest.raises(InputError, match="cannot read checkpoint"):
        load_pytorch_weights(small(), tmp_path / "cut.safetensors")


def raw_safetensors(path, header, data=b"\0" * 64, length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", length or len(header)) + header + data)


def entry(dtype="F32", shape=(4, 4), offsets=(0, 64)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("header", "arguments"),
    [
        ({"conv1.weight": entry()}, {"length": 2**60}),
        ({"conv1.weight": entry()}, {"length": 10**6}),
        ({"conv1.weight": entry(shape=(8,), offsets=(0, 32)), "b": entry(offsets=(0, 64))}, {}),
        ({"conv1.weight": entry(shape=(4, 400), offsets=(0, 6400))}, {}),
        ({"conv1.weight": entry(shape=(2**62, 2**62))}, {}),
        ({"conv1.weight": entry("F8_E4M3", (64,))}, {}),
        ({"conv1.weight": entry("I8", (64,))}, {}),
        ({"conv1.weight": entry("BOOL", (64,))}, {}),
        ({"conv1.weight": entry("C64", (8,))}, {}),
        ({"conv1.weight": entry()}, {"data": b"\xff" * 64}),
        ({"conv1.weight": entry(shape=(0, 4), offsets=(0, 0))}, {"data": b""}),
        (b"{", {}),
        (b'{"a":' + b"[" * 10_000, {}),
        ({}, {"data": b""}),
    ],
)
def test_hostile_safetensors_are_one_line(header, arguments, tmp_path):
    raw_safetensors(tmp_path / "hostile.safetensors", header, **arguments)
    with pytest.raises(InputError, match=r"hostile\.safetensors'") as caught:
        pytorch.read_pytorch(tmp_path / "hostile.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.update({"backbone.conv1.weight": np.ones((10**6, 1, 1, 1))}), "of a ResNet"),
        (lambda w: w.pop("backbone.conv1.weight"), "shapes of a ResNet"),
        (lambda w: w.update({"backbone.conv1.weight": np.ones(3)}), r"of a ResNet.*got \[3\]"),
        (lambda w: w.update({"projector.0.weight": np.ones((10**6, 1))}), "projector's linear"),
        (lambda w: w.update({"predictor.3.weight": np.ones((9, 9))}), "predictor's linear layers"),
        (lambda w: w.update({"predictor.x.weight": np.ones((9, 9))}), "unexpected: predictor.x"),
        (lambda w: w.update({"backbone.bn1.weight": np.ones((2, 2, 2))}), r"shape \[2, 2, 2\]"),
    ],
)
def test_a_network_is_built_as_large_as_its_file_and_no_larger(authors_file, change, said):
    weights = pytorch.read_pytorch(authors_file[0])
    change(weights)
    with pytest.raises(InputError, match=said):
        pytorch.build(weights, "resnet18")


# From here on with torch itself.


def torch_simsiam(torch, torchvision, name, stem, dim=64, hidden=16):
    """The authors' model around torchvision's ResNet, with running statistics that matter."""
    nn = torch.nn
    torch.manual_seed(0)
    encoder = getattr(torchvision.models, name)(num_classes=dim)
    if stem == "cifar":
        encoder.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        encoder.maxpool = nn.Identity()
    features = encoder.fc.weight.shape[1]
    encoder.fc = nn.Sequential(
        nn.Linear(features, features, bias=False),
        nn.BatchNorm1d(features),
        nn.ReLU(),
        nn.Linear(features, features, bias=False),
        nn.BatchNorm1d(features),
        nn.ReLU(),
        encoder.fc,
        nn.BatchNorm1d(dim, affine=False),
    )
    model = nn.Module()
    model.encoder = encoder
    model.predictor = nn.Sequential(
        nn.Linear(dim, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, dim),
    )
    with torch.no_grad():  # a few batches give the running statistics values
        for _ in range(3):
            model.predictor(encoder(torch.randn(16, 3, 32, 32)))
    return model.eval()


def z_and_p(model, images, training):
    z = model.projector(model.backbone(images, training=training), training=training)
    return z, model.predictor(z, training=training)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("resnet18", "imagenet"),
        ("resnet18", "cifar"),
        ("resnet50", "imagenet"),
        ("resnet50", "cifar"),
    ],
)
def test_checkpoints_of_the_authors_give_their_features(torch, torchvision, tmp_path, name, stem):
    theirs = torch_simsiam(torch, torchvision, name, stem)
    state = {f"module.{n}": v for n, v in theirs.state_dict().items()}
    path = tmp_path / "checkpoint_0099.pth.tar"
    optimizer = torch.optim.SGD(theirs.parameters(), 0.05, momentum=0.9)
    torch.save(
        {"epoch": 100, "arch": name, "state_dict": state, "optimizer": optimizer.state_dict()}, path
    )
    model = pytorch.build(pytorch.read_pytorch(path), name)
    images = np.random.default_rng(0).standard_normal((8, 32, 32, 3), np.float32)
    given = torch.from_numpy(images.transpose(0, 3, 1, 2))
    with torch.no_grad():
        fc, theirs.encoder.fc = theirs.encoder.fc, torch.nn.Identity()
        expected = theirs.encoder(given)
        theirs.encoder.fc = fc
        expected_z = fc(expected)
        expected_p = theirs.predictor(expected_z)
    z, p = z_and_p(model, images, training=False)
    np.testing.assert_allclose(model.backbone(images), expected, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(z, expected_z, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(p, expected_p, atol=1e-4, rtol=1e-4)


def test_a_step_in_training_mode_moves_the_statistics_as_torch_does(torch, torchvision, tmp_path):
    theirs = torch_simsiam(torch, torchvision, "resnet18", "cifar").double()
    path = tmp_path / "c.pth"
    torch.save(theirs.state_dict(), path)
    keras.backend.set_floatx("float64")
    keras.mixed_precision.set_global_policy("float64")
    try:
        model = pytorch.build(pytorch.read_pytorch(path), "resnet18")
        images = np.random.default_rng(0).standard_normal((16, 32, 32, 3))
        z, p = z_and_p(model, images, training=True)
    finally:
        keras.backend.set_floatx("float32")
        keras.mixed_precision.set_global_policy("float32")
    before = pytorch.read_pytorch(path)
    theirs.train()
    with torch.no_grad():
        expected_z = theirs.encoder(torch.from_numpy(images.transpose(0, 3, 1, 2)))
        expected_p = theirs.predictor(expected_z)
    np.testing.assert_allclose(z, expected_z, atol=1e-4)
    np.testing.assert_allclose(p, expected_p, atol=1e-4)
    torch.save(theirs.state_dict(), path)
    after = pytorch.read_pytorch(path)
    for name, variable in pytorch.named_variables(model):
        moved = after[name] - before[name]
        if name.endswith(("running_mean", "running_var")):
            step = variable.numpy() - before[name]
            np.testing.assert_allclose(step, moved, atol=1e-4, err_msg=name)


def test_torchvisions_own_state_dict_loads_without_its_classifier(torch, torchvision, tmp_path):
    theirs = torchvision.models.resnet18().eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    backbone = ks.resnet18()
    load_pytorch_weights(backbone, tmp_path / "resnet18.pth")
    theirs.fc = torch.nn.Identity()
    images = np.random.default_rng(0).standard_normal((2, 64, 64, 3), np.float32)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(backbone(images), expected, atol=1e-4, rtol=1e-4)


def test_torchvision_loads_what_is_exported(torch, torchvision, tmp_path):
    backbone = ks.resnet50()
    images = np.random.default_rng(0).standard_normal((4, 64, 64, 3), np.float32)
    backbone(images, training=True)
    export_pytorch(backbone, tmp_path / "r50.pth")
    theirs = torchvision.models.resnet50()
    theirs.fc = torch.nn.Identity()
    theirs.load_state_dict(torch.load(tmp_path / "r50.pth", weights_only=True))  # strict
    with torch.no_grad():
        found = theirs.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(backbone(images), found, atol=1e-4, rtol=1e-4)


def test_the_authors_model_loads_what_is_exported(torch, torchvision, tmp_path):
    theirs = torch_simsiam(torch, torchvision, "resnet18", "imagenet")
    model = ks.SimSiam(ks.resnet18(), ks.projector(512, 64), ks.predictor(64, 16))
    export_pytorch(model, tmp_path / "simsiam.pth.tar", "authors")
    found = torch.load(tmp_path / "simsiam.pth.tar", weights_only=True)["state_dict"]
    theirs.load_state_dict({n.removeprefix("module."): v for n, v in found.items()})  # strict
    images = np.random.default_rng(0).standard_normal((4, 32, 32, 3), np.float32)
    with torch.no_grad():
        expected = theirs.encoder(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(z_and_p(model, images, False)[0], expected, atol=1e-4, rtol=1e-4)


def lightly_names(name):
    """lightly's tutorial: the list of the ResNet's children, then heads with ``layers``."""
    children = {"conv1": "0", "bn1": "1", **{f"layer{i}": str(i + 3) for i in range(1, 5)}}
    for child, number in children.items():
        name = name.replace(f"encoder.{child}.", f"backbone.{number}.")
    name = name.replace("encoder.fc.", "projection_head.layers.")
    return name.replace("predictor.", "prediction_head.layers.")


def solo_names(name):
    return name.replace("encoder.fc.", "projector.").replace("encoder.", "backbone.")


@pytest.mark.parametrize("rename", [lightly_names, solo_names])
def test_checkpoints_of_lightly_and_solo_learn_are_those_of_the_authors(
    rename, authors_file, tmp_path
):
    weights = safetensors.load_file(authors_file[0])
    renamed = {rename(n.removeprefix("module.")): v for n, v in weights.items()}
    assert not renamed.keys() & weights.keys()
    if rename is solo_names:  # its monitor of training
        renamed["classifier.weight"] = np.zeros((10, 64), np.float32)
    safetensors.save_file(renamed, tmp_path / "renamed.safetensors")
    models = small(), small()
    load_pytorch_weights(models[0], authors_file[0])
    load_pytorch_weights(models[1], tmp_path / "renamed.safetensors")
    for a, b in zip(models[0].variables, models[1].variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_lightlys_own_modules_have_these_names(torch, torchvision, tmp_path):
    heads = pytest.importorskip("lightly.models.modules.heads", reason="needs '.[bench]'")
    nn = torch.nn
    resnet = torchvision.models.resnet18()
    model = nn.Module()
    model.backbone = nn.Sequential(*list(resnet.children())[:-1])
    model.projection_head = heads.SimSiamProjectionHead(512, 512, 128)
    model.prediction_head = heads.SimSiamPredictionHead(128, 64, 128)
    model.eval()
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "lightly.ckpt")
    built = pytorch.build(pytorch.read_pytorch(tmp_path / "lightly.ckpt"), "resnet18")
    images = np.random.default_rng(0).standard_normal((2, 64, 64, 3), np.float32)
    with torch.no_grad():
        features = model.backbone(torch.from_numpy(images.transpose(0, 3, 1, 2))).flatten(1)
        expected = model.prediction_head(model.projection_head(features))
    np.testing.assert_allclose(z_and_p(built, images, False)[1], expected, atol=1e-4, rtol=1e-4)


def test_code_in_a_checkpoint_is_not_run(torch, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": {"conv1.weight": Evil()}}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="Only weights can be read"):
        load_pytorch_weights(small(), tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def rewrapped(path, change=lambda name, content: content, compression=zipfile.ZIP_STORED):
    """Writes a checkpoint's zip again, with changed members."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, change(name, content))


def hostile_tensors(torch):
    weight = torch.ones(4, 3, 7, 7)
    return {
        "NaN": (weight * float("nan"), "finite"),
        "too large for float32": (weight.double() * 1e300, "finite"),
        "int8": (weight.to(torch.int8), "got int8"),
        "bool": (weight > 0, "got bool"),
        "complex": (weight.to(torch.complex64), "got complex64"),
        "fp8": (weight.to(torch.float8_e4m3fn), "got float8_e4m3fn"),
        "quantized": (torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8), "got qint8"),
        "sparse": (weight.to_sparse(), "dense tensor .*sparse_coo"),
        "meta": (weight.to("meta"), "dense tensor .*meta"),
        "nested": (torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested"),
        "empty": (torch.ones(0, 3, 7, 7), "none of them 0"),
        "scalar": (torch.tensor(1.0), "1 to 4 dimensions"),
        "terabytes": (torch.ones(1).expand(10**4, 10**4, 10**4), "more than the file"),
    }


def test_weights_that_are_no_finite_floats_are_refused(torch, tmp_path):
    for case, (tensor, said) in hostile_tensors(torch).items():
        torch.save({"conv1.weight": tensor}, tmp_path / f"{case}.pth")
        with pytest.raises(InputError, match=said) as caught:
            pytorch.read_pytorch(tmp_path / f"{case}.pth")
        assert f"{case}.pth'" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_weights_of_any_floating_point_type_and_parameters_are_read(torch, tmp_path):
    weight = torch.rand(4, 3, 7, 7)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        saved = torch.nn.Parameter(weight.to(dtype))
        torch.save({"conv1.weight": saved, "steps": torch.tensor(3), 5: saved}, tmp_path / "w.pth")
        (read,) = pytorch.read_pytorch(tmp_path / "w.pth").values()
        np.testing.assert_array_equal(read, saved.detach().float())


def test_damaged_zips_of_torch_are_one_line(torch, tmp_path):
    """PyTorch itself does not notice a changed byte of the weights."""
    path, whole = tmp_path / "w.pth", io.BytesIO()
    torch.save({"conv1.weight": torch.rand(4, 3, 7, 7)}, whole)
    content = whole.getvalue()
    weights = content.index(b"data/0") + 300
    for damaged in (
        b"",
        b"hello",
        content[:2000],
        content[:weights] + b"\0\0" + content[weights + 2 :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="cannot read checkpoint") as caught:
            pytorch.read_pytorch(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(content)
    rewrapped(path, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="its members are compressed"):
        pytorch.read_pytorch(path)


def test_a_changed_bit_in_the_old_format_is_read_or_refused(torch, tmp_path):
    path, whole = tmp_path / "old.pth", io.BytesIO()
    weights = {"conv1.weight": torch.rand(4, 3, 7, 7)}
    torch.save(weights, whole, _use_new_zipfile_serialization=False)
    content = whole.getvalue()
    for position in range(0, len(content) - 4 * 588, 3):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        with contextlib.suppress(InputError):
            pytorch.read_pytorch(path)


def test_training_goes_on_from_imported_weights(authors_file, tmp_path):
    model = small()
    load_pytorch_weights(model, authors_file[0])
    model.compile(**ks.paper_optimizers(16, steps=5))
    arrays = authors_file[1]
    loss = model.train_step(tuple(tf.constant(arrays[f"views{i}"][0]) for i in (1, 2)))["loss"]
    np.testing.assert_allclose(loss, arrays["stop/loss"][0], atol=1e-5)

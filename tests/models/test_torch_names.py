"""Which names PyTorch's checkpoints may have: each layout gives the same backbone and heads."""

import pathlib
import re

import numpy as np
import pytest

import keras_simsiam as ks
from keras_simsiam.models import pytorch, torch_files, torch_names

ROOT = pathlib.Path(__file__).parents[2]
CHILDREN = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
"""Places of a ResNet's children in an ``nn.Sequential`` of them."""

LAYOUTS = {
    "SimSiam": ("module.encoder.", "module.encoder.fc.", ()),
    "MoCo v1": ("module.encoder_q.", None, ("module.encoder_k.conv1.weight", "module.queue")),
    "MoCo v2": ("module.encoder_q.", "module.encoder_q.fc.", ("module.encoder_k.fc.0.weight",)),
    "MoCo v3": (
        "module.base_encoder.",
        "module.base_encoder.fc.",
        ("module.momentum_encoder.conv1.weight",),
    ),
    "SwAV": ("module.", "module.projection_head.", ("module.prototypes.weight",)),
    "Barlow Twins": ("module.backbone.", "module.projector.", ("module.bn.running_mean",)),
    "VICReg": ("module.backbone.", "module.projector.", ()),
    "DINO": ("module.backbone.", None, ("module.head.mlp.0.weight",)),
    "byol-pytorch": ("online_encoder.net.", None, ("target_encoder.net.conv1.weight",)),
    "PyTorch-BYOL": ("encoder.N.", None, ("projetion.net.0.weight",)),
    "mmselfsup": ("backbone.", None, ("neck.fc0.weight", "head.predictor.fc0.weight")),
    "solo-learn": (
        "backbone.",
        "projector.",
        ("momentum_backbone.conv1.weight", "classifier.bias"),
    ),
    "solo-learn, older": ("encoder.", "projector.", ()),
    "lightly": ("backbone.N.", "projection_head.layers.", ()),
    "lightly, whole ResNet": ("backbone.", "projection_head.layers.", ()),
    "timm": ("", None, ("fc.weight", "fc.bias")),
}
"""Beginnings of the names of backbone and projector, "N" for a child's place, and other names."""


@pytest.fixture(scope="module")
def model():
    return ks.SimSiam(ks.resnet18(width=2), ks.projector(16, 8, layers=2), ks.predictor(8))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_weights(model, layout):
    backbone, projector, others = LAYOUTS[layout]
    ours = pytorch._with_torchs_own(model)
    found = {name: np.ones([2, 2], np.float32) for name in others}
    for name, array in ours.items():
        part, _, rest = name.partition(".")
        if part == "backbone":
            child, _, within = rest.partition(".")
            place = f"{CHILDREN[child]}.{within}"
            found[backbone.replace("N.", place) if "N." in backbone else backbone + rest] = array
        elif part == "projector" and projector is not None:
            found[projector + rest] = array
    read = torch_names.of_parts(torch_names.common(found))
    expected = {
        name: array
        for name, array in pytorch.named_variables(model)
        if name.startswith("backbone.") or (projector and name.startswith("projector."))
    }
    assert read.keys() == expected.keys()
    for name, variable in expected.items():
        np.testing.assert_array_equal(pytorch.to_keras(read[name]), variable, err_msg=name)


@pytest.mark.parametrize("key", ["state_dict", "model", "teacher", "online_network_state_dict"])
def test_the_state_dict_may_be_under_a_key(tmp_path, key):
    torch = pytest.importorskip("torch", reason="needs pip install '.[torch]'")
    torch.save({key: {"conv1.weight": torch.zeros(2)}, "epoch": 3}, tmp_path / "a.pth")
    assert list(torch_files.read(tmp_path / "a.pth")) == ["conv1.weight"]


def test_the_readme_lists_each_layout():
    readme = (ROOT / "keras_simsiam/models/README.md").read_text()
    for layout in LAYOUTS:
        assert re.split(r" v\d|,", layout)[0] in readme

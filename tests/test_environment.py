"""What a result was measured on."""

import os
import pathlib
import platform

import pytest

import keras_simsiam
from keras_simsiam import environment
from keras_simsiam.environment import processor, versions


def test_the_processor_is_named_by_its_model_and_cores():
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if not cpuinfo.exists() or "model name" not in cpuinfo.read_text():
        pytest.skip("this machine does not name its processor in /proc/cpuinfo")
    model, _, cores = processor().rpartition(", ")
    assert f": {model}\n" in cpuinfo.read_text()
    assert model not in ("", platform.machine())
    assert cores.split()[0] == str(len(os.sched_getaffinity(0)))


def test_versions_leave_out_what_is_not_installed():
    found = versions("numpy", "no-such-package")
    assert found["keras-simsiam"] == keras_simsiam.__version__
    assert list(found) == ["keras-simsiam", "tensorflow", "keras", "numpy"]


@pytest.mark.parametrize(("cores", "onednn"), [(1, None), (2, "1")])
def test_onednn_is_turned_on_unless_there_is_one_core(cores, onednn, monkeypatch):
    if platform.machine() != "x86_64":
        pytest.skip("oneDNN is turned on for x86 processors only")
    monkeypatch.setattr(environment, "cores", lambda: cores)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    environment.set_defaults()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == onednn
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    environment.set_defaults()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"

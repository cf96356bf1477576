"""The images that a process loads."""

from keras_simsiam import data, preset
from keras_simsiam.training.inputs import load_inputs


def test_a_process_that_does_not_evaluate_loads_the_images_to_train_on_only(monkeypatch):
    loaded, before = [], data.load

    def noting(name, split, *args):
        loaded.append(split)
        return before(name, split, *args)

    monkeypatch.setattr(data, "load", noting)
    found = load_inputs(preset("photo_patches"), evaluates=False)
    assert loaded == ["train"]
    assert found.monitor is None
    assert list(found.fingerprints) == ["training images", "training labels"]

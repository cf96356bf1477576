"""The experiment on augmentations by kind of image."""

import itertools

from experiments import augmentations, common
from keras_simsiam import Run, load, preset


def test_each_kind_is_a_dataset_that_is_trained_for_about_as_many_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(common, "run", lambda *args, spec, **options: asked.append(spec))
    assert augmentations.main([]) == 0
    assert augmentations.main([]) == 0  # the folders are there
    base = preset("photo_patches").replace(**common.SMALL)
    kinds = [kind for spec in asked[3:] for kind in spec["kind"]["choices"].values()]
    steps, classes = [], []
    for kind, changes in itertools.product(kinds, asked[0]["views"]["choices"].values()):
        run: Run = base.replace(**nested({**kind, **changes}))
        if changes == {}:
            train = load(run.data.dataset, "train")
            steps.append(run.training.epochs * (len(train.images) // run.training.batch_size))
            classes.append(len({*train.labels.tolist()}))
    assert classes == [18, 9, 10]
    assert max(steps) < 1.02 * min(steps)


def nested(flat):
    """Settings by section, from names such as "training.epochs"."""
    sections = {}
    for name, value in flat.items():
        section, _, setting = name.partition(".")
        sections.setdefault(section, {})[setting] = value
    return sections

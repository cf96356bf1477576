"""Records the results of a run: its accuracy, exported encoder, figures and summary."""

from __future__ import annotations

import dataclasses
import itertools

from keras_simsiam import plots
from keras_simsiam.environment import processor, versions
from keras_simsiam.evaluation import Encoder
from keras_simsiam.evaluation.averages import settled
from keras_simsiam.export import exporting
from keras_simsiam.files import write_csv, write_json
from keras_simsiam.metrics import SUMMARY
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.training import resuming
from keras_simsiam.training.fit import Callbacks
from keras_simsiam.training.interrupts import Ending
from keras_simsiam.training.outcome import Outcome
from keras_simsiam.training.prepare import Prepared, retrieval


def record(prepared: Prepared, callbacks: Callbacks, ending: Ending) -> Outcome:
    """Writes the results of a run, and returns its outcome.

    A preempted run, and a worker that is not the chief, write nothing here.
    """
    if ending.status == "preempted" or not prepared.chief:
        return _outcome(prepared, callbacks, ending, prepared.model, {}, None)
    model = _usable_model(prepared, ending)
    found: dict[str, float | None] = {}
    if model is not None:
        with settled(model, prepared.inputs.images, prepared.inputs.preprocessing):
            with exporting(model, prepared.folder.saved_model) as partial:
                prepared.folder.mark_exported(partial)
            if prepared.inputs.monitor is None:
                found["view_retrieval"] = retrieval(
                    Encoder.of(model), prepared.run, prepared.inputs
                )
    _draw(prepared, callbacks)
    last_epoch = callbacks.history.rows[-1] if callbacks.history.rows else {}
    measured = {**last_epoch, **_final_accuracy(callbacks, ending, model)}
    own = {field.name for field in dataclasses.fields(Outcome)}
    metrics = {key: measured.get(key) for key in SUMMARY if key not in own}
    metrics |= found | prepared.baselines
    saved_model = str(prepared.folder.saved_model) if model is not None else None
    outcome = _outcome(prepared, callbacks, ending, model or prepared.model, metrics, saved_model)
    write_json(prepared.folder.path / "summary.json", outcome.to_dict())
    return outcome


def _outcome(
    prepared: Prepared,
    callbacks: Callbacks,
    ending: Ending,
    model: JointEmbedding,
    metrics: dict[str, float | None],
    saved_model: str | None,
) -> Outcome:
    return Outcome(
        status=ending.status,
        dataset=prepared.run.data.dataset,
        metrics=metrics,
        baseline_images=prepared.baseline_images,
        collapse=callbacks.collapse.collapse,
        collapsed=callbacks.collapse.collapsed,
        images_per_second=callbacks.throughput.images_per_second,
        epochs=model.steps_done // prepared.inputs.steps_per_epoch,
        steps=model.steps_done,
        seconds=ending.seconds,
        seed=prepared.run.training.seed,
        saved_model=saved_model,
        versions=versions(),
        processor=processor(),
    )


def _usable_model(prepared: Prepared, ending: Ending) -> JointEmbedding | None:
    """The model, or the last intact checkpoint if it diverged; None if there is none."""
    if ending.status != "diverged":
        return prepared.model
    latest = next(resuming.intact(prepared.folder.checkpoints), None)
    return resuming.load(latest[0], prepared.model) if latest is not None else None


def _final_accuracy(
    callbacks: Callbacks, ending: Ending, model: JointEmbedding | None
) -> dict[str, float | None]:
    """The kNN accuracies of a model, not measured again if the last epoch's are of its weights."""
    monitor = callbacks.knn
    if monitor is None or model is None:
        return {"knn_top1": None, "knn_top5": None}
    monitor.set_model(model)
    last = monitor.latest if ending.status == "finished" else None
    accuracy = last or monitor.evaluate()
    return {"knn_top1": accuracy.top1, "knn_top5": accuracy.top5}


def _draw(prepared: Prepared, callbacks: Callbacks) -> None:
    """Draws the curves and the spectra, and writes the spectra as a table."""
    folder, spectra = prepared.folder.path, callbacks.collapse.spectra
    plots.curves(
        callbacks.history.rows,
        folder / "curves.png",
        f"{type(prepared.model).__name__} on {prepared.run.data.dataset}",
        prepared.baselines,
    )
    if not spectra:
        return
    plots.spectrum(spectra, folder / "spectrum.png")
    rows = enumerate(itertools.zip_longest(*spectra.values()), start=1)
    write_csv(folder / "spectrum.csv", ["index", *spectra], ([i, *row] for i, row in rows))

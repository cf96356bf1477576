"""A run under way: it fits, and writes down what came of it however it ends."""

from __future__ import annotations

import contextlib
import errno
import functools
import re
import signal
import threading
import time
from importlib import metadata

import keras
import tensorflow as tf

from keras_simsiam import augment, plots
from keras_simsiam.config import Run
from keras_simsiam.errors import CannotWrite, LostWorker, TrainingDiverged
from keras_simsiam.export import export_encoder
from keras_simsiam.models.gradients import NOT_FINITE
from keras_simsiam.models.simsiam import SimSiam
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.training import checkpoints
from keras_simsiam.training.callbacks import HistoryFile, StopOnBadLoss, Throughput
from keras_simsiam.training.collapse import CollapseMonitor
from keras_simsiam.training.devices import is_chief, share_out
from keras_simsiam.training.output import Output, RunFolder
from keras_simsiam.training.setup import Inputs, views_of


class _Preempted(Exception):
    """SIGTERM came, and a checkpoint has been written."""


class Session:
    """One run; arguments as `keras_simsiam.training.run.train` has made them."""

    def __init__(
        self,
        run: Run,
        output: Output,
        folder: RunFolder,
        inputs: Inputs,
        model: SimSiam,
        baselines: dict,
        resumed: dict,
        strategy: tf.distribute.Strategy,
        data_service: str | None,
    ):
        self.data_service = data_service
        self.strategy, self.chief = strategy, is_chief(strategy)
        self.run, self.folder, self.inputs, self.model = run, folder, inputs, model
        self.baselines = baselines
        self.first_step = model.steps_done
        self.preempted = threading.Event()
        self.history = HistoryFile(
            folder.path / "history.csv", self.first_step // inputs.steps_per_epoch
        )
        self.throughput = Throughput(inputs.batch_size, inputs.steps)
        a = run.augmentation
        self.collapse = CollapseMonitor(
            inputs.images,
            stop=run.training.stop_on_collapse,
            image_size=inputs.size,
            mean=a.mean,
            std=a.std,
            log_dir=str(folder.path / "tensorboard") if self.chief else None,
        )
        self.collapse.collapse = resumed.get("collapse")
        self.checkpoints = checkpoints.Checkpoints(
            folder.checkpoints,
            output.keep_checkpoints,
            output.checkpoint_every,
            lambda: {
                "dataset": inputs.description,
                "collapse": self.collapse.collapse,
                "keras": keras.__version__,
            },
            resumed.get("metrics") if self.first_step % inputs.steps_per_epoch else None,
        )
        self.checkpoints.set_model(model)

    def run_to_the_end(self) -> dict:
        """Fits until the end, Ctrl-C, or a bad loss; gives the summary."""
        started = time.perf_counter()
        status, diverged = "finished", None
        try:
            if self.chief and self.inputs.monitor is not None and not self.history.rows:
                untrained = self.baselines["knn_top1_random_weights"]
                if self.run.model.pytorch_weights is not None:
                    untrained = self.inputs.monitor.evaluate().top1
                self.history.add({"epoch": 0, "knn_top1": untrained})
            with self._ends_on_sigterm():
                self._fit()
            if self.model.stop_training:
                status = "collapsed"
        except KeyboardInterrupt:
            status = "interrupted"
            if self.chief:
                print("\ninterrupted: writing the checkpoint, the figures and the summary so far")
                self.checkpoints.save_within_epoch()
        except _Preempted:
            return {"status": "preempted", "steps": self.model.steps_done}
        except TrainingDiverged as e:
            status, diverged = "diverged", e
        except tf.errors.InvalidArgumentError as e:
            if NOT_FINITE not in str(e):
                raise
            status, diverged = "diverged", TrainingDiverged(self._not_finite(str(e)))
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as e:
            raise LostWorker(
                "another worker of this training is gone, so it cannot go on; start all of them "
                "again with --resume"
            ) from e
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise
            raise CannotWrite(
                f"'{self.folder.path}' cannot be written: {e.strerror or e}. The checkpoints in it "
                "are whole; make room, and --resume goes on from the last"
            ) from e
        seconds = time.perf_counter() - started
        summary = self._finish(status, seconds) if self.chief else {"status": status}
        if diverged is not None:
            raise diverged
        return summary

    def _not_finite(self, error: str) -> str:
        """What a step said whose gradients could not be applied, for people."""
        layer = re.search(rf"{NOT_FINITE}\] \[([^\]]*)\]", error)[1]
        return (
            f"{NOT_FINITE} {layer}, at step {self.model.steps_done + 1:,}; try a lower "
            "--learning-rate, or --warmup-epochs. The last checkpoint is from before that"
        )

    @contextlib.contextmanager
    def _ends_on_sigterm(self):
        """Lets the step under way end when SIGTERM comes; a second SIGTERM kills."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are for the main thread
            return

        def take(*_):
            signal.signal(signal.SIGTERM, before)
            self.preempted.set()

        before = signal.signal(signal.SIGTERM, take)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _stop_where_preempted(self, batch, logs) -> None:
        if self.preempted.is_set():
            if self.chief:
                self.checkpoints.save_within_epoch()
            raise _Preempted

    def _draw_views(self, pairs: tf.data.Dataset) -> None:
        """The first batch as the network sees it."""
        batch = next(iter(pairs))
        if self.run.data.augment_on == "device":
            batch = augment.make_views(self.run.augmentation, batch, self.inputs.size)
        a = self.run.augmentation
        plots.views(batch[:2], self.folder.path / "views.png", a)

    def _fit(self) -> None:
        callbacks = [self.throughput, StopOnBadLoss(), self.collapse]
        if self.inputs.monitor is not None:
            callbacks.append(self.inputs.monitor)
        if self.chief:
            logs = str(self.folder.path / "tensorboard")
            callbacks += [
                self.history,
                keras.callbacks.TensorBoard(logs, write_graph=False),
                # After all that is written of an epoch, so that it says that the epoch is done.
                self.checkpoints,
            ]
        callbacks.append(
            keras.callbacks.LambdaCallback(on_train_batch_end=self._stop_where_preempted)
        )
        per_epoch = self.inputs.steps_per_epoch
        epoch, done = divmod(self.first_step, per_epoch)
        # A run that was stopped within an epoch first does the rest of that one.
        stretches = [(self.first_step, epoch, epoch + 1, per_epoch - done)] if done else []
        epoch += done > 0
        if epoch < self.inputs.epochs:
            stretches.append((epoch * per_epoch, epoch, self.inputs.epochs, per_epoch))
        for start_step, initial_epoch, epochs, steps in stretches:
            if self.model.stop_training:
                break
            if start_step == 0 and self.chief:
                self._draw_views(views_of(self.run, self.inputs))
            self.model.fit(
                share_out(
                    self.strategy,
                    functools.partial(
                        views_of, self.run, self.inputs, start_step, self.data_service
                    ),
                ),
                initial_epoch=initial_epoch,
                epochs=epochs,
                steps_per_epoch=steps,
                callbacks=callbacks,
                verbose="auto" if self.chief else 0,
                shuffle=False,
            )

    def _finish(self, status: str, seconds: float) -> dict:
        """Evaluates, exports, draws; gives and writes the summary."""
        usable = status != "diverged" or self.folder.has_checkpoint()
        if status == "diverged" and usable:
            self.model = keras.models.load_model(checkpoints.latest(self.folder.checkpoints)[0])
        a, monitor = self.run.augmentation, self.inputs.monitor
        accuracy = None
        if monitor is not None and usable:
            monitor.set_model(self.model)
            accuracy = monitor.latest if status == "finished" else None
            accuracy = accuracy or monitor.evaluate()
        if usable:
            export_encoder(
                self.model,
                self.folder.saved_model,
                Preprocessing(self.inputs.size, a.mean, a.std),
            )
        rows = self.history.rows
        last = rows[-1] if rows else {}
        plots.curves(
            rows,
            self.folder.path / "curves.png",
            f"SimSiam on {self.run.data.dataset}",
            self.baselines,
        )
        if self.collapse.spectra:
            plots.spectrum(self.collapse.spectra, self.folder.path / "spectrum.png")
            self.folder.write_spectrum(self.collapse.spectra)
        summary = {
            "status": status,
            "dataset": self.run.data.dataset,
            "loss": last.get("loss"),
            "z_std": last.get("z_std"),
            "backbone_rank": last.get("backbone_rank"),
            "projector_rank": last.get("projector_rank"),
            "collapse": self.collapse.collapse,
            "collapsed": self.collapse.collapsed,
            "knn_top1": accuracy and accuracy.top1,
            "knn_top5": accuracy and accuracy.top5,
            **self.baselines,
            "images_per_second": self.throughput.images_per_second,
            "epochs": self.model.steps_done // self.inputs.steps_per_epoch,
            "steps": self.model.steps_done,
            "seconds": seconds,
            "seed": self.run.training.seed,
            "saved_model": str(self.folder.saved_model) if usable else None,
            "versions": {
                name: metadata.version(name) for name in ("keras-simsiam", "tensorflow", "keras")
            },
        }
        self.folder.write_json("summary.json", summary)
        return summary

"""The folder of a sweep, which never replaces anything but an earlier sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_simsiam import documents
from keras_simsiam.config import Run
from keras_simsiam.errors import InputError
from keras_simsiam.files import LOCK, discard, remove
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.output import Output

if TYPE_CHECKING:
    from keras_simsiam.training.inputs import Inputs


class SweepFolder:
    """The files of one sweep.

    ``sweep.yaml`` is the first file that is written and the last that is deleted, ``config.yaml``
    the other way round: a folder that has only the former was cut off in its preparation or its
    deletion, and starts anew.

    Attributes:
        path: ``sweep_dir/name``.
        saved_model: ``saved_model_dir/name``.

    Args:
        output: Where to write.
        dataset: The default name.

    Raises:
        InputError: If the name cannot be that of a folder.
    """

    def __init__(self, output: Output, dataset: str):
        self._as_run = RunFolder(output, dataset)
        self.path, self.saved_model = self._as_run.path, self._as_run.saved_model
        self._about, self._config = self.path / "sweep.yaml", self.path / "config.yaml"

    def join(self, run: Run, about: dict) -> None:
        """Checks that a worker finds the sweep of its chief, and the same images.

        Raises:
            InputError: If it does not.
        """
        if not self._config.exists():
            raise InputError(
                f"'{self.path}' does not exist: start the chief first, with the same options, on a "
                "disk that all processes share"
            )
        self._check_same(run, about)
        self._check_images(_load_inputs(run))

    def prepare(self, run: Run, about: dict, overwrite: bool) -> None:
        """Creates the folder of a new sweep, or checks that it holds the same one.

        Args:
            run: The run whose settings the sweep changes.
            about: What else makes it the same sweep.
            overwrite: Whether to delete an earlier sweep.

        Raises:
            InputError: If the folder holds anything else, or the dataset has no labels or other
                images than before. Nothing has changed then.
        """
        begun = self._about.exists()
        continued = begun and self._config.exists() and not overwrite
        if continued:
            self._check_same(run, about)
        elif not begun:
            self._check_free(overwrite)
        inputs = _load_inputs(run)
        print(f"{inputs.description}{inputs.left_out}", flush=True)
        if continued:
            self._check_images(inputs)
            return
        if inputs.monitor is None:
            raise InputError(
                f"dataset must have labeled training and test images, for kNN accuracy; got "
                f"'{run.data.dataset}'"
            )
        if begun:
            self._delete()
        discard(self.saved_model)
        documents.write_yaml(self._about, {**about, "fingerprints": inputs.fingerprints})
        run.save(self._config)

    def _check_same(self, run: Run, about: dict) -> None:
        self._as_run.check_same(run)
        before, now = (
            documents.read_yaml(self._about),
            documents.from_yaml(documents.to_yaml(about)),
        )
        for key in now:
            if before.get(key) != now[key]:
                raise InputError(
                    f"cannot continue sweep '{self.path}': its {key} was {before.get(key)}, now "
                    f"{now[key]}; give another --name, or --overwrite to delete it"
                )

    def _check_images(self, inputs: Inputs) -> None:
        from keras_simsiam.training.resuming import check_images

        refusal = f"cannot continue sweep '{self.path}'"
        before = documents.read_yaml(self._about)
        check_images(before, inputs.description, inputs.fingerprints, refusal)

    def _check_free(self, overwrite: bool) -> None:
        """Raises InputError if a new sweep would replace anything but an encoder."""
        if any(not f.name.startswith(".") for f in self.path.iterdir()):
            raise InputError(
                f"'{self.path}' exists and was not written by a sweep; choose another --name"
            )
        if not self.saved_model.exists() or (
            self.saved_model.is_dir() and not any(self.saved_model.iterdir())
        ):
            return
        if not (self.saved_model / "saved_model.pb").exists():
            raise InputError(
                f"'{self.saved_model}' exists and was not written by a sweep; choose another --name"
            )
        if not overwrite:
            raise InputError(
                f"'{self.saved_model}' exists; choose another --name, or --overwrite to delete it"
            )

    def _delete(self) -> None:
        """Deletes an earlier sweep, but for the lock that this process holds."""
        self._config.unlink(missing_ok=True)
        for path in self.path.iterdir():
            if path.name not in (LOCK, self._about.name):
                remove(path)


def _load_inputs(run: Run) -> Inputs:
    """The images, whatever the batch size, which may be one that the sweep replaces."""
    from keras_simsiam.training.inputs import load_inputs  # TensorFlow takes seconds to import

    return load_inputs(run.replace(training={"batch_size": 2}))

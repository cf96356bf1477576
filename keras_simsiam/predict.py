"""The class of every image: ``python -m keras_simsiam.predict --classifier PATH``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from keras_simsiam import options
from keras_simsiam.collection_options import Collection, check_free
from keras_simsiam.errors import InputError, printable
from keras_simsiam.fields import Settings, setting, switch
from keras_simsiam.files import claimed, spreadsheet_text


@dataclass(frozen=True)
class Prediction(Settings):
    """What to predict."""

    classifier: str
    """Folder of a classifier that fine_tune wrote; required."""
    output: str = setting(alias="-o")
    """CSV file for the name, class and confidence of each image; required."""
    top: int = setting(1, at_least=1)
    """Number of classes to write for each image, the most probable first."""
    overwrite: bool = switch(False)
    """Replace an existing file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and predicts; returns the exit code."""
    parser = options.Parser("predict", "Predict the class of every image of a collection.")
    parser.add_arguments(Prediction, dest="prediction")
    parser.add_arguments(Collection, dest="collection")
    parsed = parser.parse_args(argv)
    p: Prediction = parsed.prediction
    check_free(p.overwrite, p.output)
    # Claimed before the images are read, so that a file that cannot be written is reported at once.
    with claimed(p.output, beside=True):
        _predict(p, parsed.collection)
    return 0


def _predict(p: Prediction, collection: Collection) -> None:
    from keras_simsiam.collection import find_source
    from keras_simsiam.files import write_csv
    from keras_simsiam.fine_tuning import load_classifier, predict

    started = time.perf_counter()
    classifier = load_classifier(p.classifier)
    if p.top > len(classifier.class_names):
        raise InputError(
            f"top must be at most {len(classifier.class_names)}, the number of classes; got {p.top}"
        )
    source = find_source(collection.images(), collection.split, collection.data_dir)
    print(f"{printable(p.classifier)} on {len(source):,} images", flush=True)
    found = predict(classifier, source, p.top)
    head = ["name"]
    for place in range(1, p.top + 1):
        head += [
            f"{column}{f'_{place}' if place > 1 else ''}" for column in ("label", "confidence")
        ]
    names = [spreadsheet_text(name) for name in classifier.class_names]
    rows = (
        [
            spreadsheet_text(source.names[i]),
            *(
                cell
                for number, probability in zip(numbers, probabilities, strict=True)
                for cell in (names[number], f"{probability:.4f}")
            ),
        ]
        for i, numbers, probabilities in zip(
            found.positions, found.classes, found.probabilities, strict=True
        )
    )
    write_csv(p.output, head, rows)
    known = found.known(source, classifier.class_names)
    if len(known):
        print(f"{known.mean():.1%} of the {len(known):,} images that have a label are right")
    print(
        f"{len(found.positions):,} images in {p.output}, mean confidence "
        f"{found.probabilities[:, 0].mean():.0%}; {time.perf_counter() - started:.0f} seconds\n"
        f"left out: {source.left_out or 'nothing'}"
    )


if __name__ == "__main__":
    options.run_command(main)

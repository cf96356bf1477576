"""The self-supervised methods: which options each has, and with which defaults.

A method is a row here, its name in `model_settings.Method`, and a module of that name in
`keras_simsiam.models`. No TensorFlow here.
"""

from __future__ import annotations

from typing import Any

from keras_simsiam.errors import InputError

_SMALL_VIEWS: dict[str, Any] = {"small_views": 0, "small_size": None, "small_area": None}

METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "simsiam": {
        "predictor": "mlp",
        "stop_gradient": True,
        "similarity": "cosine",
        "symmetry": "symmetric",
        "views": None,
        **_SMALL_VIEWS,
        "target": "self",
    },
    "byol": {
        "predictor": "mlp",
        "stop_gradient": True,
        "similarity": "cosine",
        "symmetry": "symmetric",
        "views": None,
        **_SMALL_VIEWS,
        "target": "cosine:0.996",
    },
    "simclr": {
        "predictor": "none",
        "stop_gradient": False,
        "temperature": 0.1,
        "negatives": "both_views",
    },
    "moco": {"temperature": 0.2, "queue": 65536, "target": "momentum:0.999"},
    "swav": {
        "predictor": "none",
        "stop_gradient": True,
        "temperature": 0.1,
        "prototypes": 3000,
        "epsilon": 0.05,
        "sinkhorn_iterations": 3,
        "freeze_prototypes": 1.0,
        **_SMALL_VIEWS,
    },
    "barlow_twins": {"off_diagonal": 5e-3},
    "vicreg": {"invariance": 25.0, "variance": 25.0, "covariance": 1.0},
}
"""The options of `config.Model` that only some methods have, by method, with their defaults."""

_TAKEN = {
    ("moco", "target"): ("momentum", "cosine", "every"),
    ("simclr", "predictor"): ("mlp", "none"),
    ("swav", "predictor"): ("mlp", "none"),
}
"""What an option may be, or begin with before a colon, where a method does not take all."""


def resolved(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """The values of the options that only some methods have.

    Args:
        method: A key of `METHOD_OPTIONS`.
        given: Values by option; None for those to be left at the method's default.

    Returns:
        Values by option; None for those that the method lacks.

    Raises:
        InputError: If an option is given that the method lacks, or a value that it does not take.
    """
    own = METHOD_OPTIONS[method]
    for name, value in given.items():
        if value is not None and name not in own:
            having = [m for m, options in METHOD_OPTIONS.items() if name in options]
            raise InputError(
                f"{name} is an option of {', '.join(having)}; {method} does not have it; "
                f"got {value}"
            )
        taken = _TAKEN.get((method, name))
        if taken and value is not None and str(value).partition(":")[0] not in taken:
            raise InputError(
                f"{name} must be one of {', '.join(taken)} for {method}; got '{value}'"
            )
    return {n: own.get(n) if value is None else value for n, value in given.items()}


def names() -> list[str]:
    """The options that only some methods have."""
    return list(dict.fromkeys(name for options in METHOD_OPTIONS.values() for name in options))

"""Command-line options from the configuration's dataclasses.

simple-parsing turns each field into an option and its docstring into the help. Nothing here
imports TensorFlow.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence

import simple_parsing

from keras_simsiam import config, documents, environment, presets, streams
from keras_simsiam.errors import (
    CallbackFailed,
    CannotRead,
    CannotWrite,
    InputError,
    LostWorker,
    Terminated,
    TrainingDiverged,
    check_local,
    printable,
)
from keras_simsiam.files import why_full


class _InputErrors(argparse.ArgumentParser):
    """A parser that raises InputError where argparse would exit."""

    def error(self, message: str):
        """Raises InputError, with the choices of an option named as `check_choice` does."""
        choice = re.match(r"argument (--\S+): invalid choice: (.+) \(choose from (.+)\)", message)
        if choice is not None:
            option, value, allowed = choice.groups()
            allowed = allowed.replace("'", "")  # quoted before Python 3.12
            message = f"{option} must be one of {allowed}; got {value}"
        raise InputError(message)


class _HelpFormatter(simple_parsing.SimpleHelpFormatter):
    """Help that shows values as a user types them."""

    def _format_args(self, action, default_metavar):
        """The kind of value: simple-parsing would write that of an optional field as [str]."""
        return super()._format_args(action, default_metavar).strip("[]")

    def _get_help_string(self, action):
        """The text with the default, such as "0.2 1" for (0.2, 1.0), if there is one."""
        values = action.default if isinstance(action.default, list | tuple) else [action.default]
        typed = " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)
        text = super()._get_help_string(action) or ""
        if typed in ("", "None"):
            return text.replace("(default: %(default)s)", "").strip()
        return text.replace("%(default)s", typed.replace("%", "%%"))


class Parser(_InputErrors, simple_parsing.ArgumentParser):
    """The parser of all commands: names with dashes, help in groups, one-line errors."""

    def __init__(self, command: str, description: str):
        super().__init__(
            prog=f"python -m keras_simsiam.{command}",
            usage=f"python -m keras_simsiam.{command} [options]",
            description=description,
            formatter_class=_HelpFormatter,
            add_option_string_dash_variants=simple_parsing.DashVariant.DASH,
            nested_mode=simple_parsing.NestedMode.WITHOUT_ROOT,
            allow_abbrev=False,
        )

    def format_help(self) -> str:
        """The help without the names of dataclasses and their attributes."""
        text = re.sub(r"Run \['run'\]:\n.*?\n\n", "", super().format_help(), flags=re.DOTALL)
        text = re.sub(r" \['[\w.]+'\]:", ":", text)
        return re.sub(r"(--[\w-]+) bool\b", r"\1", text)  # switches take no value

    def parse_args(self, args=None, namespace=None):
        """Parses the arguments. An unknown option is an error that suggests the closest one."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = difflib.get_close_matches(unknown[0], self._option_string_actions, n=1)
            hint = f"did you mean {near[0]}?" if near else "see --help"
            raise InputError(f"unknown option '{unknown[0]}'; {hint}")
        for name, value in vars(options).items():  # those that are no settings
            for each in value if isinstance(value, list) else [value]:
                check_local(name, each)
        return options


def parse_run(
    parser: Parser,
    argv: Sequence[str] | None,
    fit: Callable[[str, str | None], config.Run | None] = lambda dataset, method: None,
) -> tuple[config.Run, argparse.Namespace]:
    """Parses the options of a run, and those that the parser already has.

    Options take precedence over ``--config``, and that over ``--preset``, whose default depends on
    the dataset.

    Args:
        parser: The command's parser, with the command's own options.
        argv: The arguments; if None, those of the process.
        fit: Settings that fit the images of a dataset, given its name and that of the method, to
            start from where there is neither ``--config`` nor ``--preset``; None for the preset.

    Returns:
        The run, and all parsed options.

    Raises:
        InputError: If an option is unknown or a value does not fit.
    """
    chooser = _InputErrors(add_help=False, allow_abbrev=False)
    group = parser.add_argument_group("defaults")
    for target in (chooser, group):
        target.add_argument(
            "--preset",
            choices=list(presets.PRESETS),
            help="start from these settings; by default from those for the dataset, and for a "
            "folder from what fits its images",
        )
        target.add_argument(
            "--config", metavar="FILE", help="read settings from YAML, such as a run's config.yaml"
        )
    chooser.add_argument("--dataset")
    chooser.add_argument("--method")
    chooser.add_argument("-h", "--help", action="store_true")
    chosen, _ = chooser.parse_known_args(argv)
    file = documents.read_yaml(chosen.config) if chosen.config else {}
    dataset = chosen.dataset or _in(file, "data", "dataset") or config.Data.dataset
    method = chosen.method or _in(file, "model", "method")
    start = None
    if not (chosen.preset or chosen.config or chosen.help):
        start = fit(str(dataset), method)
    if start is None:
        start = presets.preset(chosen.preset or presets.default_preset(str(dataset)), method)
    with documents.named(chosen.config):
        default = start.replace(**file)
    if chosen.method is not None:  # --help shows the defaults of this method's options
        default = default.replace(model={"method": chosen.method})
    parser.add_arguments(config.Run, dest="run", default=default)
    options = parser.parse_args(argv)
    return options.run, options


def _in(file: dict, section: str, setting: str) -> str | None:
    """A setting in a file, if it is there and is text; what else it may be, `replace` refuses."""
    values = file.get(section)
    value = values.get(setting) if isinstance(values, dict) else None
    return value if isinstance(value, str) else None


_ENDINGS = (TrainingDiverged, CannotRead, CannotWrite, CallbackFailed, LostWorker)


def run_command(command: Callable[[Sequence[str] | None], int]) -> None:
    """Runs a command and exits with its exit code. Errors of users and machines are one line each.

    ====  ======================================================================================
    0     The command is done, or SIGTERM or SIGHUP ended what can be continued.
    1     Training diverged, a file cannot be read or written, a worker is lost, or a callback of
          the user fails.
    2     The input is invalid; nothing has been written.
    130   Ctrl-C.
    ====  ======================================================================================

    SIGTERM and SIGHUP otherwise end the process as they do by default. A closed standard output,
    such as that of ``| head``, does not end a command.
    """
    # Users read the warnings, too, and need no line of our code with them.
    warnings.formatwarning = lambda text, *_args, **_kwargs: f"warning: {printable(str(text))}\n"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Not every encoding has "×", and names of files may not be valid text.
            stream.reconfigure(errors="backslashreplace")
    environment.set_defaults()
    with streams.tolerant(), _terminations():
        try:
            code = command(None)
        except (InputError, *_ENDINGS) as e:
            print(f"error: {e}", file=sys.stderr)
            code = 2 if isinstance(e, InputError) else 1
        except KeyboardInterrupt as e:
            print(str(e) or "interrupted", file=sys.stderr)
            code = _end(e)
        except Exception as e:
            full = why_full(e)
            if full is None:
                raise
            print(f"error: cannot write: {full}", file=sys.stderr)
            code = 1
    sys.exit(code)


@contextlib.contextmanager
def _terminations() -> Iterator[None]:
    """Raises Terminated within the block for SIGTERM and SIGHUP, unless they are ignored."""

    def terminate(number: int, _frame) -> None:
        raise Terminated(number)

    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGHUP) if main else ()
    taken = [n for n in numbers if signal.getsignal(n) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(interrupt: KeyboardInterrupt) -> int:
    """Ends the process by the signal that it received, or returns the exit code.

    It exits normally after Ctrl-C, and if what was interrupted can be continued.
    """
    number = getattr(interrupt, "number", signal.SIGINT)
    if number == signal.SIGINT:
        return 130
    if getattr(interrupt, "go_on", ""):
        return 0
    sys.stdout.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number  # in a thread, the process may take a moment to end

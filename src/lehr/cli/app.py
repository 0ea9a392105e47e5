"""The command `lehr`: finds the sub-command, and turns errors into one clear message and an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter

from lehr.cli.arguments import as_options
from lehr.cli.refusals import describe_refusal
from lehr.errors import InputError, LehrError
from lehr.runtime.child_process import safe_environment
from lehr.runtime.console import complain
from lehr.runtime.standard_streams import safe_streams
from lehr.runtime.system_errors import plain_system_errors
from lehr.version import __version__

# Commands are named, not imported: `lehr --help` must answer without loading torch.
app = App(
    name="lehr",
    help="Trains YOLO detectors; every technique is a part one can read, plot, switch and measure.",
    version=f"lehr {__version__}",
    help_format="plaintext",
    default_parameter=Parameter(negative_iterable=()),
)
app.command(
    "lehr.cli.train:train",
    help="Train a detector; without options, YOLOv8n on the generated data set `shapes`.\n\nCtrl-C, SIGTERM and "
    "SIGUSR1 end a run after the step that runs, its state saved, with exit code 130, 143 or 138; --resume goes on.",
)
app.command("lehr.cli.val:val", help="Evaluate weights on a data set.")
app.command(
    "lehr.cli.predict:predict",
    help="Find objects in images, videos, cameras and streams.\n\nAnnotated copies lie in the run's folder; options "
    "write JSON, CSV, labels and more. Files are looked at first, and broken ones end the command before anything is "
    "computed, with exit code 2. Ctrl-C ends it with all files complete as far as it came.",
)
app.command("lehr.cli.export:export", help="Export weights to ONNX, OpenVINO, torch.export, ExecuTorch or Core ML.")
app.command(
    "lehr.cli.schedule:schedule", help="Show learning rates, momentum and accumulation of a run before it is trained."
)
app.command("lehr.cli.anchors:anchors", help="Show how well anchors fit a data set, and find better ones.")
app.command(
    "lehr.cli.evolve:evolve",
    help="Search for better hyperparameters, as a study that any number of workers and machines share.",
)
app.command(
    "lehr.cli.ablate:ablate", help="Tell which techniques help on your data, and how sure that is, as a shared study."
)
app.command(
    "lehr.cli.import_:import_",
    name="import",
    help="Write a checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP (.pt, .onnx) as weights of Lehr's.",
)
app.command(
    "lehr.cli.report:report",
    help="Write the page of a run as one HTML file: curves, quality, mistakes; of several, a comparison.",
)
app.command(
    "lehr.cli.replay:replay",
    help="Make the batch of any step of a run again: its images, files, augmentation, and its loss by image.",
)
app.command("lehr.cli.diff:diff", help="Say in what two runs differ, and at which step they part.")
app.command("lehr.cli.data:app", name="data", help="Check, describe, split and convert data sets.")
app.command("lehr.cli.doctor:doctor", help="Try what this machine can do, and tell what is missing.")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit: 0 done, 1 failed, 2 bad input or options, 130 and 143 stopped by a signal."""
    # Of damaged tags, without the file's name. For all threads, since `catch_warnings` is not safe in several.
    warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")
    with safe_streams(), safe_environment():
        code = _code(sys.argv[1:] if arguments is None else arguments)
    sys.exit(code)


def _code(arguments: Sequence[str]) -> int:
    """Run a command line, print what went wrong, and return the exit code."""
    try:
        with plain_system_errors():
            return run(arguments)
    except LehrError as error:
        if not error.told:
            complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("Stopped at once.")
        return 130


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code.

    Raises:
        LehrError: the command failed.
    """
    try:
        options = as_options(arguments, app)
        result = app(options, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise InputError(describe_refusal(error)) from None
    return result if isinstance(result, int) else 0

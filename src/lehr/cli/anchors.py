"""`lehr anchors`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Data
from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lehr.techniques.autoanchor import AnchorFit


def anchors(
    *,
    data: Data,
    model: Annotated[str, Parameter(group=HelpGroup.BASICS)] = "yolov5n",
    weights: Annotated[Path | None, Parameter(group=HelpGroup.BASICS)] = None,
    imgsz: Annotated[int, Parameter(group=HelpGroup.BASICS, validator=Number(gte=1))] = 640,
    anchor_t: Annotated[float, Parameter(group=HelpGroup.CONVERSION, validator=Number(gt=1))] = 4.0,
    anchors: Annotated[int, Parameter(group=HelpGroup.CONVERSION, validator=Number(gte=1, lte=20))] = 3,
    fit: Annotated[bool, Parameter(group=HelpGroup.CONVERSION, negative=())] = False,
    seed: Annotated[int, Parameter(group=HelpGroup.CONVERSION, validator=Number(gte=0))] = 0,
    plot: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
) -> None:
    """Show how well anchors fit a data set, and find better ones.

    Parameters
    ----------
    model:
        A model with anchors: yolov5 with n, s, m, l or x; or yolov3-spp.
    weights:
        Take the anchors of this .safetensors or .pt file.
    imgsz:
        Image size in training, pixels; rounded up to a multiple of 32.
    anchor_t:
        Largest ratio of the sides of an object and its anchor.
    anchors:
        Anchors per level.
    fit:
        Look for better anchors, even where these fit.
    seed:
        Seed of the search.
    plot:
        Draw objects and anchors: .png, .svg or .pdf.
    json:
        Write the figures to this file.

    Examples
    --------
    Check whether the default anchors fit your data:
        lehr anchors data.yaml
    Find better ones, and look at them:
        lehr anchors data.yaml --fit --plot anchors.png
    """
    from lehr.cli.output import PICTURES, check_output, report_rounding, say, show, write_json
    from lehr.data.load import load_dataset, require_split
    from lehr.models.family import known_case
    from lehr.models.scale import rounded_size
    from lehr.techniques.autoanchor import ENOUGH_RECALL, autoanchor, measure, object_sizes

    check_output(json, "--json")
    check_output(plot, "--plot", PICTURES)
    report_rounding(imgsz)
    side, model = rounded_size(imgsz), known_case(model)
    used = _anchors_of(model, weights, anchors)
    sizes = object_sizes(require_split(load_dataset(data, needed=("train",)), "train"), side)
    before = measure(used, sizes, anchor_t)
    name = weights or model
    say(f"{name} on {data} at {side} pixels: {counted(len(sizes), 'object')}, threshold {anchor_t:g}")
    show(_text("anchors", used, before))
    result = _as_dict(used, before)
    better = None
    if fit:
        found = autoanchor(used, sizes, anchor_t, seed=seed, always=True)
        if found.changed:
            better = found.anchors
            show(_text("fitted", better, found.after))
        else:
            say("No better anchors found: these stay.")
        result["fitted"] = _as_dict(found.anchors, found.after)
    elif before.bpr <= ENOUGH_RECALL:
        say(
            f"Not above {ENOUGH_RECALL:g}: `lehr train` will fit anchors to the data (--autoanchor off keeps these); "
            "--fit shows them."
        )
    if json is not None:
        write_json(json, result)
    if plot is not None:
        from lehr.plots.anchors import plot_anchors

        plot_anchors(sizes, used, better, anchor_t, plot)
        say(f"Written: {plot}")


def _anchors_of(model: str, weights: Path | None, a_level: int) -> NDArray[np.float64]:
    """Anchors (levels, anchors a level, 2), pixels, of a weights file or of a model's name."""
    from lehr.errors import InputError
    from lehr.models.build import anchor_head, build_model
    from lehr.models.family import find_family
    from lehr.weights.load import load_model

    if weights is None and not find_family(model).anchors:
        raise InputError(f"--model {model}: has no anchors. Give a yolov5 or yolov3-spp.")
    head = anchor_head(build_model(model, ("object",), anchors=a_level) if weights is None else load_model(weights))
    if head is None:
        raise InputError(f"{weights}: has no anchors. Give weights of a yolov5 or yolov3-spp.")
    return head.pixel_anchors.double().numpy()


def _text(title: str, anchors: NDArray[np.float64], fit: AnchorFit) -> str:
    sides = [[f"{width:.4g},{height:.4g}" for width, height in level.round(1).tolist()] for level in anchors]
    widest = max(len(each) for level in sides for each in level)
    levels = "".join(
        f"\n{'':>4}P{number}: " + " ".join(each.rjust(widest) for each in level)
        for number, level in enumerate(sides, 3)
    )
    return (
        f"{title}: best possible recall {fit.bpr:.4f}, anchors above threshold {fit.aat:.4f}, "
        f"mean ratio {fit.fitness:.4f}{levels}"
    )


def _as_dict(anchors: NDArray[np.float64], fit: AnchorFit) -> dict[str, Any]:
    return {"bpr": fit.bpr, "aat": fit.aat, "anchors": anchors.round(4).tolist()}

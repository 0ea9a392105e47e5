"""Family, scale, classes and anchors of a detector, from the names and shapes of its tensors alone.

A family is identified by the number of its last layer and what that layer holds, its width by the channels of the stem
and the downsampling convolutions, its depth by the blocks of two or more layers. What is found must then explain each
tensor of the file: the first that it does not is named.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lehr.models.build import tensor_shapes
from lehr.models.family import FAMILIES
from lehr.models.limits import MAX_CLASSES
from lehr.models.scale import Scale
from lehr.options.model import MAX_ANCHORS, MAX_SCALE
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.weights.published.stand_in import Refused

Shapes = Mapping[str, tuple[int, ...]]
COUNTED = "num_batches_tracked"
"""BatchNorm's count of batches, which nothing reads and which old files do not have."""
DECIMALS, EDGE = 4, 1e-3
"""Decimals of a depth or width that is found, and how far from half a block it stays."""
REMEDY = (
    "Lehr reads the published architectures, at any depth and width. Train this one further where it was made, or "
    "start a Lehr model from other weights."
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layers in which a family's checkpoints show their scale.

    Attributes:
        family: its name.
        title: its name for people.
        head: number of the last layer.
        channels: channels before widening, by the layer whose convolution has as many.
        repeats: blocks before deepening, by the layer that holds them, and the path of their list in it.
    """

    family: str
    title: str
    head: int
    channels: Mapping[int, int]
    repeats: Mapping[tuple[int, str], int]


YOLOV8 = Layout(
    "yolov8",
    "YOLOv8",
    22,
    {0: 64, 1: 128, 3: 256, 5: 512, 7: 1024},
    {(2, "m."): 3, (4, "m."): 6, (6, "m."): 6, (8, "m."): 3},
)
YOLOV5 = Layout(
    "yolov5",
    "YOLOv5",
    24,
    {0: 64, 1: 128, 3: 256, 5: 512, 7: 1024},
    {(2, "m."): 3, (4, "m."): 6, (6, "m."): 9, (8, "m."): 3},
)
YOLOV3 = Layout(
    "yolov3",
    "YOLOv3-SPP",
    28,
    {0: 32, 1: 64, 3: 128, 5: 256, 7: 512, 9: 1024},
    {(4, ""): 2, (6, ""): 8, (8, ""): 8, (10, ""): 4},
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A detector as its tensors show it.

    Attributes:
        model: its name, e.g. "yolov8n"; of another depth or width the nearest one.
        depth: multiple of the blocks' repeats.
        width: multiple of the channels.
        classes: number of classes.
        anchors: anchors per level.
        scaled: whether depth or width are not those of the name.
    """

    model: str
    depth: float
    width: float
    classes: int
    anchors: int
    scaled: bool

    @property
    def title(self) -> str:
        """The name for people, e.g. "YOLOv8n", with depth and width if they are not those of the name."""
        name = self.model.replace("yolo", "YOLO").replace("-spp", "-SPP")
        return f"{name} of depth {self.depth:g} and width {self.width:g}" if self.scaled else name


def identify(shapes: Shapes, hints: Sequence[Scale] = ()) -> Identity:
    """Find out which detector tensors are of; each of them is accounted for.

    Args:
        shapes: of all tensors by published name.
        hints: depths and widths that the file itself states, which are taken where they explain the tensors.

    Raises:
        Refused: they are of no model that Lehr has; with the first difference.
    """
    layout, anchors, classes = _layout(shapes)
    channels = {base: _channels(shapes, layer) for layer, base in layout.channels.items()}
    repeats = [(base, _blocks(shapes, layer, path)) for (layer, path), base in layout.repeats.items()]
    identity = _scaled(layout, channels, repeats, classes, anchors, hints)
    nearest = identity or _nearest(layout, shapes, channels, repeats, classes, anchors)
    own = _shapes_of(nearest)
    difference = first_difference(own, shapes)
    if difference is not None:
        raise Refused(
            f"has the layers of {layout.title}, but not its architecture; the first difference from "
            f"{nearest.title} with {counted(classes, 'class')}: {difference}. {REMEDY}"
        )
    return nearest


def first_difference(own: Shapes, given: Shapes) -> str | None:
    """Describe the first tensor, from the images on, in which a file is not a model; None if there is none.

    Args:
        own: the shapes of the model's tensors.
        given: those of the file's.
    """
    order = {name: index for index, name in enumerate(own)}
    for name in sorted({*own, *given}, key=lambda name: (layer_number(name), order.get(name, len(order)), name)):
        if name not in given:
            if not name.endswith(COUNTED):
                return f"{name} {list(own[name])} is missing"
        elif name not in own:
            return f"{one_line(name)[:100]} {list(given[name])} is there, which it does not have"
        elif own[name] != given[name] and not (name.endswith(COUNTED) and math.prod(given[name]) == 1):
            return f"{name} is {list(given[name])} in place of {list(own[name])}"
    return None


def layer_number(name: str) -> int:
    """The number of the layer that a tensor of a published name belongs to; -1 if it names none."""
    found = re.match(r"model\.(\d{1,6})\.", name)
    return -1 if found is None else int(found[1])


def _layout(shapes: Shapes) -> tuple[Layout, int, int]:
    """The family of tensors, its anchors per level and its classes, by the last layer."""
    head = max(map(layer_number, shapes), default=-1)
    prefix = f"model.{head}."
    anchors, first = shapes.get(f"{prefix}anchors", ()), shapes.get(f"{prefix}m.0.weight", ())
    if len(anchors) == 3 and len(first) == 4:
        if anchors[0] != 3:
            raise Refused(_levels(anchors[0]))
        a_level, rest = anchors[1], first[0] % max(anchors[1], 1)
        classes = first[0] // max(a_level, 1) - 5
        if rest or not 1 <= classes <= MAX_CLASSES or not 1 <= a_level <= MAX_ANCHORS:
            raise Refused(f"has a head of {first[0]} rows for {a_level} anchors, of which no class count comes.")
        _refuse_older(shapes)
        layout = next((each for each in (YOLOV5, YOLOV3) if each.head == head), None)
        if layout is None:
            raise Refused(
                f"has anchors as YOLOv5 and YOLOv3 have, but its head is layer {head}; that of YOLOv5 is layer "
                f"{YOLOV5.head}, that of YOLOv3-SPP layer {YOLOV3.head}. {REMEDY}"
            )
        return layout, a_level, classes
    scores = shapes.get(f"{prefix}cv3.0.2.weight", ())
    if len(scores) == 4 and f"{prefix}cv2.0.2.weight" in shapes:
        levels = len({name.split(".")[3] for name in shapes if name.startswith(f"{prefix}cv2.")})
        if levels != 3:
            raise Refused(_levels(levels))
        if head != YOLOV8.head:
            raise Refused(
                f"has a head as YOLOv8's, but as layer {head}; that of YOLOv8 is layer {YOLOV8.head}. {REMEDY}"
            )
        if not 1 <= scores[0] <= MAX_CLASSES:
            raise Refused(f"has a head of {counted(scores[0], 'class')}, where a detector has 1 to {MAX_CLASSES:,}.")
        return YOLOV8, 3, scores[0]
    raise Refused(f"has no head of a detector that Lehr knows as its last layer ({prefix[:-1]}). {REMEDY}")


def _levels(count: int) -> str:
    known = {2: " as YOLOv3-tiny does", 4: " as models of P2 or P6 do"}.get(count, "")
    return f"detects on {count} levels{known}, where Lehr's detectors have 3. {REMEDY}"


def _refuse_older(shapes: Shapes) -> None:
    """Refuse YOLOv5 of before release 6.0, and YOLOv3 without spatial pyramid pooling, by their first difference."""
    if "model.0.conv.conv.weight" in shapes:
        raise Refused(
            "is of a release of YOLOv5 before 6.0: its layer 0 slices the image into four (Focus), where YOLOv5 of "
            "today has a convolution of 6x6 pixels. Train it further with that release, or give a newer checkpoint."
        )
    if "model.12.conv.weight" in shapes and "model.4.0.cv1.conv.weight" in shapes:
        raise Refused(
            "is YOLOv3 without spatial pyramid pooling: its layer 12 is a convolution, where YOLOv3-SPP has SPP. Lehr "
            "has YOLOv3-SPP only."
        )


def _channels(shapes: Shapes, layer: int) -> int:
    return next(iter(shapes.get(f"model.{layer}.conv.weight", ())), 0)


def _blocks(shapes: Shapes, layer: int, path: str) -> int:
    """The number of blocks in a list of blocks."""
    start = f"model.{layer}.{path}"
    numbers = {name[len(start) :].split(".")[0] for name in shapes if name.startswith(start)}
    return len([number for number in numbers if number.isdigit()]) or (1 if numbers and not path else 0)


def _scaled(
    layout: Layout,
    channels: Mapping[int, int],
    repeats: Sequence[tuple[int, int]],
    classes: int,
    anchors: int,
    hints: Sequence[Scale],
) -> Identity | None:
    """The detector of some channels and repeats; None if no depth and width give them."""
    family = next(each for each in FAMILIES.known() if each.name == layout.family)

    def fits(scale: Scale) -> bool:
        wide = all(scale.channels(base) == count for base, count in channels.items())
        return wide and all(scale.repeats(base) == count for base, count in repeats)

    for suffix, scale in family.scales.items():
        if fits(scale):
            return Identity(family.name + suffix, scale.depth, scale.width, classes, anchors, scaled=False)
    found: list[tuple[float, Identity]] = []
    for suffix, scale in family.scales.items():
        for each in _candidates(scale, channels, repeats, hints):
            if fits(each) and 0 < each.depth <= MAX_SCALE and 0 < each.width <= MAX_SCALE:
                away = abs(math.log(each.width / scale.width)) + abs(math.log(each.depth / scale.depth))
                identity = Identity(family.name + suffix, each.depth, each.width, classes, anchors, scaled=True)
                found.append((away, identity))
                break
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _candidates(
    scale: Scale, channels: Mapping[int, int], repeats: Sequence[tuple[int, int]], hints: Sequence[Scale]
) -> Iterator[Scale]:
    """Depths and widths that may explain channels and repeats: stated ones, then the named one's, then the roundest."""
    bound = scale.max_channels
    yield from (Scale(hint.depth, hint.width, bound) for hint in hints)
    width, depth = _width(channels, bound), _depth(repeats)
    halves = sorted({(count + half) / base for base, count in repeats for half in (-0.5, 0.5)})
    for each_depth in (scale.depth, depth, *halves):  # a depth may be at the very edge, where halves round to even
        for each_width in (scale.width, width):
            if each_depth is not None and each_width is not None:
                yield Scale(each_depth, each_width, bound)


def _width(channels: Mapping[int, int], bound: int | None) -> float | None:
    """The roundest width that gives some channels; None if none does.

    Args:
        channels: by those before widening.
        bound: most channels before widening.
    """
    bounded = [(min(base, bound or base), count) for base, count in channels.items()]
    return _roundest(max((count - 8) / base for base, count in bounded), min(count / base for base, count in bounded))


def _depth(repeats: Sequence[tuple[int, int]]) -> float | None:
    """The roundest depth that gives some repeats; None if none does.

    Args:
        repeats: those before deepening, and after.
    """
    low = max((count - 0.5 + EDGE) / base if count > 1 else 0.0 for base, count in repeats)
    return _roundest(low, min((count + 0.5 - EDGE) / base for base, count in repeats))


def _roundest(low: float, high: float) -> float | None:
    """The number of fewest decimals inside of an interval, the largest of them; None for an empty one.

    Args:
        low: not inside of it.
        high: inside of it.
    """
    for decimals in range(DECIMALS + 1):
        number: float = math.floor(high * 10**decimals + 1e-9) / 10**decimals
        if low < number <= high + 1e-12 and number > 0:
            return number
    return None


def _nearest(
    layout: Layout,
    shapes: Shapes,
    channels: Mapping[int, int],
    repeats: Sequence[tuple[int, int]],
    classes: int,
    anchors: int,
) -> Identity:
    """The model of a family with the most tensors like those given, to name the first difference from.

    It is one of a name, or one that all channels but one and all repeats but one lead to.
    """
    family = next(each for each in FAMILIES.known() if each.name == layout.family)
    named = list(family.scales.items())
    near = {Identity(family.name + end, each.depth, each.width, classes, anchors, scaled=False) for end, each in named}
    for suffix, scale in named:
        subsets = [{base: count for base, count in channels.items() if base != left_out} for left_out in (0, *channels)]
        widths = {width for some in subsets if (width := _width(some, scale.max_channels)) is not None}
        others = [[pair for pair in repeats if pair is not left_out] for left_out in (None, *repeats)]
        depths = {depth for some in others if (depth := _depth(some)) is not None}
        for width, depth in itertools.product(sorted(widths)[:2], (scale.depth, *sorted(depths)[:1])):
            if width <= MAX_SCALE and depth <= MAX_SCALE:
                near.add(Identity(family.name + suffix, depth, width, classes, anchors, scaled=True))

    def alike(identity: Identity) -> int:
        return sum(shapes.get(name) == shape for name, shape in _shapes_of(identity).items())

    return max(sorted(near, key=lambda each: (each.scaled, each.model, each.depth)), key=alike)


def _shapes_of(identity: Identity) -> dict[str, tuple[int, ...]]:
    names = tuple(map(str, range(identity.classes)))
    scale = {"depth": identity.depth, "width": identity.width}
    shapes = tensor_shapes(identity.model, names, anchors=identity.anchors, **scale)
    assert shapes is not None  # those of Lehr's own families
    return shapes

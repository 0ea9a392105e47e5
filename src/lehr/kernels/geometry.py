"""Functions that kernels share: overlap of boxes, distances of distributions, powers and logarithms.

An interpreter of a kernel that uses them must interpret this module, too.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def atan(x):
    """Arc tangent of numbers of at least 0, to a few units in the last place (Cephes' polynomial)."""
    large = x > 2.414213562373095
    middle = (x > 0.4142135623730950) & (x <= 2.414213562373095)
    reduced = tl.where(large, -1.0 / tl.where(large, x, 1.0), tl.where(middle, (x - 1.0) / (x + 1.0), x))
    z = reduced * reduced
    series = ((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z - 3.33329491539e-1
    offset = tl.where(large, 1.5707963267948966, tl.where(middle, 0.7853981633974483, 0.0))
    return offset + (series * z * reduced + reduced)


@triton.jit
def log1p(x):
    """Logarithm of 1 + x, x of 0 to 1, with relative error 2e-7: x times a polynomial through Chebyshev's points."""
    series = (0.005253457929939032 * x - 0.02958850748836994) * x + 0.07836166769266129
    series = ((series * x - 0.13674770295619965) * x + 0.19111430644989014) * x - 0.24844369292259216
    series = ((series * x + 0.33319270610809326) * x - 0.49999502301216125) * x + 1.0
    return series * x


@triton.jit
def power(x, EXPONENT: tl.constexpr):
    """Power of numbers of at least 0, the exponent at least 0; multiplied out for the usual ones."""
    if EXPONENT == 0:
        result = tl.where(x == x, 1.0, 1.0)
    elif EXPONENT == 0.5:
        result = tl.sqrt_rn(x)
    elif EXPONENT == 1:
        result = x
    elif EXPONENT == 2:
        result = x * x
    elif EXPONENT == 6:
        result = x * x * x
        result = result * result
    else:
        result = tl.where(x > 0, tl.exp2(EXPONENT * tl.log2(tl.maximum(x, 2e-38))), 0.0)
    return result


@triton.jit
def ciou(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2):
    """CIoU of boxes with those at the same place, as `lehr.losses.iou.ciou`."""
    aw, ah = ax2 - ax1, ay2 - ay1 + 1e-7
    bw, bh = bx2 - bx1, by2 - by1 + 1e-7
    shared_w = tl.maximum(tl.minimum(ax2, bx2) - tl.maximum(ax1, bx1), 0.0)
    shared_h = tl.maximum(tl.minimum(ay2, by2) - tl.maximum(ay1, by1), 0.0)
    inter = shared_w * shared_h
    iou = inter / (aw * ah + bw * bh - inter + 1e-7)
    enclosing_w = tl.maximum(ax2, bx2) - tl.minimum(ax1, bx1)
    enclosing_h = tl.maximum(ay2, by2) - tl.minimum(ay1, by1)
    diagonal = enclosing_w * enclosing_w + enclosing_h * enclosing_h + 1e-7
    dx, dy = bx1 + bx2 - ax1 - ax2, by1 + by2 - ay1 - ay2
    distance = (dx * dx + dy * dy) / 4
    angle = atan(bw / bh) - atan(aw / ah)
    v = 0.4052847345693511 * (angle * angle)  # 4 / pi^2
    return iou - (distance / diagonal + v * (v / (v - iou + (1 + 1e-7))))


@triton.jit
def share_above(a, b):
    """Share of the gradient of maximum(a, b) for a: half if they are equal."""
    return tl.where(a > b, 1.0, tl.where(a == b, 0.5, 0.0))


@triton.jit
def ciou_gradient(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2):
    """Gradient of CIoU with respect to the corners of a, as in torch's autograd."""
    aw, ah = ax2 - ax1, ay2 - ay1 + 1e-7
    bw, bh = bx2 - bx1, by2 - by1 + 1e-7
    gap_w = tl.minimum(ax2, bx2) - tl.maximum(ax1, bx1)
    gap_h = tl.minimum(ay2, by2) - tl.maximum(ay1, by1)
    shared_w, shared_h = tl.maximum(gap_w, 0.0), tl.maximum(gap_h, 0.0)
    inter = shared_w * shared_h
    union = aw * ah + bw * bh - inter + 1e-7
    iou = inter / union
    enclosing_w = tl.maximum(ax2, bx2) - tl.minimum(ax1, bx1)
    enclosing_h = tl.maximum(ay2, by2) - tl.minimum(ay1, by1)
    diagonal = enclosing_w * enclosing_w + enclosing_h * enclosing_h + 1e-7
    dx, dy = bx1 + bx2 - ax1 - ax2, by1 + by2 - ay1 - ay2
    distance = (dx * dx + dy * dy) / 4
    angle = atan(bw / bh) - atan(aw / ah)
    v = 0.4052847345693511 * (angle * angle)
    trade_off = v / (v - iou + (1 + 1e-7))  # carries no gradient

    of_inter = 1.0 / union + iou / union
    of_area = -iou / union
    of_w = tl.where(gap_w >= 0, of_inter * shared_h, 0.0)
    of_h = tl.where(gap_h >= 0, of_inter * shared_w, 0.0)
    of_angle = trade_off * 0.8105694691387022 * angle / (aw * aw + ah * ah)  # 8 / pi^2
    of_aw = of_area * ah + of_angle * ah
    of_ah = of_area * aw - of_angle * aw
    of_dx, of_dy = dx / (2 * diagonal), dy / (2 * diagonal)
    of_enclosing = 2 * distance / (diagonal * diagonal)
    of_cw, of_ch = of_enclosing * enclosing_w, of_enclosing * enclosing_h

    left = -of_w * share_above(ax1, bx1) - of_cw * share_above(bx1, ax1) - of_aw + of_dx
    top = -of_h * share_above(ay1, by1) - of_ch * share_above(by1, ay1) - of_ah + of_dy
    right = of_w * share_above(bx2, ax2) + of_cw * share_above(ax2, bx2) + of_aw + of_dx
    bottom = of_h * share_above(by2, ay2) + of_ch * share_above(ay2, by2) + of_ah + of_dy
    return left, top, right, bottom

"""A standard convolution with the batch norm and activation after it, as one op of the fast tier: how networks begin.

It is :func:`conv2d` without bias, then :func:`batch_norm2d`, with fewer passes over memory: the convolution takes the
sums for the statistics of each image it has just made, and where nobody needs dx, the gradient for the convolution's
output exists for one image at a time.
"""

from typing import Any, NamedTuple

import numpy as np

from npdsconv.ops.activations import BOUNDS
from npdsconv.ops.norm import batch_norm2d_backward, check_batch_norm
from npdsconv.ops.standard import check_conv2d, conv2d_backward
from npdsconv.shapes import Array, check_floats, check_needs, check_shape

ARRAYS = ("x", "w", "weight", "bias")


class Saved(NamedTuple):
    """What forward leaves for backward."""

    p: Array  # (N, O, OH, OW), the convolution's output
    mean: Array  # (O,), the statistics that p was normalised with
    var: Array


def normed_conv2d(
    x: Array,
    w: Array,
    weight: Array,
    bias: Array,
    mean: Array | None = None,
    var: Array | None = None,
    *,
    eps: float = 1e-5,
    activation: str | None = None,
    **how: Any,
) -> tuple[Array, Saved]:
    """``y = act(norm(conv2d(x, w)))``.

    Parameters
    ----------
    x, w, how : (N, C, H, W), (O, C/groups, KH, KW), and stride, padding, dilation and groups, as for :func:`conv2d`
    weight, bias, mean, var, eps, activation : as for :func:`batch_norm2d`

    Returns
    -------
    y : (N, O, OH, OW)
    saved : Saved, which backward takes

    Raises
    ------
    TypeError, ValueError
        As the two ops do.
    """
    from npdsconv.kernels import norm, standard

    window = check_conv2d("conv2d", x, w, None, **how)
    sums = np.empty((len(x), 3, len(w)), x.dtype) if mean is None else None
    p = standard.forward(x, w, None, window, how.get("groups", 1), sums=sums)
    check_batch_norm("batch_norm2d", p, weight, bias, mean, var, eps, activation)
    y, mean, var = norm.forward(p, weight, bias, mean, var, eps, BOUNDS[activation], sums)
    return y, Saved(p, mean, var)


def normed_conv2d_backward(
    dy: Array,
    x: Array,
    saved: Saved,
    w: Array,
    weight: Array,
    bias: Array,
    *,
    given: bool = False,
    eps: float = 1e-5,
    activation: str | None = None,
    needs: tuple[str, ...] = ARRAYS,
    **how: Any,
) -> tuple[Array | None, ...]:
    """The gradients of :func:`normed_conv2d`, given dy (N, O, OH, OW): dx, dw, dweight, dbias.

    `given` says that the statistics were handed to forward, so that they are constants. Gradients not named in `needs`
    come back as None.
    """
    from npdsconv.kernels import norm, standard

    op = "normed_conv2d_backward"
    check_needs(op, needs, ARRAYS)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, saved.p.shape, "N, O, OH, OW")
    p, mean, var = saved
    if "x" in needs or "w" not in needs:  # the gradient for p is needed as a whole, or not at all
        inner = tuple(name for name in ("x", "w") if name in needs)
        outer = tuple(name for name in ("weight", "bias") if name in needs) + ("x",) * bool(inner)
        of_norm: dict[str, Any] = {"bias": bias, "given": given, "eps": eps, "activation": activation}
        dp, dweight, dbias = batch_norm2d_backward(dy, p, weight, mean, var, needs=outer, **of_norm)
        dx, dw, _ = conv2d_backward(dp, x, w, needs=inner, **how) if dp is not None else (None, None, None)
        return dx, dw, dweight, dbias
    window = check_conv2d(op, x, w, None, **how)
    to_p = weight, bias, mean, var, eps, BOUNDS[activation], given
    dweight, dbias, through = norm.backward_to(dy, p, *to_p)
    dw = standard.weight_gradient(dy, x, w.shape, window, how.get("groups", 1), through)
    return None, dw, dweight if "weight" in needs else None, dbias if "bias" in needs else None

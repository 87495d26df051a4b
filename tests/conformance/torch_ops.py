"""Every op of the catalogue in PyTorch, and calls of it drawn at random. Padding is worked out here anew."""

import numpy as np

from npdsconv.catalogue import Example


def normal(rng, *shape):
    return rng.standard_normal(shape)


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


def size(rng, low, high):
    return int(rng.integers(low, high + 1))


def pair(rng, low, high):
    """Two numbers, or now and then one for both."""
    both = size(rng, low, high), size(rng, low, high)
    return both[0] if rng.random() < 0.2 else both


def two(value):
    return value if isinstance(value, tuple) else (value, value)


# ---- windows ---------------------------------------------------------------------------------------------------


def sides(padding, image, kernel, stride, dilation):
    """((top, bottom), (left, right)) of any form of padding."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if isinstance(padding, str):
        found = []
        for n, k, s, d in zip(image, kernel, two(stride), two(dilation), strict=True):
            missing = max((int(np.ceil(n / s)) - 1) * s + d * (k - 1) + 1 - n, 0)
            half = missing // 2, missing - missing // 2
            found.append(half if padding == "same" else half[::-1])
        return tuple(found)
    padding = two(padding)
    return tuple(side if isinstance(side, tuple) else (side, side) for side in padding)


def padded(torch, x, around, value=0.0):
    (top, bottom), (left, right) = around
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=value)


def draw_window(rng, kernel, *, most=4, words=True):
    """Steps of a kernel over an image of a size that has at least one output position. Strides may be beyond it."""
    stride, dilation = pair(rng, 1, 5), pair(rng, 1, 3)
    span = [d * (k - 1) + 1 for k, d in zip(kernel, two(dilation), strict=True)]
    forms = [
        0,
        *(((size(rng, 0, most), size(rng, 0, most)), (size(rng, 0, most), size(rng, 0, most))) for _ in "12"),
        (size(rng, 0, most), size(rng, 0, most)),
    ]
    forms += ["valid", "same", "same_lower"] if words else []
    padding = pick(rng, *forms)
    given = (
        [sum(two_sides) for two_sides in sides(padding, span, kernel, 1, 1)]
        if padding not in WORDS
        else [0, 0]
    )
    least = [1 if padding in WORDS else max(1, s - g) for s, g in zip(span, given, strict=True)]
    image = tuple(n + size(rng, 0, 5) for n in least)
    return {"stride": stride, "padding": padding, "dilation": dilation}, image


WORDS = ("same", "same_lower")


def draw_kernel(rng):
    return pick(rng, (1, 1), (3, 3), (2, 2), (size(rng, 1, 4), size(rng, 1, 4)), (5, 5))


def draw_conv2d(rng):
    kernel, groups = draw_kernel(rng), pick(rng, 1, 1, 2, 3)
    how, image = draw_window(rng, kernel)
    c, o = groups * size(rng, 1, 3), groups * size(rng, 1, 3)
    arrays = {"x": normal(rng, size(rng, 1, 3), c, *image), "w": normal(rng, o, c // groups, *kernel)}
    return Example("", arrays | {"b": normal(rng, o)}, {**how, "groups": groups})


def conv2d(torch, x, w, b=None, *, stride, padding, dilation, groups=1):
    around = sides(padding, x.shape[2:], w.shape[2:], stride, dilation)
    return torch.conv2d(padded(torch, x, around), w, b, two(stride), dilation=two(dilation), groups=groups)


def draw_depthwise(rng):
    kernel, c, m = draw_kernel(rng), pick(rng, 1, 2, 3, 5, 16, 17), pick(rng, 1, 1, 2, 3)
    how, image = draw_window(rng, kernel)
    arrays = {"x": normal(rng, size(rng, 1, 2), c, *image), "w": normal(rng, c, m, *kernel)}
    return Example("", arrays | {"b": normal(rng, c * m)}, how)


def depthwise(torch, x, w, b=None, **how):
    return conv2d(torch, x, w.reshape(-1, 1, *w.shape[2:]), b, groups=len(w), **how)


def draw_transposed(rng):
    """Padding that leaves an output; with a word, a stride that the kernel reaches over."""
    kernel, groups = draw_kernel(rng), pick(rng, 1, 2)
    stride, dilation = (size(rng, 1, 3), size(rng, 1, 3)), (size(rng, 1, 2), size(rng, 1, 2))
    image = size(rng, 2, 5), size(rng, 2, 5)
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    most = [max(0, min(s - 1, 3)) // 2 for s in span]
    padding = tuple((size(rng, 0, p), size(rng, 0, p)) for p in most)
    c, o = groups * size(rng, 1, 3), groups * size(rng, 1, 3)
    arrays = {"x": normal(rng, size(rng, 1, 2), c, *image), "w": normal(rng, c, o // groups, *kernel)}
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Example("", arrays | {"b": normal(rng, o)}, how)


def transposed(torch, x, w, b, *, stride, padding, dilation, groups):
    whole = torch.conv_transpose2d(x, w, None, stride, groups=groups, dilation=dilation)
    (top, bottom), (left, right) = padding
    rows, columns = whole.shape[2] - bottom, whole.shape[3] - right
    return whole[:, :, top:rows, left:columns] + b[:, None, None]


def draw_pointwise(rng):
    c, o = pick(rng, 1, 2, 4, 17), pick(rng, 1, 3, 16, 20)
    x = normal(rng, size(rng, 1, 3), c, size(rng, 1, 6), size(rng, 1, 6))
    return Example("", {"x": x, "w": normal(rng, o, c), "b": normal(rng, o)})


def draw_linear(rng):
    n, c, o = size(rng, 1, 9), pick(rng, 1, 3, 16, 33), pick(rng, 1, 5, 10)
    return Example("", {"x": normal(rng, n, c), "w": normal(rng, o, c), "b": normal(rng, o)})


# ---- pooling, upsampling, columns ------------------------------------------------------------------------------


def draw_pool(rng, average=False):
    """With rounding up the padding is PyTorch's: the same on both sides, at most half the kernel."""
    kernel, ceil_mode = draw_kernel(rng), rng.random() < 0.4
    how, image = draw_window(rng, kernel, most=0, words=not ceil_mode)
    dilation = (1, 1) if average and ceil_mode else how["dilation"]
    half = tuple(size(rng, 0, k // 2) for k in kernel)
    if how["padding"] not in WORDS:
        how["padding"] = half
        image = tuple(max(n, d * (k - 1) + 1) for n, k, d in zip(image, kernel, two(dilation), strict=True))
    else:  # every window has to meet the picture
        image = tuple(max(n, d * (k - 1) + 1) for n, k, d in zip(image, kernel, two(dilation), strict=True))
    options = {"kernel_size": kernel, **how, "dilation": dilation, "ceil_mode": ceil_mode}
    if average:
        options["count_include_pad"] = pick(rng, True, False, None)
    return Example("", {"x": normal(rng, size(rng, 1, 2), pick(rng, 1, 3, 16, 18), *image)}, options)


def max_pool(torch, x, *, kernel_size, stride, padding, dilation, ceil_mode):
    how = {"stride": two(stride), "dilation": two(dilation), "ceil_mode": ceil_mode}
    if isinstance(padding, str):
        around = sides(padding, x.shape[2:], kernel_size, stride, dilation)
        return torch.nn.functional.max_pool2d(padded(torch, x, around, -np.inf), kernel_size, **how)
    return torch.nn.functional.max_pool2d(x, kernel_size, padding=two(padding), **how)


def avg_pool(torch, x, *, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad):
    if count_include_pad is None:
        count_include_pad = padding not in WORDS
    if ceil_mode:
        how = {"padding": two(padding), "ceil_mode": True, "count_include_pad": count_include_pad}
        return torch.nn.functional.avg_pool2d(x, kernel_size, two(stride), **how)
    around, channels = sides(padding, x.shape[2:], kernel_size, stride, dilation), x.shape[1]
    ones = torch.ones(channels, 1, *kernel_size, dtype=x.dtype)
    counted = padded(torch, torch.ones_like(x), around, float(count_include_pad))
    sums, counts = (
        torch.conv2d(image, ones, None, two(stride), dilation=two(dilation), groups=channels)
        for image in (padded(torch, x, around), counted)
    )
    return sums / counts


def draw_image(rng):
    c = pick(rng, 1, 3, 16, 19)
    return Example("", {"x": normal(rng, size(rng, 1, 3), c, size(rng, 1, 7), size(rng, 1, 7))})


def draw_upsample(rng):
    return Example("", draw_image(rng).arrays, {"scale": pair(rng, 1, 3)})


def upsample(torch, x, *, scale):
    rows, columns = two(scale)
    return x.repeat_interleave(rows, 2).repeat_interleave(columns, 3)


def draw_columns(rng):
    kernel = draw_kernel(rng)
    how, image = draw_window(rng, kernel)
    return Example("", {"x": normal(rng, 2, size(rng, 1, 3), *image)}, {"kernel_size": kernel, **how})


def im2col(torch, x, *, kernel_size, stride, padding, dilation):
    image = padded(torch, x, sides(padding, x.shape[2:], kernel_size, stride, dilation))
    return torch.nn.functional.unfold(image, kernel_size, stride=two(stride), dilation=two(dilation))


def draw_scaled(rng):
    (x,) = draw_image(rng).arrays.values()
    return Example("", {"x": x, "s": normal(rng, *x.shape[:2], 1, 1)})


# ---- norms, activations, dropout, losses -----------------------------------------------------------------------


def draw_norm(rng):
    c = pick(rng, 1, 3, 16, 21)
    x = 3 * normal(rng, size(rng, 2, 4), c, size(rng, 1, 6), size(rng, 1, 6)) + 1
    arrays = {"x": x, "weight": normal(rng, c), "bias": normal(rng, c)}
    if rng.random() < 0.5:
        arrays |= {"mean": normal(rng, c), "var": rng.uniform(0.3, 2, c)}
    return Example("", arrays, {"eps": 1e-3, "activation": pick(rng, None, "relu", "relu6")})


def batch_norm(torch, x, weight, bias, mean=None, var=None, *, eps, activation):
    known = [] if mean is None else [mean.detach(), var.detach()]
    y = torch.nn.functional.batch_norm(x, *(known or (None, None)), weight, bias, training=not known, eps=eps)
    return getattr(torch.nn.functional, activation)(y) if activation else y


def draw_numbers(rng):
    shape = tuple(size(rng, 1, 5) for _ in range(size(rng, 1, 4)))
    return Example("", {"x": 4 * normal(rng, *shape)})


def draw_leaky(rng):
    return Example("", draw_numbers(rng).arrays, {"negative_slope": float(rng.uniform(-1, 1))})


def draw_dropout(rng):
    (x,) = draw_numbers(rng).arrays.values()
    return Example("", {"x": x, "mask": rng.random(x.shape) > 0.3}, {"p": 0.3})


def draw_softmax(rng):
    (x,) = draw_numbers(rng).arrays.values()
    return Example("", {"logits": x}, {"axis": size(rng, -x.ndim, x.ndim - 1)})


def draw_loss(rng, name="logits"):
    k, places = size(rng, 2, 6), tuple(size(rng, 1, 4) for _ in range(size(rng, 0, 2)))
    n = size(rng, 2, 5)
    labels = rng.integers(0, k, (n, *places))
    labels.flat[0] = 1  # at least one counts
    arrays = {name: 3 * normal(rng, n, k, *places), "labels": labels}
    if rng.random() < 0.5:
        arrays["weight"] = rng.uniform(0.1, 2, k)
    options = {"reduction": pick(rng, "mean", "sum", "none"), "ignore_index": pick(rng, None, 0, -100)}
    if name == "logits":
        options["label_smoothing"] = pick(rng, 0.0, 0.1, 0.7)
    return Example("", arrays, options)


def loss(function):
    def call(torch, scores, labels, weight=None, *, ignore_index, **how):
        weight = None if weight is None else weight.detach()
        index = -1000 if ignore_index is None else ignore_index
        of = getattr(torch.nn.functional, function)
        return of(scores, labels, weight=weight, ignore_index=index, **how)

    return call


def draw_pair(rng, name="y"):
    """Two arrays of one shape; of masks the second holds zeros and ones, the first what is between."""
    shape = size(rng, 1, 5), 3, 4
    y, target = normal(rng, *shape), normal(rng, *shape)
    if name == "y":
        return Example("", {name: y, "target": target}, {"reduction": pick(rng, "mean", "sum")})
    target = (target > 0).astype(float)
    if name == "logits":
        return Example("", {name: 4 * y, "target": target}, {"reduction": pick(rng, "mean", "sum")})
    return Example("", {name: rng.random(y.shape), "target": target}, {"smooth": float(rng.uniform(0.1, 3))})


def pair_loss(function):
    return lambda torch, y, target, **how: getattr(torch.nn.functional, function)(y, target.detach(), **how)


def dice(torch, p, target, *, smooth):
    both, either = (p * target.detach()).sum((1, 2)), (p + target.detach()).sum((1, 2))
    return (1 - (2 * both + smooth) / (either + smooth)).mean()


def draw_triplet(rng):
    n, d = size(rng, 1, 6), size(rng, 1, 5)
    arrays = {name: normal(rng, n, d) for name in ("anchor", "positive", "negative")}
    return Example("", arrays, {"margin": float(rng.uniform(0.1, 3))})


def triplet(torch, anchor, positive, negative, *, margin):
    near, far = ((anchor - other).square().sum(1) for other in (positive, negative))
    return torch.relu(near - far + margin).mean()


def draw_teacher(rng):
    n, k = size(rng, 1, 6), size(rng, 2, 7)
    return Example(
        "",
        {"logits": 3 * normal(rng, n, k), "teacher": 3 * normal(rng, n, k)},
        {"temperature": float(rng.uniform(0.5, 6))},
    )


def distillation(torch, logits, teacher, *, temperature):
    q = (teacher.detach() / temperature).softmax(1)
    log_p = (logits / temperature).log_softmax(1)
    return temperature**2 * torch.nn.functional.kl_div(log_p, q, reduction="batchmean")


def draw_block(rng):
    """What the fast tier takes: 3×3, one filter a channel, stride 1, or 2 without dilation."""
    c, o = pick(rng, 1, 3, 16, 20), pick(rng, 1, 4, 16, 19)
    how, image = draw_window(rng, (3, 3), most=2)
    if rng.random() < 0.5:
        how |= {"stride": 2, "dilation": 1}
    else:
        how |= {"stride": 1}
    shapes = {"depthwise": (c, 1, 3, 3), "weight1": (c,), "bias1": (c,)}
    shapes |= {"pointwise": (o, c), "weight2": (o,), "bias2": (o,)}
    arrays = {"x": normal(rng, size(rng, 4, 6), c, *image)}
    arrays |= {name: normal(rng, *shape) for name, shape in shapes.items()}
    if rng.random() < 0.3:
        known = {"mean1": normal(rng, c), "var1": rng.uniform(0.3, 2, c)}
        arrays |= known | {"mean2": normal(rng, o), "var2": rng.uniform(0.3, 2, o)}
    acts = pick(rng, None, "relu", "relu6"), pick(rng, None, "relu", "relu6")
    return Example("", arrays, {**how, "activations": acts, "eps": (1e-2, 1e-3)})


def block(torch, x, w, weight1, bias1, wp, weight2, bias2, *known, activations, eps, **how):
    (mean1, var1, mean2, var2) = known or (None,) * 4
    d = depthwise(torch, x, w, **how)
    h = batch_norm(torch, d, weight1, bias1, mean1, var1, eps=eps[0], activation=activations[0])
    p = torch.conv2d(h, wp[:, :, None, None])
    return batch_norm(torch, p, weight2, bias2, mean2, var2, eps=eps[1], activation=activations[1])


# ---- the table -------------------------------------------------------------------------------------------------


def activation(name):
    return lambda torch, x: getattr(torch.nn.functional, name)(x)


TWINS = {
    "conv2d": (draw_conv2d, conv2d),
    "conv_transpose2d": (draw_transposed, transposed),
    "depthwise_conv2d": (draw_depthwise, depthwise),
    "pointwise_conv2d": (draw_pointwise, lambda torch, x, w, b: torch.conv2d(x, w[:, :, None, None], b)),
    "max_pool2d": (draw_pool, max_pool),
    "avg_pool2d": (lambda rng: draw_pool(rng, average=True), avg_pool),
    "global_max_pool2d": (draw_image, lambda torch, x: x.amax((2, 3), keepdim=True)),
    "global_avg_pool2d": (draw_image, lambda torch, x: x.mean((2, 3), keepdim=True)),
    "upsample2d": (draw_upsample, upsample),
    "scale_channels": (draw_scaled, lambda torch, x, s: x * s),
    "batch_norm2d": (draw_norm, batch_norm),
    "relu": (draw_numbers, activation("relu")),
    "relu6": (draw_numbers, activation("relu6")),
    "leaky_relu": (
        draw_leaky,
        lambda torch, x, negative_slope: torch.nn.functional.leaky_relu(x, negative_slope),
    ),
    "hard_swish": (draw_numbers, activation("hardswish")),
    "hard_sigmoid": (draw_numbers, lambda torch, x: (x + 3).clamp(0, 6) / 6),  # its own is less exact
    "sigmoid": (draw_numbers, activation("sigmoid")),
    "linear": (draw_linear, lambda torch, x, w, b: torch.nn.functional.linear(x, w, b)),
    "separable_block": (draw_block, block),
    "dropout": (draw_dropout, lambda torch, x, mask, p: x * mask / (1 - p)),
    "softmax_cross_entropy": (draw_loss, loss("cross_entropy")),
    "nll_loss": (lambda rng: draw_loss(rng, "log_probabilities"), loss("nll_loss")),
    "mse_loss": (draw_pair, pair_loss("mse_loss")),
    "l1_loss": (draw_pair, pair_loss("l1_loss")),
    "bce_with_logits_loss": (
        lambda rng: draw_pair(rng, "logits"),
        pair_loss("binary_cross_entropy_with_logits"),
    ),
    "dice_loss": (lambda rng: draw_pair(rng, "probabilities"), dice),
    "triplet_loss": (draw_triplet, triplet),
    "distillation_loss": (draw_teacher, distillation),
    "softmax": (draw_softmax, lambda torch, logits, axis: logits.softmax(axis)),
    "log_softmax": (draw_softmax, lambda torch, logits, axis: logits.log_softmax(axis)),
    "im2col": (draw_columns, im2col),
}
"""Op -> how to draw a call of it, rng -> Example, and the same in PyTorch, (torch, *tensors, **options) -> tensor."""

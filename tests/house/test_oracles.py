"""Oracles that know nothing of this package: PyTorch, and what one op has to do with another.

Identities of one op alone are in ``tests/properties``.
"""

import numpy as np
import pytest
from geometries import (
    IMPLS,
    OPS,
    TYPICAL,
    Geometry,
    assert_close,
    case_of,
    geometries,
    gradients,
    tier,
)

import npdsconv
from npdsconv.ops._tiers import TIERS
from npdsconv.shapes import resolve_window

RNG = np.random.default_rng(20)


def some(op):
    """The typical geometry, and random ones that no other test file uses."""
    return [TYPICAL[op], *geometries(op, 2000, 15)]


def window_of(geometry):
    options = geometry.options
    kernel = options["kernel_size"] if geometry.w is None else geometry.w[2:]
    arguments = (
        options.get(name, default) for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    return resolve_window("test", geometry.x[2:], kernel, *arguments)


# ---- PyTorch -------------------------------------------------------------------------------------------------


def tensor_of(torch, array):
    return torch.tensor(np.array(array), requires_grad=True)


def torch_forward(torch, geometry, x, w=None, b=None):
    """The op of a geometry in PyTorch, which has no unequal padding of its own."""
    op, options = geometry.op, geometry.options
    if op == "pointwise_conv2d":
        return torch.conv2d(x, w[:, :, None, None], b)
    window = window_of(geometry)
    (top, bottom), (left, right) = window.padding

    def padded(image, value=0.0):
        return torch.nn.functional.pad(image, (left, right, top, bottom), value=value)

    if op == "conv2d":
        groups = options["groups"]
        return torch.conv2d(padded(x), w, b, window.stride, dilation=window.dilation, groups=groups)
    channels = x.shape[1]
    if op == "depthwise_conv2d":
        taps = w.reshape(-1, 1, *window.kernel)
        return torch.conv2d(padded(x), taps, b, window.stride, dilation=window.dilation, groups=channels)
    if op == "max_pool2d":
        return torch.max_pool2d(padded(x, -np.inf), window.kernel, window.stride, dilation=window.dilation)
    ones = torch.ones(channels, 1, *window.kernel, dtype=x.dtype)
    counted = padded(torch.ones_like(x), 1.0 if options["count_include_pad"] else 0.0)
    sums, counts = (
        torch.conv2d(image, ones, None, window.stride, dilation=window.dilation, groups=channels)
        for image in (padded(x), counted)
    )
    return sums / counts


@pytest.mark.parametrize("op", OPS)
def test_pytorch_finds_the_same_numbers(op, torch):
    for geometry in some(op):
        case = case_of(geometry)
        tensors = {name: tensor_of(torch, array) for name, array in case.arrays.items()}
        y = torch_forward(torch, geometry, **tensors)
        theirs = torch.autograd.grad(y, list(tensors.values()), torch.tensor(case.dy))
        for impl in IMPLS[op]:
            pair = tier(op, impl)
            about = f"{impl} for {geometry}"
            ours = gradients(pair.backward, case).values()
            assert_close(pair.forward(**case.arrays, **geometry.options), y.detach().numpy(), 1e-12, about)
            for array, tensor in zip(ours, theirs, strict=True):
                assert_close(array, tensor.numpy(), 1e-12, about)


@pytest.mark.parametrize("count_include_pad", [True, False])
def test_average_pooling_counts_like_pytorch(count_include_pad, torch):
    x = RNG.standard_normal((2, 3, 7, 6))
    options = {"stride": (2, 1), "padding": (1, 0), "count_include_pad": count_include_pad}
    expected = torch.nn.functional.avg_pool2d(torch.tensor(x), (3, 2), **options)
    for impl in TIERS:
        assert_close(npdsconv.avg_pool2d(x, (3, 2), **options, impl=impl), expected.numpy(), 1e-12, impl)


@pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
@pytest.mark.parametrize("given", [False, True])
def test_batch_norm_finds_pytorchs_numbers(given, impl, torch):
    x, dy = RNG.standard_normal((2, 4, 3, 5, 6)) * 3 + 1
    weight, bias, mean = RNG.standard_normal((3, 3))
    var = RNG.uniform(0.5, 2, 3)
    tensors = [tensor_of(torch, a) for a in (x, weight, bias)]
    expected = torch.nn.functional.batch_norm(
        tensors[0], torch.tensor(mean), torch.tensor(var), *tensors[1:], training=not given, eps=1e-3
    )
    theirs = torch.autograd.grad(expected, tensors, torch.tensor(dy))
    statistics = (mean, var) if given else ()
    y, *used = npdsconv.batch_norm2d(x, weight, bias, *statistics, eps=1e-3, impl=impl)
    assert_close(y, expected.detach().numpy(), 1e-12, "y")
    ours = npdsconv.batch_norm2d_backward(dy, x, weight, *used, given=given, eps=1e-3, impl=impl)
    for name, array, tensor in zip(("dx", "dweight", "dbias"), ours, theirs, strict=True):
        assert_close(array, tensor.numpy(), 1e-12, name)


@pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
def test_linear_and_activations_find_pytorchs_numbers(impl, torch):
    x, w, b, dy = (RNG.standard_normal(shape) for shape in ((4, 5), (3, 5), (3,), (4, 3)))
    tensors = [tensor_of(torch, a) for a in (x, w, b)]
    expected = torch.nn.functional.linear(*tensors)
    assert_close(npdsconv.linear(x, w, b, impl=impl), expected.detach().numpy(), 1e-12, "y")
    theirs = torch.autograd.grad(expected, tensors, torch.tensor(dy))
    ours = npdsconv.linear_backward(dy, x, w, impl=impl)
    for name, array, tensor in zip(("dx", "dw", "db"), ours, theirs, strict=True):
        assert_close(array, tensor.numpy(), 1e-12, name)
    kinks = np.array([-np.inf, -1, -0.0, 0, 0.5, 6, 6.5])
    for name in ("relu", "relu6"):
        argument, slope = tensor_of(torch, kinks), np.arange(1.0, 8)
        expected = getattr(torch.nn.functional, name)(argument)
        np.testing.assert_array_equal(getattr(npdsconv, name)(kinks, impl=impl), expected.detach().numpy())
        (gradient,) = torch.autograd.grad(expected, argument, torch.tensor(slope))
        ours = getattr(npdsconv, f"{name}_backward")(slope, kinks, impl=impl)
        np.testing.assert_array_equal(ours, gradient.numpy())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_finds_pytorchs_numbers(smoothing, torch):
    logits, labels = 5 * RNG.standard_normal((6, 4)), RNG.integers(0, 4, 6)
    tensor = tensor_of(torch, logits)
    expected = torch.nn.functional.cross_entropy(tensor, torch.tensor(labels), label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(expected, tensor)
    loss, p = npdsconv.softmax_cross_entropy(logits, labels, label_smoothing=smoothing)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-13)
    assert_close(p, tensor.softmax(1).detach().numpy(), 1e-13, "p")
    assert_close(npdsconv.softmax(logits), p, 1e-13, "softmax")
    ours = npdsconv.softmax_cross_entropy_backward(p, labels, label_smoothing=smoothing)
    assert_close(ours, gradient.numpy(), 1e-13, "dlogits")


def test_im2col_is_pytorchs_unfold_and_col2im_its_fold(torch):
    x = RNG.standard_normal((2, 3, 8, 7))
    options = {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1)}
    cols = npdsconv.im2col(x, (3, 2), **options)
    unfolded = torch.nn.functional.unfold(torch.tensor(x), (3, 2), **options)
    np.testing.assert_array_equal(cols, unfolded.numpy())
    folded = torch.nn.functional.fold(unfolded, (8, 7), (3, 2), **options)
    assert_close(npdsconv.col2im(cols, (8, 7), (3, 2), **options), folded.numpy(), 1e-14, "col2im")


# ---- identities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("impl", TIERS)
def test_depthwise_is_a_grouped_convolution_with_one_channel_in_each_group(impl):
    for geometry in some("depthwise_conv2d"):
        case = case_of(geometry)
        wide = case.arrays["w"].reshape(-1, 1, *geometry.w[2:])
        options = {**geometry.options, "groups": geometry.x[1]}
        arrays = {**case.arrays, "w": wide}
        grouped = case._replace(arrays=arrays, geometry=Geometry("conv2d", geometry.x, wide.shape, options))
        y = npdsconv.conv2d(**arrays, **options, impl=impl)
        assert_close(y, case.expected["y"], 1e-12, f"y for {geometry}")
        for name, array in gradients(tier("conv2d", impl).backward, grouped).items():
            assert_close(array.reshape(case.expected[name].shape), case.expected[name], 1e-12, name)


@pytest.mark.parametrize("impl", TIERS)
def test_pointwise_is_a_standard_convolution_with_a_kernel_of_one_pixel(impl):
    for geometry in some("pointwise_conv2d"):
        case = case_of(geometry)
        x, w, b = case.arrays.values()
        assert_close(npdsconv.conv2d(x, w[:, :, None, None], b, impl=impl), case.expected["y"], 1e-12, "y")
        dx, dw, db = npdsconv.conv2d_backward(case.dy, x, w[:, :, None, None], impl=impl)
        for name, array in (("dx", dx), ("dw", dw[:, :, 0, 0]), ("db", db)):
            assert_close(array, case.expected[name], 1e-12, name)

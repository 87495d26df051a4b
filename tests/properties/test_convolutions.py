"""What the mathematics says of every convolution, for geometries that Hypothesis draws; no oracle is needed."""

import numpy as np
import pytest
from drawing import TOLERANCE, arrays_of, few, geometries_of, normal, window_of
from geometries import CONVOLUTIONS, OPS, Geometry, tier
from helpers import INTERPRETED, assert_close, compiled
from hypothesis import given
from hypothesis import strategies as st

import npdsconv
from npdsconv.ops._tiers import TIERS
from npdsconv.shapes import pair

LINEAR = [op for op in OPS if op != "max_pool2d"]
IMPLS = ("im2col", "numba")
every = pytest.mark.parametrize(("op", "impl"), [(op, impl) for op in OPS for impl in IMPLS])
every_convolution = pytest.mark.parametrize(("op", "impl"), [(op, i) for op in CONVOLUTIONS for i in IMPLS])


def call(geometry, impl, arrays):
    return tier(geometry.op, impl).forward(**arrays, **geometry.options)


def gradients(geometry, impl, dy, arrays):
    found = tier(geometry.op, impl).backward(dy, **arrays, **geometry.options)
    return dict(zip(("dx", "dw", "db"), found if isinstance(found, tuple) else (found,), strict=False))


@pytest.mark.parametrize(("op", "impl"), [(op, impl) for op in LINEAR for impl in IMPLS])
@few
@given(data=st.data())
def test_it_is_linear_in_the_image_and_in_the_weights(op, impl, data):
    geometry = data.draw(geometries_of(op))
    a, b = 1.5, -0.25
    one, other = arrays_of(geometry), arrays_of(geometry, seed=10)
    for name in one:
        mixed = call(geometry, impl, {**one, name: a * one[name] + b * other[name]})
        parts = a * call(geometry, impl, one) + b * call(geometry, impl, {**one, name: other[name]})
        assert_close(mixed, parts, TOLERANCE, f"{name} of {geometry}", least=1)


@every
@few
@given(data=st.data())
def test_backward_is_the_adjoint_of_forward(op, impl, data):
    """<f(x, w), dy> = <x, dx> = <w, dw>. It holds for max pooling too, whose y is the winners of x."""
    geometry = data.draw(geometries_of(op))
    assert_adjoint(geometry, impl)


def assert_adjoint(geometry, impl):
    arrays = arrays_of(geometry)
    y = call(geometry, impl, arrays)
    dy = normal(geometry, *y.shape, seed=5)
    found = gradients(geometry, impl, dy, arrays)
    scale = np.linalg.norm(y) * np.linalg.norm(dy)
    for name, array in arrays.items():
        difference = np.vdot(y, dy) - np.vdot(array, found[f"d{name}"])
        assert abs(difference) <= TOLERANCE * scale, f"{name} for {geometry}"
    if "db" in found:
        assert_close(found["db"], dy.sum(axis=(0, 2, 3)), TOLERANCE, f"b for {geometry}")


SIZES = st.sampled_from([7, 13, 14, 27, 28, 33])
COUNTS = st.sampled_from([3, 16, 24, 33, 64])


@compiled
@pytest.mark.parametrize("impl", ["loops", "numba"])
@pytest.mark.parametrize("op", CONVOLUTIONS)
@few
@given(data=st.data())
def test_so_it_is_at_the_sizes_of_layers(op, impl, data):
    n, c, o, h, w = (data.draw(s) for s in (st.integers(1, 5), COUNTS, COUNTS, SIZES, SIZES))
    k, how = data.draw(st.sampled_from([1, 3, 5])), {"padding": data.draw(st.sampled_from([0, "same"]))}
    how |= {"stride": data.draw(st.integers(1, 2)), "dilation": 1}
    weights = {"conv2d": (o, c, k, k), "depthwise_conv2d": (c, 1, k, k), "pointwise_conv2d": (o, c)}[op]
    assert_adjoint(Geometry(op, (n, c, h, w), weights, {} if op == "pointwise_conv2d" else how), impl)


@every
@few
@given(data=st.data())
def test_images_of_a_batch_do_not_know_of_each_other(op, impl, data):
    geometry = data.draw(geometries_of(op))
    arrays = arrays_of(geometry)
    y = call(geometry, impl, arrays)
    for k in range(len(y)):
        alone = call(geometry, impl, {**arrays, "x": arrays["x"][k : k + 1]})
        assert_close(alone[0], y[k], TOLERANCE, f"image {k} of {geometry}")


@every_convolution
@few
@given(data=st.data())
def test_channels_in_another_order_give_the_same_sums(op, impl, data):
    geometry = data.draw(geometries_of(op))
    arrays = arrays_of(geometry)
    x, w = arrays["x"], arrays["w"]
    y = call(geometry, impl, arrays)
    rng = np.random.default_rng(1)
    if op == "depthwise_conv2d":
        order = rng.permutation(x.shape[1])
        found = call(geometry, impl, {"x": x[:, order], "w": w[order]})
        by_channel = y.reshape(len(y), *w.shape[:2], *y.shape[2:])[:, order].reshape(y.shape)
        assert_close(found, by_channel, TOLERANCE, str(geometry))
        return
    per_group = len(w) // geometry.options.get("groups", 1)
    outputs = np.arange(len(w)).reshape(-1, per_group)[:, rng.permutation(per_group)].reshape(-1)
    assert_close(call(geometry, impl, {"x": x, "w": w[outputs]}), y[:, outputs], TOLERANCE, str(geometry))
    inputs = rng.permutation(w.shape[1])
    of_x = np.arange(x.shape[1]).reshape(-1, w.shape[1])[:, inputs].reshape(-1)
    assert_close(call(geometry, impl, {"x": x[:, of_x], "w": w[:, inputs]}), y, TOLERANCE, str(geometry))


@every_convolution
@few
@given(data=st.data())
def test_a_shifted_image_gives_a_shifted_output(op, impl, data):
    """Shifts by multiples of the stride, of an image with an empty margin."""
    geometry = data.draw(geometries_of(op).filter(lambda drawn: drawn.x[0] > 0))
    down, across = data.draw(st.integers(-2, 2)), data.draw(st.integers(-2, 2))
    stride, margin = (1, 1), ((6, 6), (6, 6))
    if op != "pointwise_conv2d":
        stride = pair(
            "test", "stride", geometry.options["stride"]
        )  # a window has it no larger than the image
        margin = tuple((3 * s + span,) * 2 for s, span in zip(stride, window_of(geometry).span, strict=True))
    arrays = arrays_of(geometry)
    arrays["x"] = np.pad(arrays["x"], ((0, 0), (0, 0), *margin))
    y = call(geometry, impl, arrays)
    arrays["x"] = np.roll(arrays["x"], (down * stride[0], across * stride[1]), (2, 3))
    moved = call(geometry, impl, arrays)
    assert_close(moved, np.roll(y, (down, across), (2, 3)), TOLERANCE, f"{down}, {across}: {geometry}")


@pytest.mark.parametrize(("op", "impl"), [(op, impl) for op in CONVOLUTIONS[:2] for impl in IMPLS])
@few
@given(data=st.data())
def test_dilation_is_a_kernel_with_zeros_between_its_taps(op, impl, data):
    geometry = data.draw(geometries_of(op))
    window, arrays = window_of(geometry), arrays_of(geometry)
    (dh, dw), w = window.dilation, arrays["w"]
    wide = np.zeros((*w.shape[:2], *window.span))
    wide[:, :, ::dh, ::dw] = w
    stuffed = Geometry(
        op, geometry.x, wide.shape, {**geometry.options, "dilation": 1, "padding": window.padding}
    )
    y, found = call(geometry, impl, arrays), call(stuffed, impl, {**arrays, "w": wide})
    assert_close(found, y, TOLERANCE, str(geometry))
    dy = normal(geometry, *y.shape, seed=5)
    expected = gradients(geometry, impl, dy, arrays)
    found = gradients(stuffed, impl, dy, {**arrays, "w": wide})
    assert_close(found["dx"], expected["dx"], TOLERANCE, str(geometry))
    assert_close(found["dw"][:, :, ::dh, ::dw], expected["dw"], TOLERANCE, str(geometry))


@pytest.mark.parametrize("impl", TIERS)
@few
@given(geometry=geometries_of("depthwise_conv2d"))
def test_depthwise_then_pointwise_is_one_standard_convolution(impl, geometry):
    """Its weights are w[o,c,u,v] = Σ_m wp[o, c·M + m] · wd[c,m,u,v]."""
    options, (x, wd) = geometry.options, arrays_of(geometry).values()
    c, m = wd.shape[:2]
    wp = normal(geometry, c * m + 2, c * m, seed=7)
    w = np.einsum("ocm,cmuv->ocuv", wp.reshape(-1, c, m), wd)
    d = npdsconv.depthwise_conv2d(x, wd, **options, impl=impl)
    y = npdsconv.pointwise_conv2d(d, wp, impl=impl)
    assert_close(y, npdsconv.conv2d(x, w, **options, impl=impl), TOLERANCE, f"y for {geometry}")
    dy = np.cos(y)
    dd, dwp, _ = npdsconv.pointwise_conv2d_backward(dy, d, wp, impl=impl)
    dx, dwd, _ = npdsconv.depthwise_conv2d_backward(dd, x, wd, **options, impl=impl)
    expected_dx, dw, _ = npdsconv.conv2d_backward(dy, x, w, **options, impl=impl)
    assert_close(dx, expected_dx, TOLERANCE, f"dx for {geometry}")
    # The chain rule through w: each factor's gradient is dw contracted with the other factor.
    by_channel = np.einsum("ocuv,cmuv->ocm", dw, wd).reshape(dwp.shape)
    assert_close(dwp, by_channel, 1e-11, f"dw of pointwise for {geometry}")
    by_tap = np.einsum("ocuv,ocm->cmuv", dw, wp.reshape(-1, c, m))
    assert_close(dwd, by_tap, 1e-11, f"dw of depthwise for {geometry}")


@pytest.mark.parametrize("op", OPS)
@few
@given(data=st.data())
def test_plain_loops_and_tuned_kernels_find_the_same(op, data):
    geometry = data.draw(geometries_of(op))
    arrays = arrays_of(geometry)
    y = call(geometry, "loops", arrays)
    assert_close(call(geometry, "numba", arrays), y, TOLERANCE, str(geometry))
    dy = normal(geometry, *y.shape, seed=5)
    expected = gradients(geometry, "loops", dy, arrays)
    for name, found in gradients(geometry, "numba", dy, arrays).items():
        assert_close(found, expected[name], TOLERANCE, f"{name} of {geometry}")


@pytest.mark.skipif(INTERPRETED, reason="no line of its own")
@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_a_fault_is_seen(op):
    """The properties above fail where a constant is added, and where an image leaks into the next."""
    geometry = Geometry(
        op, (2, 3, 6, 5), {"conv2d": (4, 3, 2, 3), "depthwise_conv2d": (3, 1, 2, 3)}.get(op, (4, 3)), {}
    )
    arrays, forward = arrays_of(geometry), tier(op, "numba").forward
    y = forward(**arrays)
    leaking = y + 1e-9 * np.roll(y, 1, axis=0)
    with pytest.raises(AssertionError):
        assert_close(leaking[1], forward(arrays["x"][1:], arrays["w"])[0], TOLERANCE, "leak")
    with pytest.raises(AssertionError):
        assert_close(2 * y + 1e-9, forward(2 * arrays["x"], arrays["w"]), TOLERANCE, "constant", least=1)

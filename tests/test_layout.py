"""Layout: the helpers, and that a training step of the default model copies no activation."""

from collections import Counter

import numpy as np
import pytest
from helpers import is_channels_last, normal

from npdsconv import layout
from npdsconv.layers import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Layer,
    MaxPool2d,
    PointwiseConv2d,
    ReLU,
    Residual,
    Sequential,
    SqueezeExcite,
    pullback,
)
from npdsconv.models import mobilenet_v2, separable_cnn
from npdsconv.ops import softmax_cross_entropy, softmax_cross_entropy_backward
from npdsconv.optim import Adam

# ---- the helpers ----


def test_a_channels_last_array_is_viewed():
    x = layout.empty_nchw((2, 3, 4, 5), np.float64)
    x[...] = normal(2, 3, 4, 5, dtype=np.float32)
    assert x.shape == (2, 3, 4, 5)
    assert x.dtype == np.float64
    assert is_channels_last(x)
    view = layout.nhwc(x)
    assert np.shares_memory(view, x)
    np.testing.assert_array_equal(view, np.moveaxis(x, 1, -1))
    assert np.shares_memory(layout.nchw(view), x)
    np.testing.assert_array_equal(layout.nchw(view), x)


@pytest.mark.parametrize(
    "other",
    [
        np.ascontiguousarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[:, :, ::-1],
        lambda x: x.astype(">f4").astype("f4")[..., ::-1],
        lambda x: np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape),
    ],
    ids=["nchw", "strided", "upside down", "mirrored", "unaligned"],
)
def test_any_other_array_is_copied_once(other):
    x = other(normal(2, 3, 4, 5, dtype=np.float32))
    view = layout.nhwc(x)
    assert not np.shares_memory(view, x)
    assert view.flags.c_contiguous
    assert view.flags.aligned
    np.testing.assert_array_equal(view, np.moveaxis(x, 1, -1))


def test_views_are_read_only_and_leave_the_array_writeable():
    x = layout.empty_nchw((2, 3, 4, 5), np.float32)
    for view in (layout.nhwc(x), layout.readonly(x), layout.flat(x)):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1
    assert x.flags.writeable


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (6, 5), (7,), (2, 3, 4), (0, 3, 4, 5)])
def test_flat_and_back(shape):
    x = normal(*shape, dtype=np.float32)
    row = layout.flat(x)
    assert row.shape == (x.size,)
    back = layout.unflat(row, shape)
    np.testing.assert_array_equal(back, x)
    if len(shape) == 4:
        assert is_channels_last(back)
        np.testing.assert_array_equal(row[:3], x[0, :, 0, 0] if x.size else [])


# ---- no copies of activations ----


class Traffic:
    """What a chain does to memory: copies made by the layout helpers, arrays that are not channels-last."""

    def __init__(self, monkeypatch, model):
        self.events = Counter()
        self._largest = max(p.value.size for p in model.parameters())
        for name in ("nhwc", "readonly"):
            self._watch_copies(monkeypatch, name)
        for module, name in ((np, "ascontiguousarray"), (np, "require")):
            self._watch_copies(monkeypatch, name, module)
        for cls in {type(layer) for layer in model.modules()}:
            self._watch_layer(monkeypatch, cls)

    def _watch_copies(self, monkeypatch, name, module=layout):
        original = getattr(module, name)

        def watched(x, *args, **kwargs):
            result = original(x, *args, **kwargs)
            copied = not np.shares_memory(result, x)
            if copied and (name == "nhwc" or np.size(x) > self._largest):
                self.events[f"copy by {name}"] += 1
            return result

        monkeypatch.setattr(module, name, watched)

    def _watch_layer(self, monkeypatch, cls):
        original = cls.forward

        def forward(layer, x, *, train):
            y, back = original(layer, x, train=train)
            self._see(y, f"output of {cls.__name__}")

            def backward(dy):
                dx = back(dy)
                self._see(dx, f"gradient of {cls.__name__}")
                return dx

            return y, backward

        monkeypatch.setattr(cls, "forward", forward)

    def _see(self, array, where):
        self.events["arrays seen"] += array.ndim == 4
        if array.ndim == 4 and not is_channels_last(array):
            self.events[where] += 1


def train_once(model, x, labels):
    optimizer = Adam(model.parameters(), lr=1e-3)
    logits, backward = model.forward(x, train=True)
    _, probabilities = softmax_cross_entropy(logits, labels)
    backward(softmax_cross_entropy_backward(probabilities, labels))
    optimizer.step()


def with_dropout_and_residuals():
    """The default model with what could disturb it in the middle."""
    model = separable_cnn(width=0.25, rng=0)
    rng = np.random.default_rng(0)
    shortcut = Sequential(AvgPool2d(2, padding=((0, 1), (0, 1))), PointwiseConv2d(16, 32, rng=rng))
    return Sequential(
        *model[:4],
        Dropout(0.2, rng=rng),
        Residual(model[4]),
        Residual(model[5], shortcut),
        MaxPool2d(2, stride=1),
        *model[6:],
    )


def with_branches():
    """The default model with branches in the middle, one of them the input itself, and squeeze-and-excite."""
    model, rng = separable_cnn(width=0.25, rng=0), np.random.default_rng(0)
    wide = Concat(model[4], Sequential(Conv2d(16, 16, 1, rng=rng), BatchNorm2d(16), ReLU()))
    narrow = Sequential(PointwiseConv2d(32, 16, bias=False, rng=rng), BatchNorm2d(16), ReLU())
    return Sequential(
        *model[:4],
        wide,
        SqueezeExcite(32, 4, rng=rng),
        Concat(narrow, Sequential()),
        PointwiseConv2d(48, 32, rng=rng),
        *model[6:],
    )


NETWORKS = {
    "separable_cnn": (lambda: separable_cnn(width=0.25, dropout=0.2, rng=0), (5, 1, 12, 12)),
    "mobilenet_v2": (lambda: mobilenet_v2(0.1, 1, 10, dropout=0.2, rng=0), (2, 1, 32, 32)),
    "branches": (with_branches, (5, 1, 10, 9)),
    "dropout and residuals": (with_dropout_and_residuals, (5, 1, 10, 9)),
}


@pytest.mark.parametrize(("make", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_a_training_step_and_inference_copy_no_activation(make, shape, monkeypatch):
    model = make()
    traffic = Traffic(monkeypatch, model)
    train_once(model, normal(*shape, dtype=np.float32), np.arange(shape[0]))
    seen = traffic.events.pop("arrays seen")
    assert seen >= 12
    assert traffic.events == {}
    model(normal(*shape, dtype=np.float32))
    traffic.events.pop("arrays seen", None)
    assert traffic.events == {}


class BackToNCHW(Layer):
    """What a careless layer does: the right numbers, in the wrong order of memory."""

    def forward(self, x, *, train):
        return np.array(x, order="C"), pullback(lambda dy: np.array(dy, order="C"))


def test_a_careless_layer_is_caught(monkeypatch):
    model = Sequential(Conv2d(1, 4, 3, rng=np.random.default_rng(0)), BackToNCHW(), ReLU())
    traffic = Traffic(monkeypatch, model)
    y, backward = model.forward(normal(3, 1, 9, 8, dtype=np.float32), train=True)
    backward(y)
    assert traffic.events["output of BackToNCHW"] == 1
    assert traffic.events["gradient of BackToNCHW"] == 1
    assert traffic.events["copy by nhwc"] >= 2  # ReLU's input (forward and backward), the convolution's dy
    assert traffic.events["copy by readonly"] >= 2

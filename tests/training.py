"""What the tests of training share: images that give their class away, small models, the settings of one run."""

import weakref

import numpy as np

from npdsconv import layers, train
from npdsconv.data import Split

CLASSES = 3


def make_split(n=20, seed=0, classes=CLASSES, size=(6, 5)):
    """Images of noise in which a bright row gives the class away."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    images = rng.integers(0, 100, (n, 1, *size), dtype=np.uint8)
    images[np.arange(n), 0, labels] += 120
    return Split(images, labels)


def make_model(seed=0, impl="im2col"):
    """Everything that has a state: batch norm, dropout, both separable convolutions, biases."""
    rng = np.random.default_rng(seed)
    model = layers.Sequential(
        layers.Conv2d(1, 4, (3, 2), padding=1, bias=False, rng=rng),
        layers.BatchNorm2d(4),
        layers.ReLU(),
        layers.DepthwiseSeparableConv2d(4, 6, 3, stride=2, padding=1, rng=rng),
        layers.Dropout(0.25, rng=rng),
        layers.GlobalAvgPool2d(),
        layers.Flatten(),
        layers.Linear(6, CLASSES, rng=rng),
    )
    return layers.set_impl(model, impl)


def make_linear(seed=0, pixels=30, dtype=np.float32):
    """Softmax regression."""
    model = layers.Sequential(
        layers.Flatten(), layers.Linear(pixels, CLASSES, rng=np.random.default_rng(seed))
    )
    return layers.set_impl(model, "im2col").astype(dtype)


class Watched(layers.Layer):
    """Wraps a layer and counts its calls; remembers its closures weakly."""

    def __init__(self, inner):
        self.inner = inner
        self.closures, self.sizes, self.images = (), (), ()

    def forward(self, x, *, train):
        y, inner_backward = self.inner.forward(x, train=train)

        def backward(dy):
            return inner_backward(dy)

        if train:
            self.closures += (weakref.ref(backward),)
            self.sizes += (len(x),)
            self.images += (x.copy(),)
        return y, backward


# --- epochs -------------------------------------------------------------------------------------------------
SETTINGS = {"epochs": 4, "batch_size": 6, "seed": 11}


def run(model, optimizer, split, **changes):
    """All results of a training with `SETTINGS`, some of them changed."""
    return train.fit(model, split, optimizer, **{**SETTINGS, **changes})


def assert_same_results(actual, expected):
    """The same numbers to the last bit; only the time may differ."""
    for mine, theirs in zip(actual, expected, strict=True):
        for name, value in mine._asdict().items():
            if name == "validation" and value is not None:
                for a, b in zip(value, theirs.validation, strict=True):
                    np.testing.assert_array_equal(a, b)
            elif name != "seconds":
                assert value == getattr(theirs, name), name

"""Evaluation and prediction: by hand, in batches of any size, without a trace in the model."""

import math

import numpy as np
import pytest
from helpers import assert_same_state
from training import CLASSES, make_linear, make_model, make_split, run

from npdsconv import layers, optim, train
from npdsconv.data import Split


# --- evaluate and predict -----------------------------------------------------------------------------------
def test_evaluate_by_hand():
    model = make_linear(pixels=2, dtype=np.float64)
    weight, bias = (p.value for p in model.parameters())
    weight[...], bias[...] = [[0, 0], [math.log(2), 0], [0, math.log(3)]], 0
    images = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).reshape(4, 1, 1, 2)
    # probabilities: 1/3 1/3 1/3; 1/4 1/2 1/4; 1/5 1/5 3/5 twice
    result = train.evaluate(model, images, np.array([0, 1, 2, 1]))
    assert result.accuracy == 0.75
    np.testing.assert_allclose(result.loss, math.log(3 * 2 * (5 / 3) * 5) / 4, rtol=1e-12)
    np.testing.assert_array_equal(result.predictions, [0, 1, 2, 2])
    np.testing.assert_allclose(result.probabilities[2], [0.2, 0.2, 0.6], rtol=1e-12)
    np.testing.assert_array_equal(result.confusion, [[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    assert type(result.accuracy) is float


@pytest.mark.parametrize("batch_size", [1, 7, 19, 20, 1000])
def test_the_batch_size_of_an_evaluation_does_not_matter(batch_size):
    split, model = make_split(20), make_model()
    result = train.evaluate(model, split.images, split.labels, batch_size=batch_size)
    expected = train.evaluate(model, split.images / np.float32(255), split.labels)
    np.testing.assert_allclose(result.probabilities, expected.probabilities, rtol=1e-5)
    np.testing.assert_allclose(result.loss, expected.loss, rtol=1e-5)
    np.testing.assert_array_equal(result.confusion, expected.confusion)
    np.testing.assert_allclose(
        train.predict(model, split.images, batch_size=batch_size), expected.probabilities, rtol=1e-5
    )


def test_evaluation_leaves_model_and_arrays_alone():
    split, model = make_split(20), make_model()
    run(model, optim.Adam(model.parameters(), lr=0.01), split, epochs=1)
    before = model.state_dict()
    gradients = [p.grad.copy() for p in model.parameters()]
    images = split.images.copy()
    split.images.flags.writeable = False
    train.evaluate(model, split.images, split.labels, batch_size=3)
    train.predict(model, split.images)
    assert_same_state(model.state_dict(), before)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)
    np.testing.assert_array_equal(split.images, images)


def test_probabilities_are_distributions_also_for_no_images():
    split, model = make_split(5), make_linear()
    probabilities = train.predict(model, split.images)
    np.testing.assert_allclose(probabilities.sum(axis=1), np.ones(5), rtol=1e-6)
    assert train.predict(model, split.images[:0]).shape == (0, CLASSES)


def test_the_nearest_class_mean_by_hand():
    """Two pixels in, the features are those two numbers: only their direction counts, each image as much as another.

    Class 4: (0.5, 0), (0.1, 0.1) and (0, 0), which has no direction; each made of length 1, their mean is (0.57, 0.24).
    Class 7: (0, 0.01), so (0, 1).
    """
    model = layers.set_impl(layers.Sequential(layers.Flatten(), layers.Linear(2, 3, rng=0)), "im2col")
    known = np.array([[0.5, 0], [0.1, 0.1], [0, 0], [0, 0.01]]).reshape(4, 1, 1, 2)
    labels = np.array([4, 4, 4, 7])
    images = np.array([[0.2, 0], [0.3, 0.4], [0.4, 0.8], [0, 0.7], [0.01, 0.008]]).reshape(5, 1, 1, 2)
    for bright in (1, 1e-6):
        found = train.nearest_class_mean(
            model.astype(np.float64), Split(known, labels), bright * images, batch_size=2
        )
        np.testing.assert_array_equal(found, [4, 4, 7, 7, 4])


def test_bad_evaluations():
    split, model = make_split(5), make_linear()
    with pytest.raises(
        ValueError, match=r"evaluate: labels have shape \(4,\), expected \(5,\), one for each"
    ):
        train.evaluate(model, split.images, split.labels[:4])
    with pytest.raises(ValueError, match=r"labels lie in .* must be in 0 … 2"):
        train.evaluate(model, split.images, split.labels + 1)
    with pytest.raises(ValueError, match=r"predict: batch size 0 is below 1"):
        train.predict(model, split.images, batch_size=0)
    with pytest.raises(ValueError, match=r"evaluate: batch size -1 is below 1"):
        train.evaluate(model, split.images, split.labels, batch_size=-1)

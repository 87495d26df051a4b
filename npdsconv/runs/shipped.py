"""The network that comes with the package, trained by its own recipe on the full MNIST."""

from pathlib import Path

from npdsconv.layers import Sequential
from npdsconv.runs.saved import load_model
from npdsconv.shapes import check_choice

FOLDER = Path(__file__).parent / "trained"
NAMES = ("mnist",)
ACCURACY = {"mnist": 0.9952}
"""On MNIST's 10,000 test images, looked at once, when training had ended."""


def pretrained(name: str = "mnist") -> Sequential:
    """A network that is trained already, for reading pictures or for going on from.

    Parameters
    ----------
    name : {"mnist"}
        What it was trained on: "mnist" is the recipe of the full MNIST with seed 0, a `separable_cnn` of 36,298
        parameters (``npdsconv train --dataset mnist``).

    Returns
    -------
    Sequential
        From (N,1,28,28) to logits (N,10), in float32.

    Notes
    -----
    The images of mnist5k, its mini test included, are among those that it learned from: a score on them means
    nothing. MNIST's own test images were not.

    Examples
    --------
    >>> network = pretrained()
    >>> sum(parameter.value.size for parameter in network.parameters())
    36298
    """
    return load_model(path(name))[0]


def path(name: str = "mnist") -> Path:
    """The checkpoint of a network that comes with the package."""
    check_choice("pretrained", "a network", name, NAMES)
    return FOLDER / f"{name}.npz"

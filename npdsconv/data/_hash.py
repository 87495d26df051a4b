"""Random numbers that are a function of (seed, epoch, stream, index), and of nothing else.

A generator with hidden state would tie an image's random numbers to the batches that came before it. Here
every number is computed from its own address, so a resumed run, another batch size or another order of
evaluation changes nothing. The mixing step is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014). Unlike the methods of `numpy.random.Generator`, it
can never change between NumPy versions.
"""

import operator

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: successive multiples are spread evenly


def _mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def check_key(caller: str, name: str, value: int) -> int:
    """Return `value` as a plain int, or raise: seeds and epochs are non-negative integers below 2**64."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{caller}: {name} {value!r} is not an integer") from None
    if not 0 <= number < 2**64:
        raise ValueError(f"{caller}: {name} {number} is not in 0 .. 2**64 - 1")
    return number


def check_images(caller: str, x: npt.NDArray[np.generic], index: npt.NDArray[np.integer]) -> None:
    """Raise unless `x` is a batch (n,C,H,W) and `index` (n,) has a place for each of its images."""
    if x.ndim != 4 or index.shape != x.shape[:1]:
        raise ValueError(f"{caller}: images {x.shape} and index {index.shape} are not (n,C,H,W) and (n,)")


def bits(
    seed: int, epoch: int, stream: int | npt.NDArray[np.integer], index: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint64]:
    """64 random bits for each (stream, index), broadcast; `stream` keeps different uses of one seed apart."""
    key = np.zeros(1, np.uint64)
    for word in (seed, epoch, stream):
        key = _mix(key + np.asarray(word).astype(np.uint64) + _GOLDEN)
    # Mixed twice: two keys must not give the same sequence read from two starting points.
    return _mix(_mix(np.asarray(index).astype(np.uint64) * _GOLDEN + key) ^ key)


def uniform(
    seed: int, epoch: int, stream: int | npt.NDArray[np.integer], index: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each (stream, index), broadcast: a multiple of 2**-53."""
    return (bits(seed, epoch, stream, index) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, epoch: int, stream: int, n: int) -> npt.NDArray[np.int64]:
    """A random order of 0 .. n-1: the numbers sorted by their random bits."""
    return np.argsort(bits(seed, epoch, stream, np.arange(n)), kind="stable").astype(np.int64, copy=False)

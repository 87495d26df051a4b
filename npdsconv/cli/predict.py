"""``npdsconv predict``: recognise digits in picture files."""

import argparse
from pathlib import Path

import numpy as np

from npdsconv import text, train
from npdsconv.cli import Outcome, which_run
from npdsconv.data import images
from npdsconv.runs.folder import is_run, load_model


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    which_run.add(parser)
    kinds = ", ".join(sorted(suffix[1:] for suffix in images.SUFFIXES))
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help=f"picture files, or folders of them; one digit each ({kinds})",
    )
    parser.add_argument("--save", metavar="FOLDER", help="keep the 28x28 pictures that the network saw")


def run(args: argparse.Namespace) -> Outcome:
    """Print, for each picture, the digit and the probabilities of all ten."""
    place, pictures = _run_and_pictures(args)
    model, _, _ = load_model(which_run.chosen("predict", place, args.run))
    files = [file for path in pictures for file in images.list_images(path)]
    seen = [images.prepare(file) for file in files]
    probabilities = train.predict(model, np.stack(seen)[:, None])
    digits = probabilities.argmax(axis=1).tolist()
    classes = [str(k) for k in range(probabilities.shape[1])]
    columns = (f"<{max(len(str(file)) for file in files)}", ">5", *[">6"] * len(classes))
    print(text.line(("", "digit", *classes), columns))
    for file, digit, p in zip(files, digits, probabilities, strict=True):
        print(text.line((str(file), digit, *(f"{share:.1%}" for share in p)), columns))
    if args.save:
        _save(Path(args.save), files, seen)
    found = zip(files, digits, probabilities, strict=True)
    return Outcome(
        {
            "predictions": [
                {"file": str(file), "digit": digit, "probabilities": [round(float(v), 6) for v in p]}
                for file, digit, p in found
            ]
        }
    )


def _run_and_pictures(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """What stands first is the run if it is one; otherwise it is a picture too."""
    words = [*([args.place] if args.place else []), *args.pictures]
    if not is_run(words[0]):
        return None, words
    if not words[1:]:
        raise ValueError(f"predict: {words[0]} is a run: name pictures after it")
    return words[0], words[1:]


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

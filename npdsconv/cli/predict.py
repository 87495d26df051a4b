"""``npdsconv predict``: recognise digits in picture files."""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npdsconv import text, train
from npdsconv.cli import BAD_INPUT, FAILED, Outcome, which_run
from npdsconv.cli.names import file_name
from npdsconv.data import images
from npdsconv.runs import load_model, shipped
from npdsconv.runs.folder import is_run

OWN = "the network that comes with npdsconv"


class Looked(NamedTuple):
    """A picture that was named: what the network is to see, or why it cannot be trusted."""

    file: str
    seen: np.ndarray | None
    reason: str


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    which_run.add(parser, default=f"{OWN}, trained on the full MNIST")
    kinds = ", ".join(sorted(suffix[1:] for suffix in images.SUFFIXES))
    parser.add_argument(
        "pictures",
        type=file_name,
        nargs="+",
        metavar="PICTURE",
        help=f"picture files, or folders of them; one digit each ({kinds})",
    )
    parser.add_argument(
        "--save", type=file_name, metavar="FOLDER", help="keep the 28x28 pictures that the network saw"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Print, for each picture, the digit and the probabilities of all ten, or why it was left out."""
    place, pictures = _run_and_pictures(args)
    path = which_run.named("predict", place, args.run)
    model, _, saved = load_model(path or shipped.path())
    names = saved.meta["names"]
    if path is None:
        print(f"{OWN}: {shipped.ACCURACY['mnist']:.2%} of MNIST's test images; --run RUN takes another\n")
    looked = [one for picture in pictures for one in _look(picture)]
    seen = [one.seen for one in looked if one.seen is not None]
    probabilities = train.predict(model, np.stack(seen)[:, None]) if seen else np.empty((0, len(names)))
    answers = iter(probabilities)
    answered = [(one, None if one.seen is None else next(answers)) for one in looked]
    _print(answered, names)
    if args.save and seen:
        _save(Path(args.save), looked)
    return Outcome(_report(answered, path, names), _code(looked))


def _look(picture: str) -> list[Looked]:
    """Every file that `picture` means, brought into MNIST's form where it can be."""
    try:
        files = images.list_images(picture)
    except OSError as error:
        return [Looked(picture, None, _reason(error, picture))]
    looked = []
    for file in map(str, files):
        try:
            looked.append(Looked(file, images.prepare(file), ""))
        except (ValueError, OSError) as error:
            looked.append(Looked(file, None, _reason(error, file)))
    return looked


def _reason(error: Exception, file: str) -> str:
    """The error without the names of the function and of the file, which stand before it."""
    said = str(error).partition(": ")[2] or str(error)
    return said.removeprefix(file).lstrip(": ").removesuffix(f" {file}")


def _print(answered: list[tuple[Looked, np.ndarray | None]], names: list[str]) -> None:
    columns = [f"<{max(len(one.file) for one, _ in answered)}", f">{max(5, *map(len, names))}"]
    columns += [f">{max(6, len(name))}" for name in names]
    print(text.line(("", "digit" if all(map(str.isdecimal, names)) else "class", *names), columns))
    for one, p in answered:
        if p is None:
            print(text.line((one.file, "-", f"left out: {one.reason}"), (*columns[:2], "")))
        else:
            print(text.line((one.file, names[p.argmax()], *(f"{share:.1%}" for share in p)), columns))


def _report(
    answered: list[tuple[Looked, np.ndarray | None]], path: Path | None, names: list[str]
) -> dict[str, Any]:
    return {
        "predictions": [
            {
                "file": one.file,
                "digit": _digit(names[p.argmax()]),
                "probabilities": [round(float(v), 6) for v in p],
            }
            for one, p in answered
            if p is not None
        ],
        "left_out": [{"file": one.file, "reason": one.reason} for one, p in answered if p is None],
        "run": None if path is None else str(path),
    }


def _digit(name: str) -> int | str:
    return int(name) if name.isdecimal() else name


def _code(looked: list[Looked]) -> int:
    """0 if every picture was read; what was left out is counted on standard error."""
    bad = [one for one in looked if one.seen is None]
    if not bad:
        return 0
    if len(bad) < len(looked):
        print(f"npdsconv: {len(bad)} of {len(looked)} pictures left out", file=sys.stderr)
        return FAILED
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    print(f"npdsconv: error: predict: nothing to read: {bad[0].file}: {bad[0].reason}{more}", file=sys.stderr)
    return BAD_INPUT


def _run_and_pictures(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """What stands first is the run if it is one; otherwise it is a picture too."""
    words = [*([args.place] if args.place else []), *args.pictures]
    if not is_run(words[0]):
        return None, words
    if not words[1:]:
        raise ValueError(f"predict: {words[0]} is a run: name pictures after it")
    return words[0], words[1:]


def _save(folder: Path, looked: list[Looked]) -> None:
    """Write the pictures as the network saw them, each under the name of its file."""
    from PIL import Image

    taken: set[str] = set()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for k, one in enumerate(looked):
            if one.seen is None:
                continue
            stem = Path(one.file).stem
            name = f"{stem}-{k}" if stem in taken else stem
            taken.add(name)
            Image.fromarray(one.seen).save(folder / f"{name}.png")
    except OSError as error:
        raise type(error)(f"predict: cannot write to {folder}: {error.strerror or error}") from None
    print(f"the pictures as the network saw them are in {folder}")

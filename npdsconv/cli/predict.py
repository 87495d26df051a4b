"""``npdsconv predict``: recognise in picture files what a network has learned, digits or other things."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npdsconv import text, train
from npdsconv.cli import BAD_INPUT, FAILED, Outcome, which_run
from npdsconv.cli.names import file_name
from npdsconv.data import images
from npdsconv.runs import load_model, shipped
from npdsconv.runs.folder import is_run
from npdsconv.runs.recipe import OWN, Recipe

SHIPPED = "the network that comes with npdsconv"
_MOST = 12  # classes of which all probabilities are shown; of more, those of the three most probable


class Looked(NamedTuple):
    """A picture that was named: what the network is to see, or why it cannot be trusted."""

    file: str
    seen: np.ndarray | None  # (C,H,W) uint8
    reason: str


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    which_run.add(parser, default=f"{SHIPPED}, trained on the full MNIST")
    kinds = ", ".join(sorted(suffix[1:] for suffix in images.SUFFIXES))
    parser.add_argument(
        "pictures",
        type=file_name,
        nargs="+",
        metavar="PICTURE",
        help=f"picture files, or folders of them; one digit, or whatever was learned, on each ({kinds})",
    )
    parser.add_argument(
        "--save",
        type=file_name,
        metavar="FOLDER",
        help="keep the pictures as the network saw them, digits 28x28",
    )


def run(args: argparse.Namespace) -> Outcome:
    """Print, for each picture, its class and the probabilities of all, or why it was left out."""
    place, pictures = _run_and_pictures(args)
    path = which_run.named("predict", place, args.run)
    model, recipe, saved = load_model(path or shipped.path())
    names = saved.meta["names"]
    if path is None:
        print(f"{SHIPPED}: {shipped.ACCURACY['mnist']:.2%} of MNIST's test images; --run RUN takes another\n")
    see = _sight(recipe, tuple(saved.meta["shape"]))
    looked = [one for picture in pictures for one in _look(picture, see)]
    seen = [one.seen for one in looked if one.seen is not None]
    probabilities = train.predict(model, np.stack(seen)) if seen else np.empty((0, len(names)))
    answers = iter(probabilities)
    answered = [(one, None if one.seen is None else next(answers)) for one in looked]
    _print(answered, names)
    if args.save and seen:
        _save(Path(args.save), looked)
    return Outcome(_report(answered, path, names), _code(looked))


def _sight(recipe: Recipe, shape: tuple[int, int, int]) -> Callable[[str], np.ndarray]:
    """How a network is shown a picture: as what it learned from. A digit is looked for; of other things all is seen."""
    if recipe.dataset == OWN:
        return lambda file: images.picture(file, shape)
    return lambda file: images.prepare(file)[None]


def _look(picture: str, see: Callable[[str], np.ndarray]) -> list[Looked]:
    """Every file that `picture` means, in the form that the network knows, where it can be brought into it."""
    try:
        files = images.list_images(picture)
    except OSError as error:
        return [Looked(picture, None, _reason(error, picture))]
    looked = []
    for file in map(str, files):
        try:
            looked.append(Looked(file, see(file), ""))
        except (ValueError, OSError) as error:
            looked.append(Looked(file, None, _reason(error, file)))
    return looked


def _reason(error: Exception, file: str) -> str:
    """The error without the names of the function and of the file, which stand before it."""
    said = str(error).partition(": ")[2] or str(error)
    return said.removeprefix(file).lstrip(": ").removesuffix(f" {file}")


def _print(answered: list[tuple[Looked, np.ndarray | None]], names: list[str]) -> None:
    first = [f"<{max(len(one.file) for one, _ in answered)}", f">{max(5, *map(len, names))}"]
    few = len(names) <= _MOST
    columns = [*first, *(f">{max(6, len(name))}" for name in names)] if few else [*first, ""]
    shown = names if few else ["the most probable"]
    print(text.line(("", "digit" if all(map(str.isdecimal, names)) else "class", *shown), columns))
    for one, p in answered:
        if p is None:
            print(text.line((one.file, "-", f"left out: {one.reason}"), (*first, "")))
        else:
            shares = [f"{share:.1%}" for share in p] if few else [_best(p, names)]
            print(text.line((one.file, names[p.argmax()], *shares), columns))


def _best(p: np.ndarray, names: list[str]) -> str:
    return ", ".join(f"{names[k]} {p[k]:.1%}" for k in np.argsort(-p, kind="stable")[:3])


def _report(
    answered: list[tuple[Looked, np.ndarray | None]], path: Path | None, names: list[str]
) -> dict[str, Any]:
    return {
        "predictions": [
            {
                "file": one.file,
                "class": names[p.argmax()],
                "digit": _digit(names[p.argmax()]),
                "probabilities": [round(float(v), 6) for v in p],
            }
            for one, p in answered
            if p is not None
        ],
        "left_out": [{"file": one.file, "reason": one.reason} for one, p in answered if p is None],
        "run": None if path is None else str(path),
    }


def _digit(name: str) -> int | None:
    return int(name) if name.isdecimal() else None


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
            pixels = one.seen[0] if len(one.seen) == 1 else one.seen.transpose(1, 2, 0)
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}.png")
    except OSError as error:
        raise type(error)(f"predict: cannot write to {folder}: {error.strerror or error}") from None
    print(f"the pictures as the network saw them are in {folder}")

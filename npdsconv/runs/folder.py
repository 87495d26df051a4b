"""A run folder: what a training run writes, and how it is read back.

``config.json`` the settings, ``metrics.csv`` one line an epoch, ``checkpoint.npz`` the state after the last whole
epoch, ``learning_curve.png`` and ``confusion.png`` for looking.
"""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

from npdsconv import checkpoint
from npdsconv.checkpoint import Checkpoint
from npdsconv.layers import Sequential
from npdsconv.runs.job import Job
from npdsconv.runs.recipe import Recipe
from npdsconv.train import EpochResult

COLUMNS = (
    "epoch",
    "steps",
    "train_loss",
    "train_accuracy",
    "lr",
    "seconds",
    "held_out_loss",
    "held_out_accuracy",
)

DIGITS = (
    (1, 28, 28),
    10,
)  # shape and classes, where a checkpoint says neither: the first ones were all of digits


class RunFolder:
    """One training run on disk."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoint.npz"
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"

    def begin(self, recipe: Recipe) -> None:
        """Make the folder and write the settings.

        Raises
        ------
        FileExistsError
            The folder holds a run already; nothing of it is touched.
        OSError
            The folder cannot be written.
        """
        if self.checkpoint.exists():
            raise FileExistsError(
                f"train: {self.path} holds a run: continue it with --resume, or choose another --out"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _replace(self.config, json.dumps(recipe.as_dict(), indent=2) + "\n")
            _replace(self.metrics, ",".join(COLUMNS) + "\n")
        except OSError as error:
            raise type(error)(f"train: cannot write to {self.path}: {error.strerror or error}") from None

    def resume(self) -> tuple[Recipe, Checkpoint]:
        """The settings and the last state of the run; epochs after that state are dropped from metrics.csv."""
        if not self.checkpoint.exists():
            raise FileNotFoundError(
                f"train: there is no run to resume in {self.path}: no file {self.checkpoint.name}"
            )
        saved = checkpoint.load(self.checkpoint)
        recipe = recipe_of(saved, self.checkpoint)
        done = [row for row in self.rows() if int(row["epoch"]) <= saved.meta["epoch"]]
        lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in done)]
        _replace(self.metrics, "\n".join(lines) + "\n")
        return recipe, saved

    def record(self, job: Job, result: EpochResult | None) -> None:
        """Save the state, then add the epoch's line: a line never speaks of a state that was not saved."""
        checkpoint.save(
            self.checkpoint,
            model=job.model,
            optimizer=job.optimizer,
            epoch=result.epoch if result else 0,
            recipe=job.recipe.as_dict(),
            shape=job.shape,
            classes=job.classes,
        )
        if result:
            held = result.validation
            values = (*result[:6], *((held.loss, held.accuracy) if held else ("", "")))
            with self.metrics.open("a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(
                    f"{v:.6g}" if isinstance(v, float) else v for v in values
                )

    def rows(self) -> list[dict[str, str]]:
        """The lines of metrics.csv."""
        if not self.metrics.exists():
            return []
        with self.metrics.open(newline="") as file:
            return list(csv.DictReader(file))


def load_model(path: str | os.PathLike[str]) -> tuple[Sequential, Recipe, Checkpoint]:
    """Rebuild the model of a run folder or of a checkpoint file."""
    path = Path(path)
    file = path / "checkpoint.npz" if path.is_dir() else path
    saved = checkpoint.load(file)
    recipe = recipe_of(saved, file)
    shape, classes = saved.meta.get("shape", DIGITS[0]), saved.meta.get("classes", DIGITS[1])
    model = recipe.build_model(tuple(shape), classes)
    model.load_state_dict(saved.state)
    return model, recipe, saved


def recipe_of(saved: Checkpoint, file: Path) -> Recipe:
    """The recipe that a checkpoint carries."""
    try:
        return Recipe(**saved.meta["recipe"])
    except (KeyError, TypeError):
        pass
    raise ValueError(f"{file} carries no recipe of this version: it was not written by `npdsconv train`")


def fresh_folder(recipe: Recipe) -> Path:
    """``runs/<data>-<model>-seed<n>``, with -2, -3 … where that is taken."""
    return next(path for path in _candidates(recipe) if not path.exists())


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a run and not a picture: a folder with a checkpoint, or a checkpoint."""
    return Path(path).suffix == ".npz" or RunFolder(path).checkpoint.exists()


def latest_folder(*, trained: bool = False) -> Path:
    """The run under ``runs/`` that was written to last; with `trained`, of those that have an epoch behind them."""
    found = sorted(Path("runs").glob("*/checkpoint.npz"), key=lambda p: p.stat().st_mtime)
    folders = [path.parent for path in found if not trained or RunFolder(path.parent).rows()]
    if not folders:
        what = "no run with a whole epoch" if trained and found else "no run"
        raise FileNotFoundError(
            f"there is {what} in runs/: name its folder, or train one with `npdsconv train`"
        )
    return folders[-1]


def _candidates(recipe: Recipe) -> Iterator[Path]:
    name = f"{recipe.dataset}-{recipe.model}{'-standard' if recipe.standard else ''}-seed{recipe.seed}"
    yield Path("runs") / name
    k = 2
    while True:
        yield Path("runs") / f"{name}-{k}"
        k += 1


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)

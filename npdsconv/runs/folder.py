"""A run folder: what a training run writes, and how it is read back.

``config.json`` the settings, ``metrics.csv`` one line an epoch, ``checkpoint.npz`` the state after the last whole
epoch, ``learning_curve.png`` and ``confusion.png`` for looking.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from npdsconv import checkpoint, disk
from npdsconv.checkpoint import Checkpoint
from npdsconv.runs import history
from npdsconv.runs import saved as saved_run
from npdsconv.runs.job import Job
from npdsconv.runs.recipe import Recipe
from npdsconv.train import EpochResult

PICTURES = ("learning_curve.png", "confusion.png")


class RunFolder:
    """One training run on disk."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoint.npz"
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"
        self.history: list[history.Row] = []  # of the run that is being trained

    @contextmanager
    def held(self) -> Iterator[None]:
        """The folder for this process alone, made if need be, and without what a killed process left in it.

        Raises
        ------
        OSError
            The folder cannot be made, or another process is training in it.
        """
        with _told(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = _lock(self.path)
        try:
            with _told(self.path):
                disk.sweep(self.path, {self.checkpoint.name, self.config.name, self.metrics.name, *PICTURES})
            yield
        finally:
            if lock is not None:
                os.close(lock)

    def begin(self, recipe: Recipe) -> None:
        """Write the settings, and a table without rows.

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
        self.history = []
        with _told(self.path):
            _write(self.config, json.dumps(recipe.as_dict(), indent=2) + "\n")
            _write(self.metrics, history.as_csv([]))

    def resume(self) -> tuple[Recipe, Checkpoint]:
        """The settings and the last state of the run; nothing is written."""
        if not disk.is_there(self.checkpoint):
            raise FileNotFoundError(
                f"train: there is no run to resume in {self.path}: no file {self.checkpoint.name}"
            )
        recipe, saved = saved_run.read(self.checkpoint)
        saved_run.build(self.checkpoint, recipe, saved)  # a state that does not fit is refused here
        return recipe, saved

    def mend(self, saved: Checkpoint) -> None:
        """Make ``metrics.csv`` the history of the state: no row too many, none missing, none torn."""
        epoch = saved.meta["epoch"]
        kept = history.kept(saved.meta.get("rows"), epoch)
        self.history = self._rows()[:epoch] if kept is None else kept  # older checkpoints kept no history
        with _told(self.path):
            _write(self.metrics, history.as_csv(self.history))

    def record(self, job: Job, result: EpochResult | None) -> None:
        """Save the state with its history, then the table: it never speaks of a state that was not saved."""
        if result:
            self.history = [*self.history, history.row(result)]
        checkpoint.save(
            self.checkpoint,
            model=job.model,
            optimizer=job.optimizer,
            epoch=result.epoch if result else 0,
            rows=self.history,
            recipe=job.recipe.as_dict(),
            shape=job.shape,
            classes=job.classes,
            names=job.names,
            data=job.data,
        )
        with _told(self.path):
            _write(self.metrics, history.as_csv(self.history))

    def rows(self) -> list[dict[str, str]]:
        """The whole lines of metrics.csv."""
        return [dict(zip(history.COLUMNS, row, strict=True)) for row in self._rows()]

    def _rows(self) -> list[history.Row]:
        try:
            text = disk.read("metrics", self.metrics).decode("utf-8", "replace")
        except OSError:
            return []
        return history.from_csv(text)


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
    name = f"{recipe.data_name}-{recipe.model}{'-standard' if recipe.standard else ''}-seed{recipe.seed}"
    yield Path("runs") / name
    k = 2
    while True:
        yield Path("runs") / f"{name}-{k}"
        k += 1


def _write(path: Path, text: str) -> None:
    with disk.replacing(path) as file:
        file.write(text.encode("ascii"))


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Errors of the disk, with the name of the folder where they do not say more."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # one of our own, a sentence already
            raise
        raise type(error)(f"train: cannot write to {folder}: {error.strerror or error}") from None


def _lock(folder: Path) -> int | None:
    """Keep other processes out, until this is closed or the process ends, however it does; it leaves no file."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return None
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(place)
        raise OSError(f"train: another process is training in {folder}") from None
    except OSError:
        pass  # a file system without locks
    return place

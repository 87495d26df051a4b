"""``npdsconv train``: compile, learn, measure once, compare with the standard-convolution twin."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

import npdsconv
from npdsconv import models, text
from npdsconv.checkpoint import Checkpoint
from npdsconv.cli import Outcome, range_test, settings
from npdsconv.cli.names import file_name
from npdsconv.cli.warmup import compile_shown
from npdsconv.complexity import summary
from npdsconv.data import Dataset
from npdsconv.layers import Sequential
from npdsconv.malloc import keep_freed_memory
from npdsconv.metrics import f1
from npdsconv.runs import recorded, source, warmup
from npdsconv.runs.folder import RunFolder, fresh_folder, latest_folder
from npdsconv.runs.job import Job, prepare
from npdsconv.runs.recipe import AUGMENTATIONS, OWN, Recipe, recipe
from npdsconv.train import EpochResult

EXAMPLES = """examples:
  npdsconv train --folder PICTURES                        your own pictures, a folder of them for each class
  npdsconv train --hold-out 500 --epochs 10 --lr 0.02     try a setting, without a look at the test images
  npdsconv train --resume                                 go on with the latest run, from its last whole epoch
"""

_MOST = 12  # classes whose names are told


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    groups = settings.add_all(parser)
    groups["data"].add_argument("--no-augment", action="store_true", help="learn from the images as they are")
    groups["data"].add_argument(
        "--data-dir", type=file_name, metavar="FOLDER", help="where MNIST's four IDX files are"
    )
    groups["training"].add_argument(
        "--twin", action="store_true", help="train the twin too, after the model, for the last table"
    )
    groups["training"].add_argument(
        "--threads", type=int, metavar="N", help="threads of the compiled kernels (default all cores)"
    )
    groups["training"].add_argument(
        "--range-test",
        type=file_name,
        nargs="?",
        const="learning_rates.png",
        metavar="PICTURE",
        help="only try which learning rates work, and draw it (default learning_rates.png)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", type=file_name, metavar="FOLDER", help="run folder (default a new one under runs/)"
    )
    output.add_argument("--list", action="store_true", help="only show the networks, their sizes and options")
    output.add_argument(
        "--resume", action="store_true", help="go on with the run in --out, or the latest one"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Train, measure, write the run folder, print the table."""
    if args.list:
        return _list()
    keep_freed_memory()
    if args.threads is not None:
        npdsconv.set_num_threads(args.threads)
    folder, chosen, saved = _choose(args)
    dataset = source.load(chosen, args.data_dir, saved)
    if args.range_test:
        return range_test.shown(prepare(chosen, dataset), args.range_test)
    job, report = trained(folder, chosen, dataset, saved)
    if not chosen.standard:
        report["twin"] = _costs(job, models.standard_twin(job.model, rng=chosen.seed))
        as_twin = dataclasses.replace(chosen, standard=True)
        if args.twin:
            report["twin"]["accuracy"] = _train_twin(folder, as_twin, dataset)
        elif known := recorded.accuracy(as_twin):
            report["twin"]["recorded"] = known._asdict()
    print(_table(report))
    print(_next(report))
    return Outcome(report)


def about(dataset: Dataset) -> str:
    """What there is in data of one's own, and what one should know of it."""
    shape, names = " × ".join(map(str, dataset.shape)), dataset.names
    shown = ", ".join(names) if len(names) <= _MOST else text.few(names)
    return "\n".join(
        [
            f"{dataset.name}: {len(dataset.train):,} images to learn from, {len(dataset.test):,} to measure with, of "
            f"{shape}, in {len(names)} classes: {shown}",
            *(f"note: {note}" for note in dataset.notes),
        ]
    )


def trained(
    folder: RunFolder, chosen: Recipe, dataset: Dataset, saved: Checkpoint | None
) -> tuple[Job, dict[str, Any]]:
    """Train by a recipe to its end and measure once; the job as it is then, and the report of it."""
    job = prepare(chosen, dataset, saved, _progress())
    if chosen.dataset == OWN:
        print(about(dataset))
    seconds = _train(folder, job, saved)
    evaluation = job.measure()
    _pictures(folder, job, evaluation.confusion)
    return job, {
        "scored_on": job.scored_on,
        "accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
        "f1_macro": f1(job.score.labels, evaluation.predictions, classes=job.classes),
        "epochs": len(folder.rows()),
        "train_seconds": seconds,
        "model": _costs(job, job.model),
        "out": str(folder.path),
        "config": chosen.as_dict(),
    }


def _list() -> Outcome:
    """A line for each network: its size for digits, its options."""
    shape, classes = (1, 28, 28), 10
    rows, about = [], []
    report: dict[str, Any] = {}
    for name, builder in models.BUILDERS.items():
        options = models.options_of(name)
        counted = summary(models.build(name, classes=classes, rng=0), shape)
        what = (builder.__doc__ or "").partition("\n")[0]
        rows.append((name, counted.params, counted.macs, " ".join(options)))
        about.append(text.line((name, what), ("<18", "")))
        report[name] = {"params": counted.params, "macs": counted.macs, "options": options, "about": what}
    print(f"sizes for {classes} classes of {' × '.join(map(str, shape))} images, options at their defaults\n")
    print(text.as_text(("network", "parameters", "multiply-adds", "options"), rows, total=False), "\n")
    print("\n".join(about))
    return Outcome(report)


# ---- before training ------------------------------------------------------------------------------------------


def _choose(args: argparse.Namespace) -> tuple[RunFolder, Recipe, Checkpoint | None]:
    """The run folder, the recipe, and the state to go on from (None for a new run)."""
    given = settings.given(args)
    if args.no_augment:
        given |= AUGMENTATIONS
    if not args.resume:
        chosen = recipe(**given)
        return RunFolder(args.out or fresh_folder(chosen)), chosen, None
    folder = RunFolder(args.out or latest_folder())
    chosen, saved = folder.resume()
    if place := given.pop("folder", None):  # where the pictures are now; that they are the same is seen later
        chosen = dataclasses.replace(chosen, folder=recipe(folder=place).folder)
    for name, value in given.items():
        if value != getattr(chosen, name):
            raise ValueError(
                f"train: {settings.flag(name)} {value} differs from the run's {getattr(chosen, name)}: "
                f"a resumed run keeps its settings"
            )
    return folder, chosen, saved


# ---- training -------------------------------------------------------------------------------------------------


def _train(folder: RunFolder, job: Job, saved: Checkpoint | None) -> float:
    """Train to the end of the recipe, recording every epoch; the seconds that learning took."""
    with folder.held():
        if saved is None:
            folder.begin(job.recipe)
            folder.record(job, None)
        else:
            folder.mend(saved)
            print(f"resuming {folder.path} after epoch {job.start}")
        size = sum(p.value.size for p in job.model.parameters())
        print(
            f"{job.recipe.model}{' (standard twin)' if job.recipe.standard else ''}: {size:,} parameters; "
            f"{job.recipe.data_name}: {len(job.learn):,} images to learn from; seed {job.recipe.seed}; "
            f"folder {folder.path}"
        )
        _compile(job)
        _learn(folder, job)
    return sum(float(row["seconds"]) for row in folder.rows())


def _learn(folder: RunFolder, job: Job) -> None:
    try:
        for result in job.results:
            folder.record(job, result)
            print(_line(result, job.recipe.epochs), flush=True)
    except KeyboardInterrupt:
        print(
            f"\ninterrupted: {folder.checkpoint} holds the end of the last whole epoch; "
            f"continue with: npdsconv train --resume --out {shlex.quote(str(folder.path))}",
            file=sys.stderr,
        )
        raise
    if (done := len(folder.rows())) < job.recipe.epochs:
        print(
            f"stopped after epoch {done}: the held-out loss has not fallen for {job.recipe.patience} epochs"
        )


def _compile(job: Job) -> None:
    """Run one step on a model that is thrown away, so that compiling shows as a step of its own."""
    if job.recipe.impl != "numba":
        return
    few = slice(0, min(8, len(job.learn)))
    model = job.recipe.build_model(job.shape, job.classes)
    compile_shown(
        "compiling the kernels (once; cached for later runs)",
        warmup.model_steps(model, job.learn.images[few], job.learn.labels[few]),
    )


def _progress() -> Callable[[Iterable[int]], Iterable[int]] | None:
    """A bar within the epoch on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    def bar(steps: Iterable[int]) -> Iterator[int]:
        yield from tqdm(steps, leave=False, unit="step", dynamic_ncols=True)

    return bar


def _line(result: EpochResult, epochs: int) -> str:
    line = (
        f"epoch {result.epoch:2d}/{epochs}  loss {result.train_loss:.4f}  train accuracy "
        f"{result.train_accuracy:7.2%}  lr {result.lr:.2e}  {result.seconds:.1f} s"
    )
    return line + (f"  held out {result.validation.accuracy:.2%}" if result.validation else "")


def _train_twin(folder: RunFolder, chosen: Recipe, dataset: Dataset) -> float:
    """Train the twin in a folder inside the run's, or go on with it there; its accuracy."""
    twin = RunFolder(folder.path / "twin")
    print(f"\nthe same recipe for the standard-convolution twin, in {twin.path}")
    saved = None
    if twin.checkpoint.exists():
        chosen, saved = twin.resume()
    job = prepare(chosen, dataset, saved, _progress())
    _train(twin, job, saved)
    return job.measure().accuracy


# ---- after training -------------------------------------------------------------------------------------------


def _costs(job: Job, model: Sequential) -> dict[str, Any]:
    counted = summary(model, job.shape)
    return {"params": counted.params, "macs": counted.macs}


def _pictures(folder: RunFolder, job: Job, confusion: np.ndarray) -> None:
    from npdsconv import plots

    plots.save(plots.learning_curve(folder.rows()), folder.path / "learning_curve.png")
    plots.save(
        plots.confusion(confusion, title=job.scored_on, names=job.names), folder.path / "confusion.png"
    )


def _table(report: dict[str, Any]) -> str:
    """The network beside its twin, where it has one."""
    model, twin = report["model"], report.get("twin")
    name = report["config"]["model"] + (" (standard)" if report["config"]["standard"] else "")
    rows = [(name, f"{report['accuracy']:.2%}", model["params"], model["macs"])]
    note = ""
    if twin:
        score = "not trained (--twin)"
        if "accuracy" in twin:
            score = f"{twin['accuracy']:.2%}"
        elif "recorded" in twin:
            score = f"{twin['recorded']['mean']:.2%} *"
            note = (
                f"\n* recorded, the mean of {twin['recorded']['seeds']} seeds of this recipe; "
                f"--twin trains it here and now\n"
            )
        rows.append(("standard twin", score, twin["params"], twin["macs"]))
    header = ("", report["scored_on"], "parameters", "multiply-adds")
    return f"\n{text.as_text(header, rows, total=False)}\n{note}"


def _next(report: dict[str, Any]) -> str:
    """Where the pictures are, and what one may do now."""
    out, is_own = shlex.quote(report["out"]), report["config"]["dataset"] == OWN
    commands = {
        f"npdsconv evaluate {out}": "scores of each class on the test images",
        f"npdsconv predict {out} PICTURE": f"{'what is' if is_own else 'digits'} in pictures of your own",
    }
    if "accuracy" not in report.get("twin", {"accuracy": None}):
        commands[f"npdsconv train --resume --out {out} --twin"] = "train the standard twin too, and compare"
    columns = (f"<{max(map(len, commands))}", "")
    return "\n".join(
        [
            f"trained in {report['train_seconds']:.1f} s; learning_curve.png and confusion.png are in {report['out']}",
            "\nnext:",
            *(f"  {text.line(cells, columns)}" for cells in commands.items()),
        ]
    )

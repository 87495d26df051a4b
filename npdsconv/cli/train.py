"""``npdsconv train``: compile, learn, measure once, compare with the standard-convolution twin."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import npdsconv
from npdsconv import data, models, train
from npdsconv.cli import print_json
from npdsconv.cli.warmup import compile_shown
from npdsconv.complexity import summary
from npdsconv.data import Dataset, Split
from npdsconv.layers import Sequential
from npdsconv.malloc import keep_freed_memory
from npdsconv.metrics import f1
from npdsconv.runs import recorded, warmup
from npdsconv.runs.folder import RunFolder, fresh_folder, latest_folder
from npdsconv.runs.recipe import MODELS, OPTIMIZERS, RECIPES, SCHEDULES, Recipe, recipe

# flag, type, choices, help; a setting that is not given comes from the data set's recipe
SETTINGS: tuple[tuple[str, Any, Iterable[str] | None, str], ...] = (
    ("model", str, MODELS, "network"),
    ("width", float, None, "factor on its channel counts"),
    ("stem-stride", int, None, "of separable_cnn: 2 halves the picture in the first convolution, 1 later"),
    ("dropout", float, None, "probability of dropping a unit before the dense layer"),
    ("epochs", int, None, "passes over the training images"),
    ("batch-size", int, None, "images in a step"),
    ("optimizer", str, OPTIMIZERS, "optimiser"),
    ("lr", float, None, "highest learning rate"),
    ("weight-decay", float, None, "decay of the weights"),
    ("schedule", str, SCHEDULES, "course of the learning rate"),
    ("warm-up", float, None, "share of all steps in which the learning rate rises"),
    ("label-smoothing", float, None, "share of the target spread over all classes"),
    ("rotate", float, None, "augmentation: degrees"),
    ("shift", float, None, "augmentation: pixels"),
    ("scale", float, None, "augmentation: share"),
    ("shear", float, None, "augmentation: degrees"),
    (
        "hold-out",
        int,
        None,
        "measure on this many training images, kept aside, and never look at the test images",
    ),
    ("seed", int, None, "initial weights, order of the images, augmentation"),
    ("impl", str, ("naive", "im2col", "numba"), "tier of the convolutions"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--dataset", choices=RECIPES, help="default: mnist5k, which comes with the package")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where MNIST's four IDX files are")
    default = RECIPES["mnist5k"].as_dict()
    for name, kind, choices, text in SETTINGS:
        shown = default[name.replace("-", "_")]
        other = RECIPES["mnist"].as_dict()[name.replace("-", "_")]
        text += f" (default {shown}{'' if other == shown else f', {other} for mnist'})"
        metavar = None if choices else kind.__name__.upper().replace("FLOAT", "X").replace("INT", "N")
        parser.add_argument(f"--{name}", type=kind, choices=choices, metavar=metavar, help=text)
    parser.add_argument("--no-augment", action="store_true", help="learn from the images as they are")
    parser.add_argument(
        "--standard", action="store_true", help="train the standard-convolution twin of the model"
    )
    parser.add_argument(
        "--twin", action="store_true", help="train the twin too, after the model, for the last table"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of the compiled kernels (default: all cores)"
    )
    parser.add_argument("--out", metavar="FOLDER", help="default: a new folder under runs/")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out, or the latest one")
    parser.add_argument(
        "--json", action="store_true", help="print the results as one JSON object, as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Train, measure, write the run folder, print the table."""
    keep_freed_memory()
    if args.threads is not None:
        npdsconv.set_num_threads(args.threads)
    folder, settings, saved = _prepare(args)
    dataset = data.load(settings.dataset, args.data_dir)
    learn, held = _splits(dataset, settings)
    if saved is None:
        folder.begin(settings)
    model, seconds = _train(folder, settings, saved, learn, held)
    scored_on = (
        "held-out training images" if held else "mini test" if settings.dataset == "mnist5k" else "test"
    )
    score = held or dataset.test
    evaluation = train.evaluate(model, score.images, score.labels)
    _pictures(folder, evaluation.confusion, scored_on)
    report: dict[str, Any] = {
        "scored_on": scored_on,
        "accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
        "f1_macro": f1(score.labels, evaluation.predictions),
        "epochs": settings.epochs,
        "train_seconds": seconds,
        "model": _figures(model),
        "out": str(folder.path),
        "config": settings.as_dict(),
    }
    if not settings.standard:
        twin = models.standard_twin(model, rng=settings.seed)
        report["twin"] = _figures(twin)
        if args.twin:
            print(f"\nthe same recipe for the standard-convolution twin, in {folder.path / 'twin'}")
            report["twin"]["accuracy"] = _train_twin(folder, settings, learn, held, score)
        elif not settings.hold_out:
            report["twin"]["recorded"] = _recorded(dataclasses.replace(settings, standard=True))
    print(_table(settings, report))
    if args.json:
        print_json(report)
    return 0


# ---- before training ------------------------------------------------------------------------------------------


def _prepare(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    """The run folder, the settings, and the state to go on from (None for a new run)."""
    given = {name: getattr(args, name) for name in (n.replace("-", "_") for n, *_ in SETTINGS)}
    given = {name: value for name, value in given.items() if value is not None}
    if args.no_augment:
        given |= {"rotate": 0.0, "shift": 0.0, "scale": 0.0, "shear": 0.0}
    if args.standard:
        given["standard"] = True
    if not args.resume:
        settings = recipe(args.dataset or "mnist5k", **given)
        return RunFolder(args.out or fresh_folder(settings)), settings, None
    folder = RunFolder(args.out or latest_folder())
    settings, saved = folder.resume()
    if args.dataset:
        given["dataset"] = args.dataset
    for name, value in given.items():
        if value != getattr(settings, name):
            raise ValueError(
                f"train: --{name.replace('_', '-')} {value} differs from the run's {getattr(settings, name)}: "
                f"a resumed run keeps its settings"
            )
    return folder, settings, saved


def _splits(dataset: Dataset, settings: Recipe) -> tuple[Split, Split | None]:
    if not settings.hold_out:
        return dataset.train, None
    return data.holdout(dataset.train, settings.hold_out, seed=settings.seed)


# ---- training -------------------------------------------------------------------------------------------------


def _train(
    folder: RunFolder, settings: Recipe, saved: Any, learn: Split, held: Split | None
) -> tuple[Sequential, float]:
    """Train to the end of the recipe, recording every epoch; the model and the seconds that learning took."""
    model = settings.build_model()
    optimizer = settings.build_optimizer(model)
    start = 0
    if saved is None:
        folder.record(settings, model, optimizer, None)
    else:
        model.load_state_dict(saved.state)
        optimizer.load_state_dict(saved.optimizer)
        start = saved.meta["epoch"]
        print(f"resuming {folder.path} after epoch {start}")
    size = sum(p.value.size for p in model.parameters())
    print(
        f"{settings.model}{' (standard twin)' if settings.standard else ''}: {size:,} parameters; "
        f"{settings.dataset}: {len(learn):,} images to learn from; seed {settings.seed}; folder {folder.path}"
    )
    _compile(settings, learn)
    try:
        results = train.epochs(
            model,
            learn,
            optimizer,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            seed=settings.seed,
            schedule=settings.build_schedule(len(learn)),
            augment=settings.build_augment(),
            label_smoothing=settings.label_smoothing,
            validation=held,
            start_epoch=start,
            progress=_progress(),
        )
        for result in results:
            folder.record(settings, model, optimizer, result)
            print(_line(result, settings.epochs), flush=True)
    except KeyboardInterrupt:
        print(
            f"\ninterrupted: {folder.checkpoint} holds the end of the last whole epoch; "
            f"continue with: npdsconv train --resume --out {folder.path}",
            file=sys.stderr,
        )
        raise
    return model, sum(float(row["seconds"]) for row in folder.rows())


def _compile(settings: Recipe, learn: Split) -> None:
    """Run one step on a model that is thrown away, so that compiling shows as a step of its own."""
    if settings.impl != "numba":
        return
    few = slice(0, min(8, len(learn)))
    compile_shown(
        "compiling the kernels (once; cached for later runs)",
        warmup.model_steps(settings.build_model(), learn.images[few], learn.labels[few]),
    )


def _progress() -> Callable[[Iterable[int]], Iterable[int]] | None:
    """A bar within the epoch on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    def bar(steps: Iterable[int]) -> Iterator[int]:
        yield from tqdm(steps, leave=False, unit="step", dynamic_ncols=True)

    return bar


def _line(result: train.EpochResult, epochs: int) -> str:
    line = (
        f"epoch {result.epoch:2d}/{epochs}  loss {result.train_loss:.4f}  train accuracy "
        f"{result.train_accuracy:7.2%}  lr {result.lr:.2e}  {result.seconds:.1f} s"
    )
    return line + (f"  held out {result.validation.accuracy:.2%}" if result.validation else "")


def _train_twin(folder: RunFolder, settings: Recipe, learn: Split, held: Split | None, score: Split) -> float:
    twin_settings = dataclasses.replace(settings, standard=True)
    twin_folder = RunFolder(folder.path / "twin")
    saved = None
    if twin_folder.checkpoint.exists():
        twin_settings, saved = twin_folder.resume()
    else:
        twin_folder.begin(twin_settings)
    model, _ = _train(twin_folder, twin_settings, saved, learn, held)
    return train.evaluate(model, score.images, score.labels).accuracy


# ---- after training -------------------------------------------------------------------------------------------


def _figures(model: Sequential) -> dict[str, Any]:
    counted = summary(model, (1, 28, 28))
    return {"params": counted.params, "macs": counted.macs}


def _pictures(folder: RunFolder, confusion: np.ndarray, scored_on: str) -> None:
    from npdsconv import plots

    plots.save(plots.learning_curve(folder.rows()), folder.path / "learning_curve.png")
    plots.save(plots.confusion(confusion, title=scored_on), folder.path / "confusion.png")


def _table(settings: Recipe, report: dict[str, Any]) -> str:
    rows = [("", report["scored_on"], "parameters", "multiply-adds")]
    name = f"{settings.model}{' (standard)' if settings.standard else ''}"
    rows.append(
        (name, f"{report['accuracy']:.2%}", f"{report['model']['params']:,}", f"{report['model']['macs']:,}")
    )
    if "twin" in report:
        known = report["twin"].get("recorded")
        shown = f"{known['mean']:.2%} *" if known else "not trained (--twin)"
        if "accuracy" in report["twin"]:
            shown = f"{report['twin']['accuracy']:.2%}"
        rows.append(("standard twin", shown, f"{report['twin']['params']:,}", f"{report['twin']['macs']:,}"))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = [
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    curve = Path(report["out"]) / "learning_curve.png"
    if "*" in lines[-1]:
        lines += [
            "",
            f"* recorded, the mean of {known['seeds']} seeds of this recipe; --twin trains it here and now",
        ]
    last = f"trained in {report['train_seconds']:.1f} s; see {curve} and confusion.png"
    return "\n".join(["", *lines, "", last])


def _recorded(settings: Recipe) -> dict[str, Any] | None:
    found = recorded.accuracy(settings)
    return found._asdict() if found else None

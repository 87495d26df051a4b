"""``npdsconv complexity``: count parameters and multiply-adds of a model, beside its standard twin."""

import argparse
from typing import Any

from npdsconv.cli import print_json
from npdsconv.runs.recipe import MODELS


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", choices=MODELS, help="network")
    parser.add_argument(
        "--input", default="1x28x28", metavar="CxHxW", help="size of one image (default 1x28x28)"
    )
    parser.add_argument("--classes", type=int, default=10, metavar="N", help="default 10")
    parser.add_argument("--width", type=float, default=1.0, metavar="X", help="factor on the channel counts")
    parser.add_argument(
        "--memory",
        action="store_true",
        help="also measure the peak memory of a training step, beside the activations that are counted (runs a few "
        "steps in fresh processes, which takes seconds, and longer where kernels have to be compiled first; Linux)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=128, metavar="N", help="images in that step (default 128)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the results as one JSON object, as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Print one row for each layer, the comparison with the twin and, if wanted, the memory of a training step."""
    from npdsconv.complexity import compare, summary
    from npdsconv.models import standard_twin

    if args.batch_size < 1:
        raise ValueError(f"complexity: --batch-size must be at least 1, got {args.batch_size}")
    shape = _shape(args.input)
    options = {"in_channels": shape[0], "classes": args.classes, "width": args.width}
    options |= {"size": shape[1]} if args.model == "small_cnn" else {}
    model = MODELS[args.model](rng=0, **options)
    twin = standard_twin(model, rng=0)
    counted, counted_twin = summary(model, shape), summary(twin, shape)
    print(counted)
    print()
    print(compare(model, twin, shape))
    report: dict[str, Any] = {
        "input": list(shape),
        "model": _figures(counted),
        "standard_twin": _figures(counted_twin),
    }
    if args.memory:
        report["training_step"] = _memory(
            {"model": args.model, "options": options, "batch": args.batch_size, "shape": list(shape)},
            counted.training_bytes(args.batch_size),
        )
    if args.json:
        print_json(report)
    return 0


def _figures(counted) -> dict[str, int]:  # type: ignore[no-untyped-def]
    return {"params": counted.params, "macs": counted.macs, "flops": counted.flops}


def _memory(settings: dict[str, Any], counted: int) -> dict[str, int | None]:
    """Print what a training step takes, counted and measured; the same for the report, in bytes."""
    from npdsconv.bench import peak_memory

    batch = settings["batch"]
    line = f"training step, batch {batch}: activations counted {counted / 1e6:.1f} MB"
    peak = None
    if peak_memory.available():
        if counted > peak_memory.free():
            raise ValueError(
                f"complexity: --memory: a step of batch {batch} keeps {counted / 1e6:,.0f} MB of activations, and "
                f"{peak_memory.free() / 1e6:,.0f} MB are free here: choose a smaller --batch-size"
            )
        print("\nmeasuring a training step in fresh processes …", flush=True)
        peak = _peak(settings)
        print(f"{line}, peak measured {peak / 1e6:.1f} MB")
    else:
        print(f"\n{line}, peak not measured: only Linux tells it (/proc/self/clear_refs)")
    return {"batch_size": batch, "counted_bytes": counted, "peak_bytes": peak}


def _peak(settings: dict[str, Any]) -> int:
    """By how much memory rises at its highest during training steps, on as many threads as training would take."""
    from npdsconv.bench import machine, training
    from npdsconv.bench.workloads import Workload

    step = Workload(f"{settings['model']}, a training step", "train", settings)
    (row,) = training.peaks([], machine.cores(), [step])
    return row["peaks"][0]["bytes"]


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(
            f"complexity: --input must be CxHxW with numbers of at least 1, such as 1x28x28, got {text!r}"
        )
    c, h, w = map(int, parts)
    return c, h, w

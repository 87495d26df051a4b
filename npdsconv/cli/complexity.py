"""``npdsconv complexity``: count parameters and multiply-adds of a model, beside its standard twin."""

import argparse
import functools
from collections.abc import Callable
from typing import Any

from npdsconv import models
from npdsconv.cli import Outcome, settings
from npdsconv.runs import peak, peak_memory
from npdsconv.runs.recipe import recipe


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", choices=models.BUILDERS, help="network, with the settings of train")
    settings.add(parser, "width", "stem_stride", "dropout", "options", "batch_size")
    parser.add_argument(
        "--input", default="1x28x28", metavar="CxHxW", help="size of one image (default 1x28x28)"
    )
    parser.add_argument("--classes", dest="outputs", type=int, default=10, metavar="N", help="default 10")
    parser.add_argument(
        "--memory",
        action="store_true",
        help="also measure the peak memory of a training step, beside the activations that are counted (runs a few "
        "steps in fresh processes, which takes seconds, and longer where kernels have to be compiled first; Linux)",
    )


def run(args: argparse.Namespace) -> Outcome:
    """Print one row for each layer, the comparison with the twin and, if wanted, the memory of a training step."""
    from npdsconv.complexity import compare, summary
    from npdsconv.models import standard_twin

    shape = _shape(args.input)
    chosen = recipe(**settings.given(args))
    model = chosen.build_model(shape, args.outputs)
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
        step = functools.partial(peak.training_peak, chosen, shape, args.outputs)
        report["training_step"] = _memory(chosen.batch_size, counted.training_bytes(chosen.batch_size), step)
    return Outcome(report)


def _figures(counted) -> dict[str, int]:  # type: ignore[no-untyped-def]
    return {"params": counted.params, "macs": counted.macs, "flops": counted.flops}


def _memory(batch: int, counted: int, measure: Callable[[], int]) -> dict[str, int | None]:
    """Print what a training step takes, counted and measured; the same for the report, in bytes."""
    line = f"training step, batch {batch}: activations counted {counted / 1e6:.1f} MB"
    measured = None
    if peak_memory.available():
        if counted > peak_memory.free():
            raise ValueError(
                f"complexity: --memory: a step of batch {batch} keeps {counted / 1e6:,.0f} MB of activations, and "
                f"{peak_memory.free() / 1e6:,.0f} MB are free here: choose a smaller --batch-size"
            )
        print("\nmeasuring a training step in fresh processes …", flush=True)
        measured = measure()
        print(f"{line}, peak measured {measured / 1e6:.1f} MB")
    else:
        print(f"\n{line}, peak not measured: only Linux tells it (/proc/self/clear_refs)")
    return {"batch_size": batch, "counted_bytes": counted, "peak_bytes": measured}


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(
            f"complexity: --input must be CxHxW with numbers of at least 1, such as 1x28x28, got {text!r}"
        )
    c, h, w = map(int, parts)
    return c, h, w

"""``npdsconv complexity``: count parameters and multiply-adds of a model, beside its standard twin."""

import argparse

from npdsconv.cli import print_json
from npdsconv.recipes import MODELS


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", choices=MODELS, help="network")
    parser.add_argument(
        "--input", default="1x28x28", metavar="CxHxW", help="size of one image (default 1x28x28)"
    )
    parser.add_argument("--classes", type=int, default=10, metavar="N", help="default 10")
    parser.add_argument("--width", type=float, default=1.0, metavar="X", help="factor on the channel counts")
    parser.add_argument(
        "--json", action="store_true", help="print the results as one JSON object, as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Print one row for each layer, and the comparison with the twin."""
    from npdsconv.complexity import compare, summary
    from npdsconv.models import standard_twin

    shape = _shape(args.input)
    options = {"size": shape[1]} if args.model == "small_cnn" else {}
    model = MODELS[args.model](in_channels=shape[0], classes=args.classes, width=args.width, rng=0, **options)
    twin = standard_twin(model, rng=0)
    counted, counted_twin = summary(model, shape), summary(twin, shape)
    print(counted)
    print()
    print(compare(model, twin, shape))
    if args.json:
        print_json(
            {"input": list(shape), "model": _figures(counted), "standard_twin": _figures(counted_twin)}
        )
    return 0


def _figures(counted) -> dict[str, int]:  # type: ignore[no-untyped-def]
    return {"params": counted.params, "macs": counted.macs, "flops": counted.flops}


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(
            f"complexity: --input must be CxHxW with numbers of at least 1, such as 1x28x28, got {text!r}"
        )
    c, h, w = map(int, parts)
    return c, h, w

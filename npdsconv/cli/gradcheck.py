"""``npdsconv gradcheck``: check every hand-written gradient."""

import argparse
import sys

from npdsconv.cli import print_json


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "names",
        nargs="*",
        default=["all"],
        metavar="NAME",
        help='a case, a family such as "conv2d", a kind (op, layer, model), or all (the default)',
    )
    parser.add_argument("--impl", choices=("naive", "im2col", "numba"), default="numba", help="tier to check")
    parser.add_argument(
        "--json", action="store_true", help="print the results as one JSON object, as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Print one table; exit code 1 if a gradient is wrong."""
    from npdsconv import catalogue

    cases = catalogue.run(args.names, impl=args.impl)
    width = max(len(case.name) for case in catalogue.select(args.names))
    print(f"{'':6} {'':{width}}  {'max error':>9}  {'checked':>7}  {'kinks':>5}")
    results, failed, worst = [], [], 0.0
    for kind, name, report in cases:
        verdict = "ok" if report.ok else "FAILED"
        print(
            f"{kind:6} {name:{width}}  {report.max_error:9.1e}  {report.checked:7d}  {report.kinks:5d}  {verdict}",
            flush=True,
        )
        results.append({"kind": kind, "name": name, **report.as_dict()})
        worst = max(worst, report.max_error)
        if not report.ok:
            failed.append((name, report))
    for name, report in failed:
        print(f"\n{name}\n{report}", file=sys.stderr)
    print(f"{len(results)} checked, {len(failed)} failed; worst error {worst:.1e}")
    if args.json:
        print_json({"ok": not failed, "results": results})
    return 1 if failed else 0

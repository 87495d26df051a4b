"""``npdsconv gradcheck``: check every hand-written gradient."""

import argparse
import sys

from npdsconv import text
from npdsconv.cli import FAILED, Outcome
from npdsconv.ops._tiers import TIERS


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "names",
        nargs="*",
        default=["all"],
        metavar="NAME",
        help='a case, a family such as "conv2d", a kind (op, layer, model), or all (the default)',
    )
    parser.add_argument("--impl", choices=TIERS, default="numba", help="tier to check (default numba)")


def run(args: argparse.Namespace) -> Outcome:
    """Print one table; exit code 1 if a gradient is wrong, or could not be seen."""
    from npdsconv import catalogue

    cases = catalogue.run(args.names, impl=args.impl)
    width = max(len(case.name) for case in catalogue.select(args.names))
    columns = ("<6", f"<{width}", ">9", ">7", ">5", "<10")
    print(text.line(("", "", "max error", "checked", "kinks", ""), columns))
    results, failed, worst = [], [], 0.0
    for kind, name, report in cases:
        cells = (kind, name, f"{report.max_error:.1e}", report.checked, report.kinks, report.verdict)
        print(text.line(cells, columns), flush=True)
        results.append({"kind": kind, "name": name, **report.as_dict()})
        worst = max(worst, report.max_error)
        if not report.ok:
            failed.append((name, report))
    for name, report in failed:
        print(f"\n{name}\n{report}", file=sys.stderr)
    print(f"{len(results)} checked, {len(failed)} not ok; worst error {worst:.1e}")
    return Outcome({"ok": not failed, "results": results}, code=FAILED if failed else 0)

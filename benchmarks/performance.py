"""Measure everything the README and the docs say about speed and memory, and write it into them.

    python benchmarks/performance.py run                       # all sections; about half an hour on a quiet machine
    python benchmarks/performance.py run train --seconds 8     # some sections again; the others stay as they are
    python benchmarks/performance.py render                    # only write tables and figures anew

`run` measures with `npdsconv bench` and puts every median and quartile, with the machine and all versions, into
benchmarks/performance.json. `render` reads that file and writes the tables between the markers
``<!-- performance NAME: ... -->`` and ``<!-- end of performance NAME -->`` of README.md and docs/performance.md, and
draws measured_roofline.png and measured_scaling.png in docs/figures. What is not installed is left out, and named.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from npdsconv import plots
from npdsconv.bench import machine, table
from npdsconv.bench.opponents import OPPONENTS, installed
from npdsconv.bench.running import COMMANDS, Run, draw

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("performance.json")
PAGES = (ROOT / "README.md", ROOT / "docs" / "performance.md")
FIGURES = ROOT / "docs" / "figures"
SECTIONS = (*COMMANDS, "fused")


# ---- measuring ------------------------------------------------------------------------------------------------


def measure(sections: list[str], seconds: float, threads: list[int], epoch: bool) -> dict[str, Any]:
    """Run the sections one by one; each is saved as soon as it is done, and has its own description of the machine."""
    against = [name for name in OPPONENTS if installed(name)]
    for name in OPPONENTS.keys() - set(against):
        print(f"without {name}, which is not installed: {OPPONENTS[name].install}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in sections:
        # the sweep shows shapes, not small differences: a shorter time for each of its many points is enough
        budget = seconds / 4 if name in ("roofline", "scaling") else seconds
        if name == "fused":  # a part of another command: the block against its own six steps
            run, command = (
                Run(threads=threads, seconds=budget, only="block", impls=("numba", "composed")),
                "ops",
            )
        else:
            run = Run(against=against, threads=threads, seconds=budget, epoch=epoch and name == "train")
            command = name
        report = run.run([command])
        described = report["machine"] | {"seconds": budget}
        results["machine"] = report["machine"]
        results[name] = report[command] | {"measured": described}
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return results


# ---- tables ---------------------------------------------------------------------------------------------------


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Name of a marker -> the Markdown that belongs there, for all that was measured."""
    made = {}
    for name in ("train", "inference", "ops", "fused"):
        if name in results:
            made[name] = _with_note(results[name], table.rows_as_markdown(results[name]["rows"]))
    if results.get("train", {}).get("memory"):
        made["memory"] = _with_note(results["train"], memory_table(results["train"]["memory"]))
    if "roofline" in results:
        made["roofline"] = _with_note(results["roofline"], roofline_table(results["roofline"]))
    if "scaling" in results:
        made["scaling"] = _with_note(results["scaling"], scaling_table(results["scaling"]))
    if "train" in results:
        made["summary"] = _with_note(results["train"], table.rows_as_markdown(_steps(results["train"])))
    return made


def _steps(section: dict[str, Any]) -> list[dict[str, Any]]:
    """Training steps on the most threads that were measured: what the README shows."""
    most = max(row["threads"] for row in section["rows"])
    return [row for row in section["rows"] if row["threads"] == most]


def memory_table(rows: list[dict[str, Any]]) -> str:
    """Peak memory of a training step, and npdsconv's over the least of the others."""
    names = [f"{p['library']} {p['variant']}".replace("npdsconv numba", "npdsconv") for p in rows[0]["peaks"]]
    cells = []
    for row in rows:
        own, *others = (p["bytes"] for p in row["peaks"])
        shown = [f"{n / 1e6:.1f} MB" for n in (own, *others)]
        ratio = [f"**{own / min(others):.2f}**"] if others else []
        cells.append([row["workload"], str(row["threads"]), *shown, *ratio])
    return table.markdown(["", "threads", *names, *(["ratio"] if len(names) > 1 else [])], cells)


def roofline_table(section: dict[str, Any]) -> str:
    """What each op attains, and its share of the lower of the two ceilings."""
    head = ["", "threads", "time", "FLOPs/byte", "GFLOP/s", "GB/s", "of the ceiling"]
    cells = [
        [
            row["workload"],
            str(row["threads"]),
            table.between(row["times"][0]),
            f"{row['attained']['intensity']:.2f}",
            f"{row['attained']['flops_per_second'] / 1e9:.1f}",
            f"{row['attained']['bytes_per_second'] / 1e9:.1f}",
            f"{row['attained']['share']:.0%}",
        ]
        for row in section["rows"]
    ]
    ceilings = [
        f"{c['threads']} threads: {c['flops_per_second'] / 1e9:.0f} GFLOP/s in a large matrix product, "
        f"{c['bytes_per_second'] / 1e9:.1f} GB/s in a large copy."
        for c in section["ceilings"]
    ]
    return "\n".join([*ceilings, "", table.markdown(head, cells)]).replace("1 threads", "1 thread")


def scaling_table(section: dict[str, Any]) -> str:
    """Where the two kinds of convolution take the same time, and the ratio at both ends of each sweep.

    On the first of the measured numbers of threads, as the figure beside it.
    """
    head = ["", "equal at", "separable / standard at the ends", "multiply-adds there"]
    cells = []
    first = section["sweeps"][0]["threads"]
    for sweep in [sweep for sweep in section["sweeps"] if sweep["threads"] == first]:
        ends = [sweep["points"][0], sweep["points"][-1]]
        times = [f"{p['separable']['median'] / p['standard']['median']:.2f} at {p['value']}" for p in ends]
        counts = [f"{p['separable']['flops'] / p['standard']['flops']:.2f}" for p in ends]
        crossover = "nowhere" if sweep["crossover"] is None else f"{sweep['crossover']:.2g}"
        cells.append([sweep["quantity"], crossover, ", ".join(times), ", ".join(counts)])
    return table.markdown(head, cells)


def _with_note(section: dict[str, Any], text: str) -> str:
    m = section["measured"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    commit = f" at {m['commit']}" if "commit" in m else ""  # older records name none
    rows = section.get("rows", []) + [p for s in section.get("sweeps", []) for p in s["points"]]
    others = [row["others"] for row in rows if row.get("others") is not None]
    busy = f"; other programs took at most {max(others):.0%} of the cores" if others else ""
    return (
        f"{text}\n\nMeasured {m['date']}{commit} on {m['processor']}, {m['cores']} cores{busy}; {versions}."
    )


# ---- writing --------------------------------------------------------------------------------------------------


def fill(page: str, made: dict[str, str]) -> str:
    """The page with each marked place filled; a place for which nothing was measured stays as it is.

    Raises
    ------
    ValueError
        A marker has no end, or an unknown name.
    """
    known = {"summary", "memory", *SECTIONS}
    for name in re.findall(r"<!-- performance (\w+):", page):
        if name not in known:
            raise ValueError(f"performance: a marker names {name!r}, known are {', '.join(sorted(known))}")
        place = rf"(<!-- performance {name}:[^>]*-->\n).*?(<!-- end of performance {name} -->)"
        if not re.search(place, page, re.S):
            raise ValueError(f"performance: the marker {name!r} has no end")
        if name in made:
            page = re.sub(place, lambda m, name=name: f"{m[1]}\n{made[name]}\n\n{m[2]}", page, flags=re.S)
    return page


def render(results: dict[str, Any]) -> None:
    """Write tables and figures."""
    made = tables(results)
    for path in PAGES:
        page = path.read_text()
        filled = fill(page, made)
        if filled != page:
            path.write_text(filled)
            print(f"written: {path.relative_to(ROOT)}")
    FIGURES.mkdir(exist_ok=True)
    for path in draw(results, FIGURES, "measured_"):
        print(f"written: {path.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="measure, and render")
    runner.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default all"
    )
    runner.add_argument("--seconds", type=float, default=6.0, help="for each row (default 6)")
    runner.add_argument("--threads", type=int, nargs="+", help="default: all cores, then one")
    runner.add_argument("--no-epoch", action="store_true", help="leave out the epoch over 60,000 images")
    commands.add_parser("render", help="write tables and figures from benchmarks/performance.json")
    args = parser.parse_args()
    if args.command == "render":
        render(plots.measured(RESULTS))
        return
    unknown = set(args.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}")
    threads = args.threads or sorted({machine.cores(), 1}, reverse=True)
    render(measure(args.sections or list(SECTIONS), args.seconds, threads, not args.no_epoch))


if __name__ == "__main__":
    main()

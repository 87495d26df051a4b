"""Train the fixed recipes over several seeds and write what the README reports.

    python benchmarks/accuracy.py run mnist5k --seeds 5
    python benchmarks/accuracy.py run mnist5k --seeds 3 --standard     # the standard-convolution twin
    python benchmarks/accuracy.py table

Each run is one call of `npdsconv train ... --json` in a fresh process. The recipe of `npdsconv/runs/recipe.py` is taken
as it is; every seed that was run is in the results, which are kept in npdsconv/runs/recorded.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

from npdsconv.runs.recorded import FILE, runs


def train(dataset: str, seed: int, standard: bool) -> dict:
    """One run; what it printed as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "npdsconv",
            "train",
            "--dataset",
            dataset,
            "--seed",
            str(seed),
            "--json",
        ]
        command += ["--out", f"{folder}/run", *(["--standard"] if standard else [])]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    report = json.loads(output.splitlines()[-1])
    kept = ("scored_on", "accuracy", "loss", "f1_macro", "epochs", "train_seconds", "model")
    return {"dataset": dataset, "seed": seed, "standard": standard} | {key: report[key] for key in kept}


def record(result: dict) -> None:
    """Replace the result of the same data set, network and seed."""
    same = ("dataset", "seed", "standard")
    others = [r for r in runs() if any(r[key] != result[key] for key in same)]
    results = sorted([*others, result], key=lambda r: tuple(r[key] for key in same))
    FILE.write_text("[\n" + ",\n".join("  " + json.dumps(r) for r in results) + "\n]\n")


def table() -> str:
    """The README's table, in Markdown."""
    lines = [
        "| data | network | parameters | multiply-adds | epochs | accuracy, mean ± sd (each seed) |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[tuple, list[dict]] = {}
    for r in runs():
        groups.setdefault((r["dataset"], r["standard"], r["scored_on"]), []).append(r)
    for (dataset, standard, scored_on), group in groups.items():
        scores = [100 * r["accuracy"] for r in group]
        spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
        each = " ".join(f"{score:.2f}" for score in scores)
        cost = group[0]["model"]
        name = "standard twin" if standard else "separable_cnn"
        lines.append(
            f"| {dataset}, {scored_on} | {name} | {cost['params']:,} | {cost['macs']:,} | {group[0]['epochs']} "
            f"| {statistics.mean(scores):.2f} %{spread} ({each}) |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="train and record")
    runner.add_argument("dataset", choices=("mnist5k", "mnist"))
    runner.add_argument("--seeds", type=int, default=5, help="seeds 0 … N - 1")
    runner.add_argument("--standard", action="store_true", help="the standard-convolution twin")
    commands.add_parser("table", help="print the table")
    args = parser.parse_args()
    if args.command == "table":
        print(table())
        return
    for seed in range(args.seeds):
        result = train(args.dataset, seed, args.standard)
        record(result)
        print(f"seed {seed}: {result['accuracy']:.2%} in {result['train_seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()

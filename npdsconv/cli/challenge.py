"""``npdsconv challenge``: check an entry to the challenge, that is the runs of one recipe with several seeds."""

import argparse

from npdsconv import data, text
from npdsconv.cli import FAILED, Outcome
from npdsconv.cli.names import file_name
from npdsconv.runs import challenge

EXAMPLES = """the challenge: MNIST's 10,000 test images, separable convolutions, the mean of five seeds
{classes}

example:
  for s in 0 1 2 3 4; do npdsconv train --dataset mnist --width 0.4 --epochs 15 --seed $s --out entry/$s; done
  npdsconv challenge entry/* --chosen-on held-out
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES.format(classes="\n".join(f"  {_words(c)}" for c in challenge.CLASSES))
    parser.add_argument(
        "runs", nargs="+", type=file_name, metavar="RUN", help="run folders, one for each seed"
    )
    parser.add_argument(
        "--chosen-on",
        choices=challenge.DECLARATIONS,
        help="on which images the settings were chosen: you declare it, no program can know",
    )
    parser.add_argument(
        "--data-dir", type=file_name, metavar="FOLDER", help="where MNIST's four IDX files are"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Check the rules, measure every run on the test images, and say whether the goal of its class is reached."""
    runs = [challenge.load(place) for place in args.runs]
    checks = challenge.checks(runs, args.chosen_on)
    if not checks[0].kept:  # the test images would be of another task
        raise ValueError(f"challenge: entries are about {checks[0].rule}; got {checks[0].found}")
    found = challenge.measure(runs, data.load("mnist", args.data_dir))
    found_class = challenge.class_of(found["params"], runs[0].recipe.epochs)
    rows = [(r.place, r.recipe.seed, f"{a:.2%}") for r, a in zip(runs, found["accuracies"], strict=True)]
    print(text.as_text(("run", "seed", "test"), rows, total=False))
    print(
        f"\n{found['params']:,} parameters, {found['macs']:,} multiply-adds, {found['bytes']:,} bytes, "
        f"{found['seconds']:.0f} s of training\n"
    )
    for check in checks:
        print(f"{'ok' if check.kept else 'NO':3} {check.rule} ({check.found})")
    reached = found_class is not None and found["mean"] >= found_class.goal
    accepted = all(check.kept for check in checks) and found_class is not None
    print(f"{'ok' if reached else 'NO':3} {_verdict(found, found_class)}")
    report = {
        **found,
        "class": found_class and found_class.name,
        "accepted": accepted,
        "goal_reached": reached,
        "rules": {check.rule: check.kept for check in checks},
    }
    return Outcome(report, 0 if accepted and reached else FAILED)


def _words(c: challenge.Class) -> str:
    epochs = f" and {c.epochs} epochs" if c.epochs else ""
    return f"{c.name}: at most {c.params:,} parameters{epochs}; goal {c.goal:.2%}"


def _verdict(found: dict[str, float], found_class: challenge.Class | None) -> str:
    score = f"{found['mean']:.3%} ± {found['sd']:.3%}"
    if found_class is None:
        return f"{score}, but no class takes that many parameters or epochs"
    return f"{score} in the class {_words(found_class)}"

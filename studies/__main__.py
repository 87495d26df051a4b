"""``python -m studies``; see the package's docstring."""

import argparse

import studies
from studies import pages, runner
from studies.all import STUDIES


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m studies",
        description=studies.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the studies, their questions, and how much of them is recorded")
    training = commands.add_parser("run", help="train what is not recorded yet")
    training.add_argument("study", nargs="+", choices=STUDIES)
    training.add_argument("--seeds", type=int, help="seeds 0 … N - 1 (default: as many as the study has)")
    training.add_argument("--arms", nargs="+", help="only these rows of the tables (default: all)")
    training.add_argument("--threads", type=int, default=1, help="of the compiled kernels (default 1)")
    training.add_argument("--again", action="store_true", help="train what is recorded too")
    commands.add_parser("pages", help="write the pages, their figures, and README's table")
    args = parser.parse_args()
    if args.command == "pages":
        pages.write()
        return
    if args.command == "list":
        for name, study in STUDIES.items():
            pairs = [(arm, seed) for arm in study.arms for seed in study.seeds]
            done = sum(runner.is_recorded(study, *pair) for pair in pairs)
            print(f"{name:16} {done:3} of {len(pairs):3} runs   {study.question}")
    else:
        for name in args.study:
            study = STUDIES[name]
            seeds = study.seeds if args.seeds is None else range(args.seeds)
            arms = [arm for arm in study.arms if arm in (args.arms or study.arms)]
            runner.run(study, arms, seeds, threads=args.threads, again=args.again)


if __name__ == "__main__":
    main()

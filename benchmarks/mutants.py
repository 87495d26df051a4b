"""Mutation testing: are the tests good enough to see a small mistake anywhere?

    pip install cosmic-ray
    python benchmarks/mutants.py --count 300 --into /tmp/mutants        # hours; goes on where it stopped
    python benchmarks/mutants.py --into /tmp/mutants --survivors        # what no test has seen, as diffs
    python benchmarks/mutants.py --into /tmp/mutants --again            # test the survivors once more

Cosmic Ray makes every mutant it knows of the rooms below: another operator, another number, a condition turned round, a
loop left out. A seeded sample of them is tested, one by one, in a clone of this repository: first by the tests of that
very file, then by those of its room, then by those that look at it from outside. A mutant is killed when one of them
fails, or takes far too long.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

from npdsconv import text

ROOT = Path(__file__).parents[1]
SIGNATURES = "tests/house/test_signatures.py"
ROOMS: dict[str, list[str]] = {  # its own tests, then those that look at it from outside
    "ops": ["tests/ops", "tests/house/test_oracles.py tests/test_catalogue.py tests/house/test_every_op.py"],
    "layers": ["tests/layers", "tests/house/test_every_layer.py tests/test_catalogue.py tests/models"],
    "optim": ["tests/optim", "tests/train"],
    "train": ["tests/train"],
    "checkpoint.py": ["tests/test_checkpoint.py", "tests/train/test_resuming.py"],
    "data": ["tests/data", "tests/train tests/cli/test_predict.py"],
    "gradcheck": ["tests/gradcheck", "tests/test_catalogue.py"],
}
ABSURD = ("BitOr", "BitAnd", "BitXor", "Shift", "Pow", "Mod", "Invert", "Delete")
"""Parts of the names of operators that are left out: nobody writes x ^ y for x * y, and floats refuse it."""
LIMIT = 900.0
"""Seconds after which a mutant counts as killed: it has made a loop endless, or nearly so."""


@dataclass(frozen=True)
class Mutant:
    """One change: Cosmic Ray's operator, and where it is applied."""

    file: str
    operator: str
    arguments: dict[str, Any]
    occurrence: int
    line: int


# ---- which -------------------------------------------------------------------------------------------------------


def all_mutants(clone: Path) -> Iterator[Mutant]:
    """Every mutant of the rooms, in an order that depends on the sources alone."""
    import cosmic_ray.modules  # noqa: F401  in this order: its modules import each other
    from cosmic_ray.commands.init import _all_work_items

    files = sorted(
        path
        for room in ROOMS
        for path in (
            [clone / "npdsconv" / room] if room.endswith(".py") else (clone / "npdsconv" / room).rglob("*.py")
        )
    )
    for item in _all_work_items(files, {}):
        (m,) = item.mutations
        if not any(word in m.operator_name for word in ABSURD):
            name = str(Path(m.module_path).relative_to(clone))
            yield Mutant(name, m.operator_name, m.operator_args, m.occurrence, m.start_pos[0])


def sample(clone: Path, count: int, seed: int) -> list[Mutant]:
    """The mutants to test: as many of each room, for most arithmetic is in the rules for pictures; in random order."""
    found = list(all_mutants(clone))
    chance = random.Random(seed)
    chance.shuffle(found)
    by_room = [[m for m in found if Path(m.file).parts[1] == room] for room in ROOMS]
    chosen = [m for same_rank in zip_longest(*by_room) for m in same_rank if m is not None][:count]
    print(f"{len(found):,} mutants in {', '.join(ROOMS)}; {count} of them chosen with seed {seed}")
    return chance.sample(chosen, count)


# ---- testing -----------------------------------------------------------------------------------------------------


def commands(file: str) -> list[list[str]]:
    """The calls of pytest for a mutant of that file, the quickest to see it first."""
    own, *outside = ROOMS[Path(file).parts[1]]
    near = [str(p.relative_to(ROOT)) for p in sorted((ROOT / own).rglob(f"test_{Path(file).stem}*.py"))]
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    return [[*pytest, *near, file], *([*pytest, *tests.split()] for tests in (own, SIGNATURES, *outside))]


def test(mutant: Mutant, clone: Path) -> dict[str, Any]:
    """Whether a test sees the mutant, and the change as a diff."""
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator

    environment = os.environ | {"PYTHONPATH": str(clone), "PYTHONDONTWRITEBYTECODE": "1"}
    path = clone / mutant.file
    seen = ""
    with use_mutation(path, get_operator(mutant.operator)(**mutant.arguments), mutant.occurrence):
        diff = subprocess.run(
            ["git", "diff", "-U1", mutant.file], cwd=clone, capture_output=True, text=True
        ).stdout
        for command in commands(mutant.file):
            try:
                ended = subprocess.run(
                    command, cwd=clone, env=environment, capture_output=True, timeout=LIMIT, text=True
                )
            except subprocess.TimeoutExpired:
                seen = "time"
                break
            if ended.returncode not in (0, 5):  # 5: no tests in there
                failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
                seen = failed[0] if failed else "error"
                break
    return {**asdict(mutant), "killed": bool(seen), "by": seen, "diff": diff}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--into", type=Path, required=True, metavar="FOLDER", help="for the clone and the results"
    )
    parser.add_argument("--count", type=int, default=300, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--survivors", action="store_true", help="only show what is known")
    parser.add_argument("--again", action="store_true", help="test survivors once more, with today's tests")
    args = parser.parse_args()
    clone, results = args.into.resolve() / "clone", args.into / "mutants.jsonl"
    known = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if args.survivors:
        report(known)
        return
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    if args.again:
        subprocess.run(["git", "pull", "-q"], cwd=clone, check=True)
        killed = [m for m in known if m["killed"]]
        results.write_text("".join(json.dumps(m) + "\n" for m in killed))
        known = killed
    names = [field.name for field in fields(Mutant)]
    tested = [Mutant(*(m[name] for name in names)) for m in known]
    for number, mutant in enumerate(sample(clone, args.count, args.seed), 1):
        if mutant in tested:
            continue
        found = test(mutant, clone)
        with results.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(f"{number}/{args.count} {mutant.file}:{mutant.line} {found['by'] or 'SURVIVED'}", flush=True)


def report(known: list[dict[str, Any]]) -> None:
    """A line for each room, and the diffs of what survived."""
    rooms = [Path(m["file"]).parts[1] for m in known]
    total, killed = Counter(rooms), Counter(r for r, m in zip(rooms, known, strict=True) if m["killed"])
    rows = [(room, total[room], killed[room], f"{killed[room] / total[room]:.0%}") for room in sorted(total)]
    rows.append(("all", len(known), sum(killed.values()), f"{sum(killed.values()) / max(1, len(known)):.1%}"))
    for mutant in known:
        if not mutant["killed"]:
            print(f"\n{mutant['file']}:{mutant['line']} {mutant['operator']}\n{mutant['diff']}")
    print(text.as_text(("room", "mutants", "killed", ""), rows))


if __name__ == "__main__":
    main()

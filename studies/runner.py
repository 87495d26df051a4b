"""Train what is not recorded yet, each run in a fresh process, and record it the moment it has ended."""

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from npdsconv.runs import recorded
from studies.study import Study

PACKAGE = Path(recorded.__file__).parents[1]
KEPT = ("scored_on", "accuracy", "loss", "epochs", "without_learning")


def run(
    study: Study, arms: Iterable[str], seeds: Iterable[int], *, threads: int = 1, again: bool = False
) -> None:
    """Train these arms with these seeds; seed by seed, so that what is there when one stops is comparable."""
    for seed in seeds:
        for arm in arms:
            if again or not is_recorded(study, arm, seed):
                result = trained(study, arm, seed, threads)
                record(result)
                print(
                    f"{arm}, seed {seed}: {result['accuracy']:.2%} in {result['seconds']:.1f} s", flush=True
                )


def is_recorded(study: Study, arm: str, seed: int) -> bool:
    """Whether the file has this run, and of the command as it is now."""
    key = {"study": study.name, "arm": arm, "seed": seed, "command": shlex.join(study.command(arm, seed))}
    return any(key.items() <= run.items() for run in recorded.runs(study.name))


def trained(study: Study, arm: str, seed: int, threads: int) -> dict[str, Any]:
    """Train one run, and what it starts from if that is not there; the line that is recorded of it."""
    folder, start = study.folder(arm, seed), None
    if study.arms[arm].start:
        start = study.folder(study.arms[arm].start, seed)
        if not (start / "checkpoint.npz").exists():
            record(trained(study, study.arms[arm].start, seed, threads))
    shutil.rmtree(folder, ignore_errors=True)
    began = _processor_seconds()
    if own := study.arms[arm].train:
        report = own({**study.base, **study.arms[arm].settings, "seed": seed}, folder)
    else:
        report = _called([*study.command(arm, seed), "--out", str(folder)], threads)
    line = {
        "study": study.name,
        "arm": arm,
        "seed": seed,
        "settings": {**study.base, **study.arms[arm].settings},
        "command": shlex.join(study.command(arm, seed)),
        "commit": commit(),
        "threads": threads,
        **{name: report[name] for name in KEPT if name in report},
        **report["model"],
        "seconds": round(report["train_seconds"], 2),
        "processor_seconds": round(_processor_seconds() - began, 2),
    }
    for when, accuracy in (report.get("source") or {}).items():
        line[f"source_{when}"] = accuracy
    return line | (study.measure(folder, start, seed) if study.measure else {})


def record(line: dict[str, Any]) -> None:
    """Put a run into the file, in the place of the one with the same study, arm and seed if there is one."""
    key = ("study", "arm", "seed")
    lines = recorded.runs()
    same = [k for k, other in enumerate(lines) if all(other[n] == line[n] for n in key)]
    place = same[0] if same else len(lines)
    lines[place : place + 1] = [line]
    new = recorded.FILE.with_suffix(".new")
    new.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines), encoding="utf-8")
    new.replace(recorded.FILE)


def commit() -> str:
    """The commit of the package that is trained with; a plus where files of it have been changed since."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(PACKAGE), *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", "*.py")
    return git("log", "-1", "--format=%h", "--abbrev=9", "--", "*.py") + ("+" if changed else "")


def _processor_seconds() -> float:
    """Of this process and of those that it has waited for: unlike a clock it stands still while others compute."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def _called(command: list[str], threads: int) -> dict[str, Any]:
    """What a command says as JSON."""
    env = {**os.environ, "NUMBA_NUM_THREADS": str(threads)}
    words = [sys.executable, "-m", *command, "--json"]
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report

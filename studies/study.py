"""What a study is: a question, the runs that answer it, and how the answer is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from npdsconv.cli.settings import flag
from studies.results import Results


@dataclass(frozen=True)
class Arm:
    """One thing that is compared with others.

    Attributes
    ----------
    settings : arguments of the command, as fields of a `Recipe`
    start : the arm whose run it goes on from; the command is then ``finetune``
    train : trains it where no command can: (settings, folder) -> the report that ``--json`` would give
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    train: Callable[[dict[str, Any], Path], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Study:
    """A question and the runs that answer it.

    Attributes
    ----------
    name : of its file, its page and its records
    title, question : the head of the page, and one sentence
    base : settings that all arms share
    arms : by name, in the order of the table
    seeds : every arm is trained with each
    measure : (folder of the run, folder it started from or None, seed) -> what else is recorded of a run
    columns : more columns of the table: their heads, and what they show
    words : the sentences under the table; their numbers are computed
    figure, alt : the picture, and what it says to whoever cannot see it
    """

    name: str
    title: str
    question: str
    arms: Mapping[str, Arm]
    base: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    measure: Callable[[Path, Path | None, int], dict[str, Any]] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    words: Callable[[Results], list[str]] = lambda results: []
    figure: Callable[[Results], Figure] | None = None
    alt: str = ""

    def results(self) -> Results:
        """What is recorded of it."""
        return Results(self.name, self.arms)

    def folder(self, arm: str, seed: int) -> Path:
        """Where a run lies, from the folder in which one works."""
        plain = "".join(c if c.isalnum() or c in ".-" else "-" for c in arm.replace("×", "x"))
        return Path("runs", "studies", self.name, f"{plain}-seed{seed}")

    def command(self, arm: str, seed: int) -> list[str]:
        """The words of the command that trains an arm."""
        of_arm = self.arms[arm]
        if of_arm.train:
            return ["python", "-m", "studies", "run", self.name]
        words = ["npdsconv", "train"]
        if of_arm.start:
            words = ["npdsconv", "finetune", str(self.folder(of_arm.start, seed))]
        for name, value in {**self.base, **of_arm.settings, "seed": seed}.items():
            words += [flag(name)] if value is True else [flag(name), str(value)]
        return words

"""What is written from the recorded runs: a page and a figure for each study, docs/results.md, README's table."""

import re
from collections.abc import Mapping
from pathlib import Path

from npdsconv.cli.settings import flag
from npdsconv.plots import save
from npdsconv.runs import recorded
from studies.all import STUDIES
from studies.results import Results, percent
from studies.study import Study

ROOT = Path(__file__).parents[1]
FOLDER = Path("docs/studies")
WRITTEN = "<!-- written by python -m studies pages -->"
TABLE = re.compile(
    r"(<!-- table accuracy: written by python -m studies pages -->\n\n).*?(\n\n<!-- end of table accuracy -->)",
    re.DOTALL,
)


def write() -> None:
    """Write every page and figure that there are runs for."""
    (ROOT / FOLDER).mkdir(exist_ok=True)
    for path, text in texts().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(path)
    for study in shown():
        if study.figure:
            save(study.figure(study.results()), ROOT / FOLDER / f"{study.name}.png")


def texts() -> dict[Path, str]:
    """Every page that is written, by its path from the root of the repository."""
    found = {FOLDER / f"{study.name}.md": page(study) for study in shown() if study.figure}
    readme = Path("README.md")
    return {
        **found,
        Path("docs/results.md"): results_page(),
        readme: fill((ROOT / readme).read_text(encoding="utf-8")),
    }


def shown() -> list[Study]:
    """The studies of which every arm has at least one run: others have no page yet."""
    names = {run["study"] for run in recorded.runs()}
    return [s for s in STUDIES.values() if s.name in names and len(s.results().runs) == len(s.arms)]


PAGE = """# {title}

{written}

{question}

```sh
python -m studies run {name}
```

trains what is not recorded yet, each run in a process of its own, such as

```sh
{command}
```

All share {shared};
the rest is the package's own recipe. A seed decides the initial weights, the order, the augmentation, and which
training images are held out. The score is that of the last epoch, on held-out images; the test images were not looked
at. ± is one sample standard deviation; differences are taken seed by seed, and "level" says that their mean lies within
two of its standard errors, over so few seeds a rough rule. Seconds are processor time of the whole command on one
thread, with its start, its measuring after each epoch and its pictures. The commits and the commands of all rows are
among the [results](../results.md).

## The results

{table}

![{alt}]({name}.png)

## What it says

{words}
"""


def page(study: Study) -> str:
    """Question, what was done, table, figure, what it says."""
    results = study.results()
    return PAGE.format(
        title=study.title,
        written=WRITTEN,
        question=study.question,
        name=study.name,
        command=next(iter(results.runs.values()))[0]["command"],
        shared=", ".join(f"`{flag(name)} {value}`" for name, value in study.base.items()),
        table=table(study, results),
        alt=study.alt,
        words="\n".join(f"* {sentence}" for sentence in study.words(results)),
    )


def table(study: Study, results: Results) -> str:
    """A row for each arm."""
    heads = ["", "parameters", "multiply-adds", *study.columns, "accuracy", "seeds", "seconds"]
    rows = []
    for arm, runs in results.runs.items():
        cells = [arm, f"{runs[0]['params']:,}", f"{runs[0]['macs']:,}"]
        cells += [_cell(results, arm, what) for what in study.columns.values()]
        rows.append([*cells, results.percent(arm), str(len(runs)), _seconds(runs)])
    return _markdown(heads, rows)


RESULTS = """# Results

{written}

Every run that a page of this site or the README speaks of, from one file, `npdsconv/runs/recorded.jsonl`, which has a
line for each run and seed. The last epoch is reported, never the best. What was chosen was chosen on held-out training
images; test images are looked at for [the package's own recipes](#the-packages-own-recipes) alone, once, when training
has ended. `python -m studies run NAME` trains what a study lacks, `python -m studies pages` writes these pages.

Seconds are processor time of the whole command on one thread; with a star they are those of a clock, for the training
alone, on two threads. All are means over the seeds. The commit is that of the package.

```{{toctree}}
:hidden:
{pages}
```

{tables}
"""


def _cell(results: Results, arm: str, what: str) -> str:
    """A count as it is, a share as a percentage; empty where it was not measured."""
    value = results.first(arm).get(what)
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else results.percent(arm, what)


def results_page() -> str:
    """Every recorded arm of every study, with all that is needed to train it again."""
    with_page = [study.name for study in shown() if study.figure]
    tables = []
    for study in STUDIES.values():
        if arms := recorded_arms(study):
            link = f" ([page](studies/{study.name}.md))" if study.name in with_page else ""
            tables.append(f"## {study.title}\n\n{study.question}{link}\n\n{_results_table(arms)}")
    pages = "\n".join(f"studies/{name}" for name in with_page)
    return RESULTS.format(written=WRITTEN, pages=pages, tables="\n\n".join(tables))


def recorded_arms(study: Study) -> dict[str, list[dict]]:
    """The runs of a study, as far as there are any."""
    if study.name not in {run["study"] for run in recorded.runs()}:
        return {}
    return study.results().runs


def _results_table(arms: Mapping[str, list[dict]]) -> str:
    rows = []
    for arm, runs in arms.items():
        accuracy = percent(recorded.spread([run["accuracy"] for run in runs]))
        commits = ", ".join(dict.fromkeys(f"`{run['commit']}`" for run in runs))
        command = re.sub(rf"(seed ?){runs[0]['seed']}\b", r"\1S", runs[0]["command"])
        seeds = ", ".join(str(run["seed"]) for run in runs)
        rows.append([arm, runs[0]["scored_on"], accuracy, seeds, _seconds(runs), commits, f"`{command}`"])
    return _markdown(["", "scored on", "accuracy", "seeds", "seconds", "commit", "command"], rows)


def _seconds(runs: list[dict]) -> str:
    if all("processor_seconds" in run for run in runs):
        return f"{recorded.spread([run['processor_seconds'] for run in runs]).mean:.0f}"
    return f"{recorded.spread([run['seconds'] for run in runs]).mean:.0f}*"


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# ---- README ------------------------------------------------------------------------------------------------------


def fill(text: str) -> str:
    """The text with the table of accuracies written anew.

    Raises
    ------
    ValueError
        No such table is marked.
    """
    if not TABLE.search(text):
        raise ValueError("pages: no table of accuracies stands between the marks of this program")
    return TABLE.sub(lambda found: found[1] + readme_table() + found[2], text)


def readme_table() -> str:
    """The recipes' accuracy on test images, in Markdown."""
    rows = []
    for runs in STUDIES[recorded.RECIPES_STUDY].results().runs.values():
        first = runs[0]
        each = " ".join(f"{100 * run['accuracy']:.2f}" for run in runs)
        score = f"{percent(recorded.spread([run['accuracy'] for run in runs]))} ({each})"
        name = "standard twin" if first["settings"].get("standard") else "separable_cnn"
        data = f"{first['settings']['dataset']}, {first['scored_on']}"
        costs = [f"{first[what]:,}" for what in ("params", "macs", "epochs")]
        rows.append([data, name, *costs, score])
    heads = [
        "data",
        "network",
        "parameters",
        "multiply-adds",
        "epochs",
        "accuracy, mean ± sd (each seed)",
    ]
    return _markdown(heads, rows)

"""``npdsconv train --range-test``: which learning rates a recipe can take, as a picture and a number."""

from npdsconv import plots
from npdsconv.cli import Outcome
from npdsconv.runs.job import Job
from npdsconv.train import range_test


def shown(job: Job, picture: str) -> Outcome:
    """Try the rates on a job that is not trained; nothing but the picture is written."""
    recipe = job.recipe
    found = range_test(
        job.model,
        job.learn,
        job.optimizer,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        augment=recipe.build_augment(),
        label_smoothing=recipe.label_smoothing,
    )
    plots.save(plots.range_test(found), picture)
    print(
        f"{len(found.rates)} steps at learning rates from {found.rates[0]:.1e} to {found.rates[-1]:.1e}: the loss was "
        f"lowest at {found.lowest:.1e}\n\nnext:\n  npdsconv train --lr {found.suggestion:.2g}    a tenth of that rate"
        f"\nthe picture is in {picture}"
    )
    return Outcome({"suggestion": found.suggestion, "lowest": found.lowest, "picture": picture})

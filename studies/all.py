"""Every study by its name, in the order of the pages."""

from studies import (
    batch_size,
    depth,
    dilation,
    finetuning,
    initialisation,
    labels,
    normalisation,
    recipes,
    robustness,
    widths,
)
from studies.study import Study

STUDIES: dict[str, Study] = {
    module.STUDY.name: module.STUDY
    for module in (
        recipes,
        widths,
        finetuning,
        labels,
        dilation,
        normalisation,
        initialisation,
        batch_size,
        depth,
        robustness,
    )
}

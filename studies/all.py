"""Every study by its name, in the order of the pages."""

from studies import finetuning, recipes, widths
from studies.study import Study

STUDIES: dict[str, Study] = {
    module.STUDY.name: module.STUDY
    for module in (
        recipes,
        widths,
        finetuning,
    )
}

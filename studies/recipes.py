"""The package's own recipes and their standard twins: the only runs that are scored on test images."""

from studies.study import Arm, Study

STUDY = Study(
    name="recipes",
    title="The package's own recipes",
    question="What do the recipes that the package ships reach on test images, beside their standard twins?",
    arms={
        "mnist5k, separable": Arm({"dataset": "mnist5k"}),
        "mnist5k, standard": Arm({"dataset": "mnist5k", "standard": True}),
        "mnist, separable": Arm({"dataset": "mnist"}),
        "mnist, standard": Arm({"dataset": "mnist", "standard": True}),
    },
    seeds=(0, 1, 2, 3, 4),
)

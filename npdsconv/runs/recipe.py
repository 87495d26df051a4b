"""Training recipes, one for each data set, and what they make: model, optimiser, schedule, augmentation.

A recipe is fixed before the test images are looked at: everything in it was chosen on held-out training images.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from npdsconv import models, optim
from npdsconv.data import Affine, Augment, steps_per_epoch
from npdsconv.layers import Sequential, set_impl
from npdsconv.shapes import check_choice

MODELS: dict[str, Callable[..., Sequential]] = {
    "separable_cnn": models.separable_cnn,
    "small_cnn": models.small_cnn,
    "mobilenet_v1": models.mobilenet_v1,
    "mobilenet_v2": models.mobilenet_v2,
}
OPTIMIZERS = {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW}
SCHEDULES = ("one_cycle", "cosine", "step", "constant")


@dataclass(frozen=True)
class Recipe:
    """Every setting that decides what a run computes. Two runs with equal recipes end with the same bits."""

    dataset: str = "mnist5k"
    model: str = "separable_cnn"
    standard: bool = False  # train the model's standard-convolution twin instead
    width: float = 1.0
    stem_stride: int = (
        2  # of separable_cnn: 2 is about twice as quick as 1, and as accurate on held-out images
    )
    dropout: float = 0.0
    epochs: int = 30
    batch_size: int = 64
    optimizer: str = "adamw"
    lr: float = 0.01
    weight_decay: float = 0.0
    schedule: str = "one_cycle"
    warm_up: float = 0.25  # share of all steps in which the learning rate rises
    label_smoothing: float = 0.0
    rotate: float = 15.0  # degrees
    shift: float = 2.0  # pixels
    scale: float = 0.15  # share
    shear: float = 11.0  # degrees
    hold_out: int = 0  # training images to measure with, in place of the test images
    seed: int = 0
    impl: str = "numba"

    def __post_init__(self) -> None:
        for name, known in (
            ("model", MODELS),
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("impl", ("naive", "im2col", "numba")),
        ):
            check_choice("recipe", name, getattr(self, name), known)
        if self.epochs < 1:
            raise ValueError(f"recipe: epochs must be at least 1, got {self.epochs}")
        if not 0 <= self.warm_up < 1:
            raise ValueError(f"recipe: warm_up must be in [0, 1), got {self.warm_up}")

    def build_model(self) -> Sequential:
        """The network with its initial weights, which depend on the seed."""
        options: dict[str, Any] = {} if self.model == "small_cnn" else {"dropout": self.dropout}
        if self.model == "separable_cnn":
            options["stem_stride"] = self.stem_stride
        build = MODELS[self.model]
        model = build(in_channels=1, classes=10, width=self.width, rng=self.seed, **options)
        if self.standard:
            model = models.standard_twin(model, rng=self.seed)
        set_impl(model, self.impl)
        return model

    def build_optimizer(self, model: Sequential) -> optim.Optimizer:
        return OPTIMIZERS[self.optimizer](model.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def build_schedule(self, images: int) -> optim.Schedule:
        """Factor on the learning rate as a function of the step, for a run over that many images an epoch."""
        total = self.epochs * steps_per_epoch(images, self.batch_size)
        if self.schedule == "one_cycle":
            return optim.one_cycle(max(total, 2), warm=self.warm_up)
        plain = {
            "cosine": lambda: optim.cosine(total),
            "step": lambda: optim.step_decay(max(1, total // 3)),
            "constant": optim.constant,
        }[self.schedule]()
        rising = round(self.warm_up * total)
        return optim.warm_up(plain, rising) if rising else plain

    def build_augment(self) -> Augment | None:
        warp = Affine(rotate=self.rotate, shift=self.shift, scale=self.scale, shear=self.shear)
        return None if warp == Affine() else warp

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


RECIPES = {
    "mnist5k": Recipe(),
    "mnist": Recipe(dataset="mnist", epochs=10),
}


def recipe(dataset: str = "mnist5k", **changes: Any) -> Recipe:
    """The recipe of a data set, with changes.

    >>> recipe("mnist", seed=3).seed
    3
    """
    check_choice("recipe", "dataset", dataset, RECIPES)
    unknown = sorted(set(changes) - {f.name for f in dataclasses.fields(Recipe)})
    if unknown:
        raise ValueError(f"recipe: unknown settings {unknown}")
    return dataclasses.replace(RECIPES[dataset], **changes)

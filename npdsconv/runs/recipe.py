"""Training recipes, one for each data set, and what they make: model, optimiser, schedule, augmentation.

A recipe is fixed before the test images are looked at: everything in it was chosen on held-out training images.
"""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npdsconv import data, init, models, optim
from npdsconv.data import NAMES, Affine, Augment, steps_per_epoch
from npdsconv.layers import Sequential, set_impl
from npdsconv.ops._tiers import TIERS
from npdsconv.runs import settings
from npdsconv.runs.settings import (
    ANGLE,
    COUNT,
    GREY_OR_COLOURS,
    NOT_NEGATIVE,
    ONE_OR_TWO,
    PART,
    POSITIVE,
    SHARE,
    setting,
)
from npdsconv.runs.words import parse_size
from npdsconv.shapes import check_choice

OWN = "own"
"""The data set that is not known by a name: what `folder` holds."""

OPTIMIZERS = {"sgd": optim.SGD, "adagrad": optim.Adagrad, "adam": optim.Adam, "adamw": optim.AdamW}
SCHEDULES = ("one_cycle", "cosine", "restarts", "step", "exponential", "constant")
GROUPS = ("data", "network", "training")
FROM_START = ("pretrained", "mixed")
"""Initial weights from another run: all that fit, or those of the depthwise steps alone; never its head."""
INITS = ("own", *FROM_START, *init.SCHEMES)


@dataclass(frozen=True)
class Recipe:
    """Every setting that decides what a run computes. Two runs with equal recipes end with the same bits.

    Raises
    ------
    TypeError, ValueError
        A setting of the wrong kind, or against its rule.
    """

    dataset: str = setting(
        "mnist5k", "data", "what to learn; mnist5k comes with the package, own is in --folder", (*NAMES, OWN)
    )
    folder: str = setting(
        "", "data", "pictures of your own, a folder for each class; or .npz, IDX, CIFAR files"
    )
    size: str = setting("", "data", "of your own pictures, such as 48 or 48x64; found out by default")
    channels: int = setting(
        0, "data", "of your own pictures: 1 grey, 3 colours, 0 found out", GREY_OR_COLOURS
    )
    test_share: float = setting(0.2, "data", "of your own pictures, kept apart to measure with", PART)
    test_seed: int = setting(0, "data", "which of them these are", NOT_NEGATIVE)
    skip_bad: bool = setting(False, "data", "leave out pictures that cannot be read")
    hold_out: int = setting(
        0,
        "data",
        "training images, of all classes, to measure with in place of the test images: to choose settings",
        NOT_NEGATIVE,
    )
    classes: str = setting("", "data", "only these classes, such as 0-4 or 1,3,5 or cat,dog; all by default")
    labels: int = setting(
        0, "data", "images to learn from, some of each class; 0: all there are", NOT_NEGATIVE
    )
    rotate: float = setting(15.0, "data", "augmentation: degrees", NOT_NEGATIVE)
    shift: float = setting(2.0, "data", "augmentation: pixels", NOT_NEGATIVE)
    scale: float = setting(0.15, "data", "augmentation: share", SHARE)
    shear: float = setting(11.0, "data", "augmentation: degrees", ANGLE)
    flip: bool = setting(False, "data", "augmentation: mirror half of the images; not for digits")
    crop: int = setting(0, "data", "augmentation: shift by up to so many whole pixels", NOT_NEGATIVE)
    cut_out: int = setting(0, "data", "augmentation: a square of so many pixels a side is 0", NOT_NEGATIVE)
    noise: float = setting(0.0, "data", "augmentation: normal noise; 0.1 is a tenth of white", NOT_NEGATIVE)
    salt: float = setting(0.0, "data", "augmentation: share of pixels that become white or black", SHARE)

    model: str = setting("separable_cnn", "network", "network; --list shows them", models.BUILDERS)
    standard: bool = setting(False, "network", "train the standard-convolution twin of the model")
    width: float = setting(1.0, "network", "factor on its channel counts", POSITIVE)
    # 2 is about twice as quick as 1, and as accurate on held-out images.
    stem_stride: int = setting(
        2, "network", "of separable_cnn: 2 halves the picture in the first convolution, 1 later", ONE_OR_TWO
    )
    dropout: float = setting(0.0, "network", "probability of dropping a unit before the dense layer", SHARE)
    options: str = setting("", "network", "what else the network takes, such as 'dilations=1,1,1 width=0.5'")
    impl: str = setting("numba", "network", "tier of the layers", TIERS)
    start: str = setting(
        "", "network", "a run whose weights to start from, or mnist: the network in the package"
    )
    init: str = setting(
        "own", "network", "initial weights: the network's own, those of --start, or by a scheme", INITS
    )
    learn: str = setting("all", "network", "what goes on learning; the rest is frozen", models.PARTS)

    epochs: int = setting(30, "training", "passes over the training images", COUNT)
    batch_size: int = setting(64, "training", "images in a step", COUNT)
    drop_last: bool = setting(False, "training", "leave out the last batch of an epoch if it is not full")
    optimizer: str = setting("adamw", "training", "optimiser", OPTIMIZERS)
    lr: float = setting(0.01, "training", "highest learning rate", NOT_NEGATIVE)
    weight_decay: float = setting(0.0, "training", "decay of the weights (L2)", NOT_NEGATIVE)
    l1: float = setting(0.0, "training", "penalty on the absolute values of all weights", NOT_NEGATIVE)
    depthwise_decay: float = setting(
        1.0, "training", "factor on both for depthwise weights, of which there are few", NOT_NEGATIVE
    )
    clip: float = setting(0.0, "training", "longest gradient, all weights together; 0: any", NOT_NEGATIVE)
    micro_batches: int = setting(1, "training", "parts in which a batch goes through, to save memory", COUNT)
    schedule: str = setting("one_cycle", "training", "course of the learning rate", SCHEDULES)
    warm_up: float = setting(0.25, "training", "share of all steps in which the learning rate rises", SHARE)
    label_smoothing: float = setting(0.0, "training", "share of the target spread over all classes", SHARE)
    patience: int = setting(
        0, "training", "epochs without a lower held-out loss after which to stop; 0: never", NOT_NEGATIVE
    )
    seed: int = setting(0, "training", "of initial weights, order of the images, augmentation", NOT_NEGATIVE)

    def __post_init__(self) -> None:
        settings.check("recipe", self)
        models.parse_options(self.model, self.options)
        parse_size(self.size)
        if bool(self.folder) != (self.dataset == OWN):
            given = f"folder {self.folder!r}" if self.folder else "no folder"
            raise ValueError(f"recipe: dataset {self.dataset} does not go with {given}: {OWN} needs one")
        if self.patience and not self.hold_out:
            raise ValueError("recipe: patience needs images to measure with: set hold_out too")
        if bool(self.start) != (self.init in FROM_START):
            given = f"start {self.start!r}" if self.start else "no start"
            raise ValueError(
                f"recipe: init {self.init} does not go with {given}: {', '.join(FROM_START)} need one"
            )

    @property
    def data_name(self) -> str:
        """What the data are called, in a line or in the name of a folder."""
        return Path(self.folder).name.removesuffix(".npz") or self.dataset

    def build_model(self, shape: tuple[int, int, int], classes: int) -> Sequential:
        """The network with its initial weights, which depend on the seed.

        Parameters
        ----------
        shape : (C, H, W) of one image, as ``Dataset.shape`` says
        classes : how many there are, as ``Dataset.classes`` says

        Raises
        ------
        ValueError
            The network cannot take such images.
        """
        channels, height, width = shape
        known = models.options_of(self.model)
        options = models.parse_options(self.model, self.options)
        for name, neutral in (("width", 1.0), ("dropout", 0.0), ("stem_stride", self.stem_stride)):
            value = getattr(self, name)
            if name in known:
                options.setdefault(name, value)
            elif value != neutral:
                raise ValueError(f"recipe: {self.model} takes no {name}, got {value}")
        if "size" in known:
            if height != width and (self.model == "small_cnn" or options.get("ending") == "flatten"):
                raise ValueError(f"recipe: {self.model} takes square images, got {height}×{width}")
            options.setdefault("size", height)
        model = models.build(self.model, in_channels=channels, classes=classes, rng=self.seed, **options)
        if self.standard:
            model = models.standard_twin(model, rng=self.seed)
        set_impl(model, self.impl)
        return model

    def build_optimizer(self, model: Sequential) -> optim.Optimizer:
        """The optimiser; depthwise weights are a group of their own where they decay in another way."""
        parameters: Any = list(model.parameters())
        if self.weight_decay and self.depthwise_decay != 1:
            depthwise = models.depthwise_weights(model)
            others = [p for p in parameters if p not in depthwise]
            decay = self.weight_decay * self.depthwise_decay
            parameters = [{"params": others}, {"params": depthwise, "weight_decay": decay}]
        return OPTIMIZERS[self.optimizer](parameters, lr=self.lr, weight_decay=self.weight_decay)

    def build_before_update(self, model: Sequential) -> Callable[[], object] | None:
        """What is done to the gradients of a step: the L1 penalty is added, then they are clipped."""
        if not (self.l1 or self.clip):
            return None
        depthwise = models.depthwise_weights(model)
        others = [
            p for p in model.parameters() if p.value.ndim > 1 and p not in depthwise
        ]  # no bias, no norm
        penalties = [(depthwise, self.l1 * self.depthwise_decay), (others, self.l1)]

        def before_update() -> None:
            for weights, factor in penalties:
                if weights and factor:
                    optim.add_l1(weights, factor)
            if self.clip:
                optim.clip_gradients(model.parameters(), self.clip)

        return before_update

    def build_schedule(self, images: int) -> optim.Schedule:
        """Factor on the learning rate as a function of the step, for a run over that many images an epoch."""
        total = self.epochs * steps_per_epoch(images, self.batch_size, drop_last=self.drop_last)
        if self.schedule == "one_cycle":
            return optim.one_cycle(max(total, 2), warm=self.warm_up)
        plain = {
            "cosine": lambda: optim.cosine(total),
            "restarts": lambda: optim.cosine_restarts(max(1, total // 7), growth=2),  # 1, 2 and 4 sevenths
            "step": lambda: optim.step_decay(max(1, total // 3)),
            "exponential": lambda: optim.exponential(1e-3, max(1, total)),  # a thousandth at the end
            "constant": optim.constant,
        }[self.schedule]()
        rising = round(self.warm_up * total)
        return optim.warm_up(plain, rising) if rising else plain

    def build_augment(self) -> Augment | None:
        """All that is asked for, one after the other; None if it is nothing."""
        warp = Affine(rotate=self.rotate, shift=self.shift, scale=self.scale, shear=self.shear)
        chosen: list[Augment | None] = [
            None if warp == Affine() else warp,
            data.Flip() if self.flip else None,
            data.Crop(self.crop) if self.crop else None,
            data.CutOut(self.cut_out) if self.cut_out else None,
            data.SaltAndPepper(self.salt) if self.salt else None,
            data.GaussianNoise(self.noise) if self.noise else None,
        ]
        parts = [part for part in chosen if part is not None]
        return data.Compose(*parts) if len(parts) > 1 else next(iter(parts), None)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


AUGMENTATIONS: dict[str, Any] = {
    **dict.fromkeys(("rotate", "shift", "scale", "shear", "noise", "salt"), 0.0),
    "flip": False,
    "crop": 0,
    "cut_out": 0,
}
"""Settings with which the images are learned from as they are."""

CHANGES: dict[str, dict[str, Any]] = {
    "mnist5k": {},
    "mnist": {"epochs": 10},
    # Things are turned, seen from nearer and from farther, but not slanted; few pictures need more steps.
    OWN: {"epochs": 60, "batch_size": 16, "rotate": 10.0, "shear": 0.0},
}
"""What differs from the settings above, for each data set."""

RECIPES = {name: Recipe(dataset=name, **CHANGES[name]) for name in NAMES}


def recipe(dataset: str = "", **changes: Any) -> Recipe:
    """The recipe of a data set, with changes; that of data of one's own where a `folder` is named.

    >>> recipe("mnist", seed=3).seed
    3
    """
    if folder := changes.get("folder"):
        changes["folder"] = os.path.abspath(os.path.expanduser(folder))  # wherever one goes later
    dataset = dataset or (OWN if folder else NAMES[0])
    check_choice("recipe", "dataset", dataset, CHANGES)
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in changes:
        check_choice("recipe", "a setting", name, known)
    return Recipe(**{"dataset": dataset, **CHANGES[dataset], **changes})

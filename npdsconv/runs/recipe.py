"""Training recipes, one for each data set, and what they make: model, optimiser, schedule, augmentation.

A recipe is fixed before the test images are looked at: everything in it was chosen on held-out training images.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from npdsconv import init, models, optim
from npdsconv.data import NAMES, Affine, Augment, steps_per_epoch
from npdsconv.layers import Sequential, set_impl
from npdsconv.ops._tiers import TIERS
from npdsconv.runs import settings
from npdsconv.runs.settings import ANGLE, COUNT, NOT_NEGATIVE, ONE_OR_TWO, POSITIVE, SHARE, setting
from npdsconv.shapes import check_choice

OPTIMIZERS = {"sgd": optim.SGD, "adagrad": optim.Adagrad, "adam": optim.Adam, "adamw": optim.AdamW}
SCHEDULES = ("one_cycle", "cosine", "restarts", "step", "exponential", "constant")
GROUPS = ("data", "network", "training")
FROM_START = ("pretrained", "mixed")
"""Initial weights from another run: all that fit, or those of the depthwise steps alone; never its head."""
INITS = ("own", *FROM_START, *init.SCHEMES)


def parse_classes(text: str) -> tuple[int, ...]:
    """Labels as one writes them: single ones and spans, with commas between. None at all means all.

    Raises
    ------
    ValueError
        It is something else, or a label comes twice.

    Examples
    --------
    >>> parse_classes("0-3,7")
    (0, 1, 2, 3, 7)
    """
    found: list[int] = []
    for word in text.split(",") if text else ():
        first, _, last = word.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and len(word) < 12):
            raise ValueError(f"recipe: classes must be like 0-4 or 1,3,5, got {text!r}")
        found += range(int(first), int(last or first) + 1)
    if len(set(found)) < len(found):
        raise ValueError(f"recipe: classes must be all different, got {text!r}")
    return tuple(found)


@dataclass(frozen=True)
class Recipe:
    """Every setting that decides what a run computes. Two runs with equal recipes end with the same bits.

    Raises
    ------
    TypeError, ValueError
        A setting of the wrong kind, or against its rule.
    """

    dataset: str = setting("mnist5k", "data", "what to learn; mnist5k comes with the package", NAMES)
    hold_out: int = setting(
        0,
        "data",
        "training images to measure with, in place of the test images: to choose settings",
        NOT_NEGATIVE,
    )
    classes: str = setting("", "data", "only these classes, such as 0-4 or 1,3,5; all by default")
    labels: int = setting(
        0, "data", "images to learn from, some of each class; 0: all there are", NOT_NEGATIVE
    )
    rotate: float = setting(15.0, "data", "augmentation: degrees", NOT_NEGATIVE)
    shift: float = setting(2.0, "data", "augmentation: pixels", NOT_NEGATIVE)
    scale: float = setting(0.15, "data", "augmentation: share", SHARE)
    shear: float = setting(11.0, "data", "augmentation: degrees", ANGLE)

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
        parse_classes(self.classes)
        if self.patience and not self.hold_out:
            raise ValueError("recipe: patience needs images to measure with: set hold_out too")
        if bool(self.start) != (self.init in FROM_START):
            given = f"start {self.start!r}" if self.start else "no start"
            raise ValueError(
                f"recipe: init {self.init} does not go with {given}: {', '.join(FROM_START)} need one"
            )

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
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in changes:
        check_choice("recipe", "a setting", name, known)
    return dataclasses.replace(RECIPES[dataset], **changes)

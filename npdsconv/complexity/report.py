"""Sums over a model, and a model beside its standard twin."""

from npdsconv import text
from npdsconv.complexity.table import Row, Shape, cost
from npdsconv.layers import Layer


class Summary:
    """What a model costs, layer by layer; made by :func:`summary`. ``print`` it, or let a notebook show it.

    Attributes
    ----------
    rows : list of Row, in the order in which the layers run
    shape : (C, H, W) of the image; `output` is the shape of what comes out
    params : learned numbers; a layer used twice counts once
    macs, flops : of one forward pass for one image; flops is 2·macs
    activation_bytes : all outputs together, in float32; see `training_bytes` for what a training step keeps of them
    peak_bytes : the most that inference holds at one time, the input included, work space not counted
    """

    def __init__(self, rows: list[Row], shape: Shape, output: Shape) -> None:
        self.rows, self.shape, self.output = rows, shape, output
        self.params = sum({id(row.layer): row.params for row in rows}.values())
        self.macs = sum(row.macs for row in rows)
        self.flops = 2 * self.macs
        self.activation_bytes = sum(row.activation_bytes for row in rows)
        self.peak_bytes = max((row.live_bytes for row in rows), default=0)

    def training_bytes(self, batch: int) -> int:
        """The activations that are alive when a training step turns around: all that its backward pass will read.

        ``batch · Σ kept_bytes`` over the rows: the output of every layer that the backward of another layer reads, and
        the masks of dropout. It is a count of one thing. Not in it: the images themselves, which the first layer
        reads and you hold; batch norm's statistics; the gradients on their way back, one activation or two at a time;
        the work space of kernels; parameters, their gradients and the optimiser's memory, which stay from step to
        step. ``npdsconv complexity --memory`` measures a step beside this count.

        Parameters
        ----------
        batch : images in one step

        Raises
        ------
        ValueError
            `batch` is not an int of at least 1.
        """
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ValueError(f"training_bytes: batch must be an int of at least 1, got {batch!r}")
        return batch * sum(row.kept_bytes for row in self.rows)

    _header = ("name", "layer", "output", "params", "MACs", "FLOPs", "activation bytes")

    def _cells(self) -> list[tuple[text.Cell, ...]]:
        cells: list[tuple[text.Cell, ...]] = [
            (r.name, r.kind, _by(r.output), r.params, r.macs, r.flops, r.activation_bytes) for r in self.rows
        ]
        totals = (self.params, self.macs, self.flops, self.activation_bytes)
        return [*cells, ("total", "", _by(self.output), *totals)]

    def _note(self) -> str:
        return (
            f"one image of {_by(self.shape)} in float32; FLOPs = 2·MACs of convolutions and dense layers; "
            f"inference holds at most {self.peak_bytes:,} bytes of activations"
        )

    def __repr__(self) -> str:
        return f"{text.as_text(self._header, self._cells())}\n{self._note()}"

    def _repr_html_(self) -> str:
        return f"{text.as_html(self._header, self._cells())}\n<p>{self._note()}</p>"


def summary(model: Layer, shape: Shape) -> Summary:
    """Parameters, MACs, FLOPs and activation memory of `model`, layer by layer.

    Parameters
    ----------
    model : Layer; a whole model or a single layer
    shape : (C, H, W) of one image; (C,) if the model begins with a dense layer

    Raises
    ------
    TypeError
        A layer without a formula: see :func:`cost`.
    ValueError
        A shape that a layer cannot take.

    Examples
    --------
    >>> from npdsconv.models import separable_cnn
    >>> total = summary(separable_cnn(rng=0), (1, 28, 28))
    >>> total.params, total.macs
    (36298, 2889536)
    """
    if not shape or not all(isinstance(n, int) and n >= 1 for n in shape):
        raise ValueError(f"summary: shape must be (C, H, W), ints of at least 1, got {shape!r}")
    output, rows = cost(model, tuple(shape))
    return Summary(rows, tuple(shape), output)


def _by(shape: Shape) -> str:
    return "×".join(map(str, shape))


class Comparison:
    """A model beside its standard twin, stage by stage; made by :func:`compare`.

    A stage is a convolution, a separable block or a dense layer, with everything up to the next one.

    Attributes
    ----------
    model, twin : Summary
    stages : list of (rows of the model, rows of the twin)
    """

    def __init__(self, model: Summary, twin: Summary) -> None:
        self.model, self.twin = model, twin
        mine, theirs = _stages(model.rows), _stages(twin.rows)
        given, expected = ([_by(stage[-1].output) for stage in stages] for stages in (mine, theirs))
        if given != expected:
            raise ValueError(
                f"compare: not a twin: {len(mine)} stages with outputs {given}, the twin has {len(theirs)} "
                f"with outputs {expected}: models.standard_twin makes a twin"
            )
        self.stages = list(zip(mine, theirs, strict=True))

    _quantities = ("params", "MACs", "activation bytes")
    _header = ("stage", "output", *(name for quantity in _quantities for name in (quantity, "twin", "ratio")))

    def _cells(self) -> list[tuple[text.Cell, ...]]:
        cells: list[tuple[text.Cell, ...]] = []
        for mine, theirs in self.stages:
            stage, output = mine[0].name.removesuffix(".depthwise"), _by(mine[-1].output)
            cells.append((stage, output, *_beside(_sums(mine), _sums(theirs))))
        totals = [(s.params, s.macs, s.activation_bytes) for s in (self.model, self.twin)]
        return [*cells, ("total", _by(self.model.output), *_beside(*totals))]

    def __repr__(self) -> str:
        return text.as_text(self._header, self._cells())

    def _repr_html_(self) -> str:
        return text.as_html(self._header, self._cells())


def compare(model: Layer, twin: Layer, shape: Shape) -> Comparison:
    """`model` beside `twin`, which is ``models.standard_twin(model)``, for one image of `shape`.

    Raises
    ------
    ValueError
        The two do not have the same stages, or cannot take this shape.
    """
    return Comparison(summary(model, shape), summary(twin, shape))


def _stages(rows: list[Row]) -> list[list[Row]]:
    """Split before each layer that multiplies, except between the two halves of a separable block."""
    stages: list[list[Row]] = []
    for row in rows:
        first = stages[-1][0].name if stages else ""
        second_half = (
            first.endswith("depthwise") and row.name == first.removesuffix("depthwise") + "pointwise"
        )
        if not stages or (row.macs and not second_half):
            stages.append([])
        stages[-1].append(row)
    return stages


def _sums(rows: list[Row]) -> tuple[int, int, int]:
    return sum(r.params for r in rows), sum(r.macs for r in rows), sum(r.activation_bytes for r in rows)


def _beside(mine: tuple[int, ...], theirs: tuple[int, ...]) -> list[text.Cell]:
    pairs = zip(mine, theirs, strict=True)
    return [cell for a, b in pairs for cell in (a, b, a / b if b else None)]

"""The cases of ONNX's own backend tests, and how each operator of ONNX is said in ours.

Sequences are images of one row. Nodes that only move or combine numbers, such as Transpose and Add, are NumPy's.
"""

import importlib
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npdsconv import layers, ops, optim

MODULES = [
    "conv",
    "convtranspose",
    "maxpool",
    "averagepool",
    "globalaveragepool",
    "globalmaxpool",
    "batch_normalization",
    "relu",
    "leakyrelu",
    "sigmoid",
    "hardswish",
    "softmax",
    "logsoftmax",
    "negativeloglikelihoodloss",
    "softmax_cross_entropy_loss",
    "gemm",
    "adagrad",
    "adam",
    "momentum",
    "dropout",
    "upsample",
    "col2im",
]


class Case(NamedTuple):
    """One model, and what it gives for what."""

    name: str
    nodes: list  # (operator, attributes, names of inputs, names of outputs)
    inputs: dict
    outputs: dict
    version: int  # of the set of operators

    @property
    def family(self):
        """The first operator that is one of ours."""
        return next((op for op, *_ in self.nodes if op in OURS), None)


def all_cases(onnx):
    """Every case of ONNX about an operator of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ONNX makes its cases with NumPy, and some overflow
        found = [*_node_cases(onnx), *_stored_cases(onnx)]
    return [case for case in found if case.family]


def _node_cases(onnx):
    node = importlib.import_module("onnx.backend.test.case.node")
    for name in MODULES:
        importlib.import_module(f"onnx.backend.test.case.node.{name}")  # it registers its cases
    for case in node._NodeTestCases:
        if not case.name.endswith(("_expanded", "_expanded_ver18")):  # the same in other operators
            yield _case(onnx, case.name, case.model, *case.data_sets[0])


def _stored_cases(onnx):
    loader = importlib.import_module("onnx.backend.test.loader")
    for kind in ("pytorch-converted", "pytorch-operator", "simple"):
        for case in loader.load_model_tests(kind=kind):
            folder = Path(case.model_dir)
            model, data = onnx.load(folder / "model.onnx"), folder / "test_data_set_0"
            if not any(node.op_type in OURS for node in model.graph.node):
                continue
            inputs, outputs = (
                [
                    onnx.numpy_helper.to_array(onnx.load_tensor(file))
                    for file in sorted(data.glob(f"{way}put_*"))
                ]
                for way in ("in", "out")
            )
            yield _case(onnx, case.name, model, inputs, outputs)


def _case(onnx, name, model, inputs, outputs):
    graph = model.graph
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    given = [value.name for value in graph.input if value.name not in weights]
    nodes = [
        (
            node.op_type,
            {a.name: _attribute(onnx, a) for a in node.attribute},
            list(node.input),
            list(node.output),
        )
        for node in graph.node
    ]
    return Case(
        name.removeprefix("test_"),
        nodes,
        weights | dict(zip(given, inputs, strict=False)),
        dict(zip([value.name for value in graph.output], outputs, strict=True)),
        model.opset_import[0].version,
    )


def _attribute(onnx, attribute):
    value = onnx.helper.get_attribute_value(attribute)
    return onnx.numpy_helper.to_array(value) if attribute.name == "value" else value


# ---- running a case ------------------------------------------------------------------------------------------------


def run(case, impl):
    """(name, ours, theirs) for every output of the case; several times where there are several ways to say it."""
    known = dict(case.inputs)
    for op, attributes, inputs, outputs in case.nodes:
        arrays = [known.get(name) for name in inputs]
        if op in OURS:
            context = {"impl": impl, "expected": [case.outputs.get(name) for name in outputs]}
            context["version"] = case.version
            ways = OURS[op](arrays, attributes, context)
        else:
            ways = [GLUE[op](arrays, attributes)]
        for results in ways:
            for name, result in zip(outputs, results, strict=False):
                known[name] = result
                if name in case.outputs and result is not None:
                    yield name, result, case.outputs[name]


def work(case):
    """About how many products and comparisons it takes: what is slow in a loop in Python."""
    taps = 1
    for op, attributes, inputs, _ in case.nodes:
        if op in ("Conv", "ConvTranspose"):
            w = case.inputs[inputs[1]]
            taps = w[0].size
        elif op in ("MaxPool", "AveragePool"):
            taps = np.prod(attributes["kernel_shape"])
    return taps * max(y.size for y in case.outputs.values())


# ---- windows -------------------------------------------------------------------------------------------------------


def _image(array):
    """A sequence as an image of one row."""
    return array[:, :, None] if array is not None and array.ndim == 3 else array


def _window(attributes, x):
    """Stride, padding and dilation, for an image or for a sequence."""
    n = x.ndim - 2
    pads = attributes.get("pads", (0,) * 2 * n)
    sides = tuple(zip(pads[:n], pads[n:], strict=True))
    steps = [tuple(attributes.get(name, (1,) * n)) for name in ("strides", "dilations")]
    if n == 1:
        sides, steps = ((0, 0), *sides), [(1, *step) for step in steps]
    words = {b"VALID": "valid", b"SAME_UPPER": "same", b"SAME_LOWER": "same_lower"}
    return {
        "stride": steps[0],
        "padding": words.get(attributes.get("auto_pad"), sides),
        "dilation": steps[1],
    }


def _like(y, x):
    """Without the row again, if x was a sequence."""
    return y[:, :, 0] if x.ndim == 3 else y


def conv(arrays, attributes, context):
    """As a standard convolution; where each channel is by itself or the kernel is one pixel, in that way too."""
    x, w, b = (*arrays, None)[:3]
    how, groups, impl = _window(attributes, x), attributes.get("group", 1), context["impl"]
    image, kernel = _image(x), _image(w)
    yield [_like(ops.conv2d(image, kernel, b, groups=groups, impl=impl, **how), x)]
    if groups == x.shape[1]:
        kernel = kernel.reshape(groups, -1, *kernel.shape[2:])
        yield [_like(ops.depthwise_conv2d(image, kernel, b, impl=impl, **how), x)]


def conv_transpose(arrays, attributes, context):
    """Rows that output_padding adds below are rows that padding does not take away."""
    x, w, b = (*arrays, None)[:3]
    how = _window(attributes, x)
    extra = attributes.get("output_padding", (0, 0))
    if any(extra):
        how["padding"] = tuple((p, q - e) for (p, q), e in zip(how["padding"], extra, strict=True))
    groups = attributes.get("group", 1)
    y = ops.conv_transpose2d(_image(x), _image(w), b, groups=groups, impl=context["impl"], **how)
    yield [_like(y, x)]


def max_pool(arrays, attributes, context):
    """The indices that ONNX can give besides are not asked for."""
    (x,) = arrays
    yield [_pool(ops.max_pool2d, x, attributes, context), None]


def average_pool(arrays, attributes, context):
    (x,) = arrays
    counted = bool(attributes.get("count_include_pad", 0))
    yield [_pool(ops.avg_pool2d, x, attributes, context, count_include_pad=counted)]


def _pool(op, x, attributes, context, **more):
    size = tuple(attributes["kernel_shape"])
    size, ceil = (1, *size) if x.ndim == 3 else size, bool(attributes.get("ceil_mode", 0))
    how = {**_window(attributes, x), "ceil_mode": ceil, "impl": context["impl"], **more}
    return _like(op(_image(x), size, **how), x)


def global_pool(op):
    return lambda arrays, attributes, context: [[op(*arrays, impl=context["impl"])]]


def upsample(arrays, attributes, context):
    x, scales = arrays
    yield [ops.upsample2d(x, tuple(int(s) for s in scales[2:]), impl=context["impl"])]


def col2im(arrays, attributes, context):
    cols, size, kernel = arrays
    n = len(size)
    top, left, bottom, right = attributes.get("pads", (0,) * 2 * n)
    how = {
        "stride": tuple(attributes.get("strides", (1, 1))),
        "dilation": tuple(attributes.get("dilations", (1, 1))),
        "padding": ((top, bottom), (left, right)),
    }
    yield [ops.col2im(cols, tuple(map(int, size)), tuple(map(int, kernel)), **how)]


# ---- norms, activations, dense -------------------------------------------------------------------------------------


def batch_norm(arrays, attributes, context):
    """Any axes behind the channels are pixels."""
    x, weight, bias, mean, var = arrays
    pixels, how = (
        x.reshape(*x.shape[:2], 1, -1),
        {"eps": attributes.get("epsilon", 1e-5), "impl": context["impl"]},
    )
    if not attributes.get("training_mode", 0):
        yield [ops.batch_norm2d(pixels, weight, bias, mean, var, **how)[0].reshape(x.shape)]
        return
    y, batch_mean, batch_var = ops.batch_norm2d(pixels, weight, bias, **how)
    keep = np.float32(attributes.get("momentum", 0.9))
    moved = [keep * old + (1 - keep) * new for old, new in ((mean, batch_mean), (var, batch_var))]
    yield [y.reshape(x.shape), *moved]


def elementwise(op, **names):
    """An activation; `names` says what its own numbers are called there."""

    def run(arrays, attributes, context):
        own = {ours: attributes[theirs] for ours, theirs in names.items() if theirs in attributes}
        yield [op(*arrays, impl=context["impl"], **own)]

    return run


def softmax(op):
    """Before version 13 all axes from the one named were one."""

    def run(arrays, attributes, context):
        (x,) = arrays
        if context["version"] >= 13:
            yield [op(x, axis=attributes.get("axis", -1))]
        else:
            axis = attributes.get("axis", 1) % x.ndim
            yield [op(x.reshape(int(np.prod(x.shape[:axis])), -1)).reshape(x.shape)]

    return run


def gemm(arrays, attributes, context):
    """A dense layer; what it adds is a bias, or a matrix, which is added after."""
    a, b, c = (*arrays, None)[:3]
    x, w = (a.T if attributes.get("transA") else a), (b if attributes.get("transB") else b.T)
    x = x * x.dtype.type(attributes.get("alpha", 1))
    added = 0 if c is None else c * c.dtype.type(attributes.get("beta", 1))
    if np.size(added) in (1, len(w)):
        bias = np.broadcast_to(np.ravel(added), len(w)).astype(x.dtype)
        yield [ops.linear(x, w, bias, impl=context["impl"])]
    else:
        yield [ops.linear(x, w, impl=context["impl"]) + added]


def matmul(arrays, attributes, context):
    x, w = arrays
    yield [ops.linear(x, w.T, impl=context["impl"])]


def dropout(arrays, attributes, context):
    """In training with the mask that they have drawn."""
    x, ratio, training = (*arrays, None, None)[:3]
    share = float(attributes.get("ratio", 0.5) if ratio is None else ratio)
    if context["version"] < 12 or training is None or not training:
        yield [layers.Dropout(share)(x), np.ones(x.shape, bool)]
        return
    mask = context["expected"][0] != 0
    yield [ops.dropout(x, mask, share), mask]


# ---- losses --------------------------------------------------------------------------------------------------------


def _options(attributes):
    return {
        "reduction": attributes.get("reduction", b"mean").decode(),
        "ignore_index": attributes.get("ignore_index"),
    }


def likelihood(arrays, attributes, context):
    yield [np.asarray(ops.nll_loss(*arrays, **_options(attributes)), arrays[0].dtype)]


def cross_entropy(arrays, attributes, context):
    loss, _ = ops.softmax_cross_entropy(*arrays, **_options(attributes))
    dtype = arrays[0].dtype  # of a single number too
    yield [np.asarray(loss, dtype), ops.log_softmax(arrays[0], axis=1)]
    apart = ops.nll_loss(ops.log_softmax(arrays[0], axis=1), *arrays[1:], **_options(attributes))
    yield [np.asarray(apart, dtype)]


# ---- optimisers ----------------------------------------------------------------------------------------------------


def optimiser(build, *moments):
    """One step, from where theirs stands: rate, count of steps, values, gradients, and moments of each kind."""

    def run(arrays, attributes, context):
        rate, steps, *rest = arrays
        n = len(rest) // (2 + len(moments))
        start, gradients, *state = (rest[k * n : (k + 1) * n] for k in range(2 + len(moments)))
        parameters = [layers.Parameter(value.copy()) for value in start]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad[...] = gradient
        found = build(parameters, float(rate), int(steps), attributes)
        loaded = {"steps": np.full(n, int(steps))}
        for name, kind in zip(moments, state, strict=True):
            loaded |= {f"{name}.{k}": moment for k, moment in enumerate(kind)}
        found.load_state_dict(loaded)
        found.step()
        after = found.state_dict()
        yield [p.value for p in parameters] + [after[f"{name}.{k}"] for name in moments for k in range(n)]

    return run


def _adagrad(parameters, rate, steps, how):
    return optim.Adagrad(
        parameters,
        rate,
        lr_decay=how["decay_factor"],
        eps=how["epsilon"],
        weight_decay=how["norm_coefficient"],
    )


def _adam(parameters, rate, steps, how):
    """At step 0 theirs corrects no bias; here rate and eps undo what ours corrects."""
    assert steps == 0
    root, beta1, beta2 = np.sqrt(1 - how["beta"]), how["alpha"], how["beta"]
    return optim.Adam(
        parameters,
        rate * (1 - beta1) / root,
        betas=(beta1, beta2),
        eps=how["epsilon"] / root,
        weight_decay=how["norm_coefficient"],
    )


def _momentum(parameters, rate, steps, how):
    """At step 0 theirs has no dampening, and ours never has."""
    assert steps == 0 or how["beta"] == 1
    nesterov = how["mode"] == b"nesterov"
    return optim.SGD(
        parameters, rate, momentum=how["alpha"], nesterov=nesterov, weight_decay=how["norm_coefficient"]
    )


# ---- the operators -------------------------------------------------------------------------------------------------

OURS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool(ops.global_avg_pool2d),
    "GlobalMaxPool": global_pool(ops.global_max_pool2d),
    "Upsample": upsample,
    "Col2Im": col2im,
    "BatchNormalization": batch_norm,
    "Relu": elementwise(ops.relu),
    "LeakyRelu": elementwise(ops.leaky_relu, negative_slope="alpha"),
    "Sigmoid": elementwise(ops.sigmoid),
    "HardSwish": elementwise(ops.hard_swish),
    "Softmax": softmax(ops.softmax),
    "LogSoftmax": softmax(ops.log_softmax),
    "Gemm": gemm,
    "MatMul": matmul,
    "Dropout": dropout,
    "NegativeLogLikelihoodLoss": likelihood,
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "Adagrad": optimiser(_adagrad, "sum"),
    "Adam": optimiser(_adam, "m", "v"),
    "Momentum": optimiser(_momentum, "velocity"),
}
"""How an operator of ONNX is called here: (arrays, attributes, context) -> its results, once for each way to say it."""

GLUE = {
    "Add": lambda arrays, how: [arrays[0] + arrays[1]],
    "Mul": lambda arrays, how: [arrays[0] * arrays[1]],
    "Neg": lambda arrays, how: [-arrays[0]],
    "Tanh": lambda arrays, how: [np.tanh(arrays[0])],
    "Constant": lambda arrays, how: [how["value"]],
    "Transpose": lambda arrays, how: [arrays[0].transpose(how["perm"])],
    "Split": lambda arrays, how: np.split(arrays[0], 2, how["axis"]),
    "Unsqueeze": lambda arrays, how: [np.expand_dims(arrays[0], tuple(how["axes"]))],
    "Squeeze": lambda arrays, how: [np.squeeze(arrays[0], tuple(how["axes"]))],
}

"""ONNX Runtime's side, for inference: the network's graph is written here, layer by layer, with our weights.

It folds batch norm into the convolutions by itself when it loads the graph, and picks its own memory layout.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npdsconv import layers
from npdsconv.bench import workloads
from npdsconv.bench.workloads import Workload
from npdsconv.shapes import Array

__all__ = ["build", "export", "start"]

_threads = 1


def start(threads: int) -> dict[str, str]:
    """Remember the threads, which a session is told when it is made; the versions that matter."""
    global _threads
    import onnxruntime

    _threads = threads
    return {"onnxruntime": onnxruntime.__version__}


def build(workload: Workload, variant: str) -> Callable[[], Any]:
    """A function without arguments that does the workload once; only inference."""
    import onnxruntime

    if workload.kind != "inference":
        raise ValueError(f"onnxruntime: it does inference, not {workload.kind}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = _threads, 1
    model = export(workloads.network(workload.settings["network"]), workload.settings["shape"])
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x = workloads.batch_of_images(workload.settings)[0]
    return lambda: session.run(None, {"x": x})[0]


# One node: operator, its weights besides the running tensor, its attributes.
Node = tuple[str, list[Array], dict[str, Any]]


def export(model: layers.Layer, shape: tuple[int, int, int] | list[int]) -> bytes:
    """The network as an ONNX file.

    Parameters
    ----------
    model : chain of layers
    shape : (C, H, W) of one image
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, weights, last = [], [], "x"
    for k, (operator, arrays, attributes) in enumerate(_nodes(model)):
        names = [f"{k}.{j}" for j in range(len(arrays))]
        weights += [numpy_helper.from_array(a, name) for a, name in zip(arrays, names, strict=True)]
        nodes.append(helper.make_node(operator, [last, *names], [f"y{k}"], **attributes))
        last = f"y{k}"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])
    y = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["N", None])
    graph = helper.make_graph(nodes, "npdsconv", [x], [y], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(made)
    return made.SerializeToString()


def _nodes(layer: layers.Layer) -> Iterator[Node]:
    match layer:
        case layers.Sequential() | layers.DepthwiseSeparableConv2d():
            for _, child in layer.children():
                yield from _nodes(child)
        case layers.Conv2d():
            yield "Conv", _weights(layer, layer.weight.value.shape), _window(layer, layer.groups)
        case layers.DepthwiseConv2d():
            c, m, kh, kw = layer.weight.value.shape
            yield "Conv", _weights(layer, (c * m, 1, kh, kw)), _window(layer, c)
        case layers.PointwiseConv2d():
            yield "Conv", _weights(layer, (*layer.weight.value.shape, 1, 1)), {}
        case layers.Linear():
            yield "Gemm", _weights(layer, layer.weight.value.shape), {"transB": 1}
        case layers.BatchNorm2d():
            arrays = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
            yield "BatchNormalization", [a.value for a in arrays], {"epsilon": layer.eps}
        case layers.ReLU():
            yield "Relu", [], {}
        case layers.ReLU6():
            yield "Clip", [np.float32(0), np.float32(6)], {}  # type: ignore[list-item]
        case layers.GlobalAvgPool2d():
            yield "GlobalAveragePool", [], {}
        case layers.Flatten():
            yield "Flatten", [], {}
        case _:
            raise TypeError(f"export: there is no ONNX form of a {type(layer).__name__} here")


def _weights(
    layer: layers.Conv2d | layers.DepthwiseConv2d | layers.PointwiseConv2d | layers.Linear,
    shape: tuple[int, ...],
) -> list[Array]:
    bias = [] if layer.bias is None else [layer.bias.value]
    return [layer.weight.value.reshape(shape), *bias]


def _window(layer: layers.Conv2d | layers.DepthwiseConv2d, groups: int) -> dict[str, Any]:
    if isinstance(layer.padding, str):
        raise TypeError("export: padding 'same' has no ONNX form here: use numbers")
    (top, bottom), (left, right) = layer.padding
    return {
        "strides": list(layer.stride),
        "dilations": list(layer.dilation),
        "pads": [top, left, bottom, right],
        "group": groups,
    }

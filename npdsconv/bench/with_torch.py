"""PyTorch's side, written as its users write it: eager, channels_last or not, threads as told.

The networks are twins of ours: the same layers in the same order, with the same weights. PyTorch is imported here
and only in the process that was started for it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from npdsconv import layers
from npdsconv.bench import own, workloads
from npdsconv.bench.workloads import Workload
from npdsconv.shapes import Array

__all__ = ["build", "start", "twin"]


def start(threads: int) -> dict[str, str]:
    """Set the threads; the versions that matter."""
    import torch

    torch.set_num_threads(threads)
    return {"torch": torch.__version__}


def build(workload: Workload, variant: str) -> Callable[[], Any]:
    """A function without arguments that does the workload once.

    `variant` is "nchw" or "channels_last", for inference also with " folded" after it.
    """
    import torch

    formats = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
    memory, fold = formats[variant.removesuffix(" folded")], variant.endswith(" folded")
    if workload.kind == "inference":
        return _inference(workload.settings, memory, fold)
    return {"op": _op, "train": _train, "epoch": _epoch}[workload.kind](workload.settings, memory)


def _tensor(x: Array, memory: Any) -> Any:
    import torch

    t = torch.from_numpy(x)
    return t.contiguous(memory_format=memory) if x.ndim == 4 else t.contiguous()


# ---- ops ------------------------------------------------------------------------------------------------------


def _op(settings: dict[str, Any], memory: Any) -> Callable[[], Any]:
    import torch

    a = {name: _tensor(x, memory) for name, x in workloads.arrays(settings).items()}
    if settings["op"] == "block":
        return _block(settings, a["x"], a["dy"], memory)
    if settings["op"] in ("depthwise", "standard", "pointwise"):
        forward, backward = _convolution(settings, a["w"], memory)
    else:
        forward, backward = _other(settings, a["w"])
    part, x, dy = settings["part"], a["x"], a["dy"]
    calls = {
        "forward": lambda: forward(x),
        "dx": lambda: backward(dy, x, (True, False)),
        "dw": lambda: backward(dy, x, (False, True)),
        "both": lambda: (forward(x), *backward(dy, x, (True, True))),
    }
    return torch.no_grad()(calls[part])


def _convolution(
    settings: dict[str, Any], w: Any, memory: Any
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The calls that autograd makes, without autograd's own cost."""
    import torch

    _, c, _, _ = settings["shape"]
    k, o, groups = settings["kernel"], settings["outputs"], 1
    if settings["op"] == "depthwise":
        w, groups = w.reshape(o, 1, k, k), c
    elif settings["op"] == "pointwise":
        w = w.reshape(o, c, 1, 1)
    w = w.contiguous(memory_format=memory)
    stride = [settings["stride"]] * 2
    padding = [0 if settings["op"] == "pointwise" else settings["padding"]] * 2
    aten = torch.ops.aten.convolution_backward.default
    return (
        lambda x: torch.conv2d(x, w, None, stride, padding, (1, 1), groups),
        lambda dy, x, needs: aten(
            dy, x, w, None, stride, padding, [1, 1], False, [0, 0], groups, [*needs, False]
        )[:2],
    )


def _other(settings: dict[str, Any], w: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    import torch

    aten, name = torch.ops.aten, settings["op"]
    size, none = [settings["kernel"]] * 2, [0, 0]
    stride = [settings["stride"]] * 2
    kept: list[Any] = []

    def batch_norm(x: Any) -> Any:
        y, *kept[:] = torch.native_batch_norm(x, w, w, None, None, True, 0.1, 1e-5)
        return y

    def max_pool(x: Any) -> Any:
        y, *kept[:] = aten.max_pool2d_with_indices.default(x, size, stride)
        return y

    def relu(x: Any) -> Any:
        kept[:] = [torch.relu(x)]
        return kept[0]

    pairs: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "batch_norm": (
            batch_norm,
            lambda dy, x, _: aten.native_batch_norm_backward.default(
                dy, x, w, None, None, *kept, True, 1e-5, [True, True, True]
            ),
        ),
        "max_pool": (
            max_pool,
            lambda dy, x, _: (
                aten.max_pool2d_with_indices_backward.default(
                    dy, x, size, stride, none, [1, 1], False, kept[0]
                ),
            ),
        ),
        "avg_pool": (
            lambda x: torch.nn.functional.avg_pool2d(x, size, stride),
            lambda dy, x, _: (
                aten.avg_pool2d_backward.default(dy, x, size, stride, none, False, True, None),
            ),
        ),
        "global_avg_pool": (
            lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 1),
            lambda dy, x, _: ((dy / (x.shape[2] * x.shape[3])).expand_as(x).clone(),),
        ),
        "relu": (relu, lambda dy, x, _: (aten.threshold_backward.default(dy, kept[0], 0),)),
    }
    return pairs[name]


def _block(settings: dict[str, Any], x: Any, dy: Any, memory: Any) -> Callable[[], Any]:
    block = twin(own.separable_block(settings)).to(memory_format=memory).train()
    x.requires_grad_()

    def call() -> Any:
        x.grad = None
        block.zero_grad()
        block(x).backward(dy)
        return x.grad

    return call


# ---- whole networks -------------------------------------------------------------------------------------------


def twin(layer: layers.Layer) -> Any:
    """The PyTorch module with the same layers and weights."""
    import torch
    from torch import nn

    children = [twin(child) for _, child in layer.children()]
    if isinstance(layer, layers.Sequential | layers.DepthwiseSeparableConv2d):
        return nn.Sequential(*children)
    module = _module(layer)
    with torch.no_grad():
        for name, value in layer.state_dict().items():
            target = getattr(module, name)
            target.copy_(torch.from_numpy(value).reshape(target.shape))
    return module


def _module(layer: layers.Layer) -> Any:
    from torch import nn

    match layer:
        case layers.Conv2d():
            o, c = layer.weight.value.shape[:2]
            return nn.Conv2d(c * layer.groups, o, layer.kernel_size, groups=layer.groups, **_window(layer))
        case layers.DepthwiseConv2d():
            c, m = layer.weight.value.shape[:2]
            return nn.Conv2d(c, c * m, layer.kernel_size, groups=c, **_window(layer))
        case layers.PointwiseConv2d():
            o, c = layer.weight.value.shape
            return nn.Conv2d(c, o, 1, bias=layer.bias is not None)
        case layers.Linear():
            o, c = layer.weight.value.shape
            return nn.Linear(c, o, bias=layer.bias is not None)
        case layers.BatchNorm2d():
            return nn.BatchNorm2d(len(layer.weight.value), eps=layer.eps, momentum=layer.momentum)
        case layers.ReLU():
            return nn.ReLU(inplace=True)
        case layers.ReLU6():
            return nn.ReLU6(inplace=True)
        case layers.GlobalAvgPool2d():
            return nn.AdaptiveAvgPool2d(1)
        case layers.Flatten():
            return nn.Flatten()
    raise TypeError(f"twin: there is no PyTorch twin of a {type(layer).__name__}")


def _window(layer: layers.Conv2d | layers.DepthwiseConv2d) -> dict[str, Any]:
    if isinstance(layer.padding, str) or any(before != after for before, after in layer.padding):
        raise TypeError(f"twin: padding {layer.padding!r} has no PyTorch twin here: both sides must be equal")
    return {
        "stride": layer.stride,
        "dilation": layer.dilation,
        "padding": tuple(before for before, _ in layer.padding),
        "bias": layer.bias is not None,
    }


def _train(settings: dict[str, Any], memory: Any) -> Callable[[], Any]:
    import torch

    step = _step(settings, memory)
    images, numbers = workloads.batch_of_images(settings)
    x, labels = _tensor(images, memory), torch.from_numpy(numbers)
    return lambda: step(x, labels)


def _step(settings: dict[str, Any], memory: Any) -> Callable[[Any, Any], float]:
    import torch

    model = twin(workloads.network(settings["network"])).to(memory_format=memory).train()
    # One fused kernel for all parameters: the fastest of the ways in which PyTorch does Adam on a processor.
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x: Any, labels: Any) -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _epoch(settings: dict[str, Any], memory: Any) -> Callable[[], Any]:
    import torch

    step, batch = _step(settings, memory), settings["batch"]
    images, labels = (torch.from_numpy(a) for a in workloads.epoch_of_images())
    labels = labels.long()

    def epoch() -> None:
        for few in torch.randperm(len(images)).split(batch):
            step((images[few].float() / 255).contiguous(memory_format=memory), labels[few])

    return epoch


def _inference(settings: dict[str, Any], memory: Any, fold: bool) -> Callable[[], Any]:
    import torch

    model = twin(workloads.network(settings["network"])).eval()
    model = (folded(model) if fold else model).to(memory_format=memory)
    x = _tensor(workloads.batch_of_images(settings)[0], memory)
    return torch.inference_mode()(lambda: model(x))


def folded(model: Any) -> Any:
    """The network, in evaluation mode, with each batch norm folded into the convolution before it."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    modules: list[Any] = []
    for module in _flat(model):
        if isinstance(module, nn.BatchNorm2d) and isinstance(modules[-1], nn.Conv2d):
            modules[-1] = fuse_conv_bn_eval(modules[-1], module)
        else:
            modules.append(module)
    return nn.Sequential(*modules).eval()


def _flat(module: Any) -> Iterator[Any]:
    from torch import nn

    if isinstance(module, nn.Sequential):
        for child in module:
            yield from _flat(child)
    else:
        yield module

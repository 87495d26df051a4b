"""A layer or a network of ours as a module of PyTorch, with the same weights."""

from npdsconv import layers


def module_of(torch, layer):
    """The module, in float64."""
    nn = torch.nn

    class Twin(nn.Module):
        """A module that computes with those of its children as it is told."""

        def __init__(self, forward, **children):
            super().__init__()
            for name, child in children.items():
                self.add_module(name, child)
            self.run = forward

        def forward(self, x):
            return self.run(self, x)

    def of(layer):
        match layer:
            case layers.Sequential():
                return nn.Sequential(*map(of, layer))
            case layers.DepthwiseSeparableConv2d():
                return nn.Sequential(*map(of, layer.steps()))
            case layers.Residual():
                skip = nn.Identity() if layer.shortcut is None else of(layer.shortcut)
                return Twin(lambda t, x: t.body(x) + t.skip(x), body=of(layer.body), skip=skip)
            case layers.Concat():
                return Twin(
                    lambda t, x: torch.cat([branch(x) for branch in t.branches], 1),
                    branches=nn.ModuleList(map(of, layer.branches)),
                )
            case layers.SqueezeExcite():
                parts = layer.pool, layer.reduce, layer.activation, layer.expand, layer.gate
                return Twin(lambda t, x: x * t.scale(x), scale=nn.Sequential(*map(of, parts)))
            case layers.Upsample2d():
                return nn.Upsample(scale_factor=layer.scale)
            case layers.HardSigmoid():  # PyTorch's own gradient has 1/6 in float32, whatever the dtype
                return Twin(lambda t, x: (x + 3).clamp(0, 6) / 6)
            case layers.Dropout():
                return nn.Identity()  # for evaluation, or a share of 0
        return _with_weights(torch, _plain(nn, layer), layer)

    return of(layer).double()


def _plain(nn, layer):
    """A layer that is one of PyTorch's."""
    match layer:
        case layers.Conv2d():
            o, c = layer.weight.value.shape[:2]
            return nn.Conv2d(c * layer.groups, o, layer.kernel_size, groups=layer.groups, **_window(layer))
        case layers.ConvTranspose2d():
            c, o = layer.weight.value.shape[:2]
            how = {"groups": layer.groups, **_window(layer)}
            return nn.ConvTranspose2d(c, o * layer.groups, layer.kernel_size, **how)
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
        case layers.MaxPool2d():
            how = {"dilation": layer.dilation, "ceil_mode": layer.ceil_mode}
            return nn.MaxPool2d(layer.kernel_size, layer.stride, _equal(layer), **how)
        case layers.AvgPool2d():
            return nn.AvgPool2d(layer.kernel_size, layer.stride, _equal(layer), layer.ceil_mode)
        case layers.LeakyReLU():
            return nn.LeakyReLU(layer.negative_slope)
        case _:
            names = {"GlobalAvgPool2d": "AdaptiveAvgPool2d", "GlobalMaxPool2d": "AdaptiveMaxPool2d"}
            names |= {"HardSwish": "Hardswish"}
            kind = type(layer).__name__
            return getattr(nn, names.get(kind, kind))(*([1] if "Global" in kind else []))


def _with_weights(torch, module, layer):
    with torch.no_grad():
        for name, value in layer.state_dict().items():
            target = getattr(module, name)
            target.data = torch.tensor(value.reshape(target.shape))
    return module


def _window(layer):
    return {
        "stride": layer.stride,
        "dilation": layer.dilation,
        "padding": _equal(layer),
        "bias": layer.bias is not None,
    }


def _equal(layer):
    """Padding as PyTorch has it, the same on both sides."""
    assert all(before == after for before, after in layer.padding)
    return tuple(before for before, _ in layer.padding)

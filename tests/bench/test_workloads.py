"""Workloads: their costs by hand, and that both sides of a comparison compute the same."""

import json

import numpy as np
import pytest

from npdsconv.bench import (
    ops,
    own,
    roofline,
    training,
    with_onnxruntime,
    with_torch,
    workloads,
)
from npdsconv.bench.workloads import NETWORKS, Workload, on_network, op
from npdsconv.layers import BatchNorm2d


def test_names_are_unique_and_sizes_are_what_the_issue_asks_for():
    rows = [*ops.workloads(), *roofline.workloads(), *training.workloads(epoch=True)]
    assert len({w.name for w in ops.workloads()}) == len(ops.workloads())
    assert all(json.loads(json.dumps(w.as_dict())) == w.as_dict() for w in rows)
    large = [w for w in ops.workloads() if w.name.startswith("large")]
    assert large
    assert all(w.bytes > 64e6 for w in large)
    sizes = {n: sum(p.value.size for p in workloads.network(n).parameters()) for n in NETWORKS}
    assert sizes["separable_cnn"] == 36298
    assert sizes["separable_cnn ×0.41"] == 7342


def test_costs_are_counted_by_hand():
    one = op("depthwise", "dx", (2, 6, 8, 10), stride=2)
    assert (one.flops, one.bytes) == (2 * 2 * 6 * 4 * 5 * 9, 4 * (2 * 6 * 80 + 2 * 6 * 20))
    two = op("separable", "both", (2, 6, 8, 10), outputs=4, kernel=5)
    assert two.flops == 3 * 2 * (2 * 80 * 6 * (25 + 4))
    three = op("max_pool", "both", (2, 6, 8, 10), kernel=2, stride=2)
    assert (three.flops, three.bytes) == (None, 4 * (2 * (960 + 240) + 960))


SMALL_OPS = [
    *(op("depthwise", part, (2, 4, 7, 6), stride=2, kernel=5) for part in workloads.PARTS),
    *(op("standard", part, (2, 4, 7, 6), outputs=3) for part in workloads.PARTS),
    *(op("pointwise", part, (2, 4, 7, 6), outputs=3, kernel=1) for part in workloads.PARTS),
    *(op(name, "both", (2, 4, 7, 6), kernel=1) for name in ("batch_norm", "relu", "global_avg_pool")),
    *(op(name, "both", (2, 4, 6, 8), kernel=2, stride=2) for name in ("max_pool", "avg_pool")),
    op("block", "both", (2, 4, 7, 6), outputs=3),
]


@pytest.mark.parametrize("variant", ["nchw", "channels_last"])
@pytest.mark.parametrize("workload", SMALL_OPS, ids=lambda w: w.name)
def test_both_sides_compute_the_same(torch, workload, variant):
    mine, theirs = own.build(workload, "im2col")(), with_torch.build(workload, variant)()
    mine = [a for a in (mine if isinstance(mine, tuple) else (mine,)) if a is not None]
    theirs = [a for a in (theirs if isinstance(theirs, tuple) else (theirs,)) if a is not None]
    assert len(mine) == len(theirs) >= 1
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b.numpy().reshape(a.shape), rtol=1e-4, atol=2e-5)


def small_network(monkeypatch, name):
    """The network, with fewer and smaller images."""
    function, settings, (c, _, _), _ = NETWORKS[name]
    monkeypatch.setitem(NETWORKS, name, (function, settings, (c, 32, 32), 3))
    return workloads.network(name)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_twins_have_the_same_layers_and_weights(torch, monkeypatch, name):
    model = small_network(monkeypatch, name)
    rng = np.random.default_rng(5)
    for key, buffer in model.named_buffers():
        buffer.value += rng.random(buffer.value.shape, np.float32) * (1 if key.endswith("var") else 0.1)
    own.set_impl(model, "im2col")
    twin = with_torch.twin(model)
    assert sum(p.numel() for p in twin.parameters()) == sum(p.value.size for p in model.parameters())
    x = rng.random((2, *NETWORKS[name][2]), np.float32)
    twin.eval()
    with torch.no_grad():
        expected, folded = (
            twin(torch.from_numpy(x)).numpy(),
            with_torch.folded(twin)(torch.from_numpy(x)).numpy(),
        )
    np.testing.assert_allclose(model(x), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(folded, expected, rtol=1e-3, atol=1e-4)


def test_the_training_steps_lose_the_same(torch, monkeypatch):
    small_network(monkeypatch, "separable_cnn ×0.41")
    workload = on_network("separable_cnn ×0.41", "train")
    mine, theirs = own.build(workload, "im2col"), with_torch.build(workload, "channels_last")
    losses = np.array([(mine(), theirs()) for _ in range(3)])
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=2e-3)
    assert losses[2, 0] < losses[0, 0]


def test_a_layer_without_a_twin_is_told(torch):
    from npdsconv.layers import Conv2d, Dropout

    with pytest.raises(TypeError, match="no PyTorch twin of a Dropout"):
        with_torch.twin(Dropout(0.5))
    with pytest.raises(TypeError, match="padding 'same' has no PyTorch twin"):
        with_torch.twin(Conv2d(2, 3, 3, padding="same"))
    with pytest.raises(TypeError, match="no ONNX form of a Dropout"):
        with_onnxruntime.export(Dropout(0.5), (1, 2, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_onnx_graph_computes_the_same(monkeypatch, name):
    reference = pytest.importorskip("onnx.reference")
    model = small_network(monkeypatch, name)
    own.set_impl(model, "im2col")
    x = np.random.default_rng(0).random((2, *NETWORKS[name][2]), np.float32)
    from onnx import load_from_string

    graph = load_from_string(with_onnxruntime.export(model, NETWORKS[name][2]))
    (y,) = reference.ReferenceEvaluator(graph).run(None, {"x": x})
    np.testing.assert_allclose(model(x), y, rtol=1e-3, atol=1e-4)


def test_a_workload_of_another_kind_is_refused():
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match="it does inference, not train"):
        with_onnxruntime.build(Workload("a", "train", {}), "folded")


def test_inference_is_that_of_the_folded_network(monkeypatch):
    small_network(monkeypatch, "separable_cnn ×0.41")
    model = own.set_impl(workloads.network("separable_cnn ×0.41"), "im2col")
    rng = np.random.default_rng(5)
    for _, buffer in model.named_buffers():
        buffer.value += rng.random(buffer.value.shape, np.float32)
    monkeypatch.setattr(workloads, "network", lambda name: model)
    seen = []
    real = own.models.fold_batch_norm
    monkeypatch.setattr(own.models, "fold_batch_norm", lambda m: seen.append(real(m)) or seen[-1])
    workload = on_network("separable_cnn ×0.41", "inference", batch=3)
    y = own.build(workload, "im2col")()
    x, _ = workloads.batch_of_images(workload.settings)
    np.testing.assert_allclose(y, model(x), rtol=1e-3, atol=1e-4)
    assert not any(isinstance(layer, BatchNorm2d) for layer in seen[0].modules())


def test_a_step_of_any_network_can_be_asked_for():
    settings = {"model": "small_cnn", "options": {"in_channels": 2, "classes": 3, "size": 8}}
    settings |= {"batch": 30, "shape": [2, 8, 8]}
    step = own.build(Workload("any", "train", settings), "im2col")
    assert step() > step() > step() > 0  # a label beyond the three classes would be refused

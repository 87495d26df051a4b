"""Losses between arrays, of triplets, and of a teacher: against PyTorch and by hand, at the ends, and what is refused.

That their gradients are right, and what all ops promise, is tested with the catalogue.
"""

import numpy as np
import pytest

from npdsconv import ops


def arrays(*shape, seed=0, count=2):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for _ in range(count)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "bce_with_logits_loss"])
def test_pytorch_finds_the_same(torch, name, reduction):
    y, target = arrays(4, 3, 5)
    if name.startswith("bce"):
        target = (target > 0).astype(float)
    theirs = getattr(
        torch.nn.functional, name.replace("bce_with_logits_loss", "binary_cross_entropy_with_logits")
    )
    tensor = torch.tensor(y, requires_grad=True)
    expected = theirs(tensor, torch.tensor(target), reduction=reduction)
    (0.7 * expected).backward()
    np.testing.assert_allclose(
        getattr(ops, name)(y, target, reduction=reduction), expected.item(), rtol=1e-12
    )
    found = getattr(ops, f"{name}_backward")(y, target, dy=0.7, reduction=reduction)
    np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_pytorch_finds_the_same_of_a_teacher(torch):
    logits, teacher = arrays(6, 5)
    t = 3.0
    tensor = torch.tensor(logits, requires_grad=True)
    log_p, q = torch.log_softmax(tensor / t, 1), torch.softmax(torch.tensor(teacher) / t, 1)
    expected = t**2 * torch.nn.functional.kl_div(log_p, q, reduction="batchmean")
    expected.backward()
    np.testing.assert_allclose(
        ops.distillation_loss(logits, teacher, temperature=t), expected.item(), rtol=1e-12
    )
    found = ops.distillation_loss_backward(logits, teacher, temperature=t)
    np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-10, atol=1e-15)


def test_logits_of_any_size_overflow_nowhere():
    logits = np.array([1e4, -1e4, 1e4, -1e4, 0.0])
    target = np.array([1.0, 0, 0, 1, 0.5])
    with np.errstate(all="raise", under="ignore"):
        loss = ops.bce_with_logits_loss(logits, target, reduction="sum")
        gradient = ops.bce_with_logits_loss_backward(logits, target, reduction="sum")
    np.testing.assert_allclose(loss, 2e4 + np.log(2), rtol=1e-12)
    np.testing.assert_allclose(gradient, [0, 0, 1, -1, 0], atol=1e-12)


def test_masks_that_overlap_by_half():
    p, t = np.array([[[1.0, 1], [0, 0]], [[1, 0], [1, 0]]]), np.array([[[1.0, 0], [1, 0]], [[1, 0], [1, 0]]])
    np.testing.assert_allclose(ops.dice_loss(p, t, smooth=1e-9), (0.5 + 0) / 2, atol=1e-9)
    nothing = np.zeros((2, 3, 3))
    assert ops.dice_loss(nothing, nothing) == 0


def test_a_triplet_counts_until_it_has_its_margin():
    a, p, n = np.array([[0.0, 0], [0, 0]]), np.array([[1.0, 0], [1, 0]]), np.array([[3.0, 0], [0, 1]])
    np.testing.assert_allclose(ops.triplet_loss(a, p, n, margin=0.5), (0 + 0.5) / 2)
    da, dp, dn = ops.triplet_loss_backward(a, p, n, margin=0.5)
    np.testing.assert_allclose(da, [[0, 0], [-1, 1]])
    np.testing.assert_allclose(dp, [[0, 0], [1, 0]])
    np.testing.assert_allclose(dn, [[0, 0], [0, -1]])


Y = np.zeros((3, 4))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: ops.mse_loss(Y, Y[:, :2]),
            ValueError,
            r"mse_loss: target has shape \(3, 2\), expected \(3, 4\)",
        ),
        (lambda: ops.l1_loss(Y, Y.astype(int)), TypeError, "l1_loss: target has dtype int64"),
        (
            lambda: ops.mse_loss(Y, Y, reduction="none"),
            ValueError,
            "mse_loss: reduction must be one of mean, sum",
        ),
        (
            lambda: ops.dice_loss(Y, Y, smooth=0),
            ValueError,
            "dice_loss: smooth must be above 0 and finite, got 0",
        ),
        (lambda: ops.triplet_loss(Y, Y, Y[:2]), ValueError, r"triplet_loss: negative has shape \(2, 4\)"),
        (lambda: ops.triplet_loss(Y, Y, Y, margin=-1), ValueError, "triplet_loss: margin must be above 0"),
        (
            lambda: ops.distillation_loss(Y, Y, temperature=0),
            ValueError,
            "distillation_loss: temperature must be above",
        ),
        (lambda: ops.distillation_loss(Y[0], Y[0]), ValueError, "distillation_loss: logits"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, said):
    with pytest.raises(error, match=f"^{said}"):
        call()

# %% [markdown]
# # 11. Activations, initialisation, normalisation
#
# A deep network multiplies its signal by something in every layer. If that something is a little off, ten
# layers later nothing is left. Three parts keep the size right: the activation, the first weights, and batch
# norm. You will measure how each of them does it, watch a wrong *fan* kill a separable network, and see batch
# norm bring it back to life.
#
# At the end you can choose initial weights for a depthwise layer, and say what batch norm does to an input, to
# a gradient, and to a mistake. You need notebooks 1 and 5, and variances.
#
# | symbol | meaning |
# |---|---|
# | RMS | root mean square of an array: $\sqrt{\mathrm{mean}(x^2)}$, the *size of the signal* |
# | fan-in | how many products are added up in one output number |
# | $\mu_c$, $\sigma_c$ | mean and standard deviation of channel $c$ over all images and pixels of a batch |
# | $\hat x$ | $(x - \mu)/\sigma$, the normalised input |

# %%
# %matplotlib inline
import inspect

import matplotlib.pyplot as plt
import numpy as np

from npdsconv import (
    batch_norm2d,
    batch_norm2d_backward,
    depthwise_conv2d,
    exercise,
    init,
    pointwise_conv2d,
    relu,
    relu6,
    relu6_backward,
    relu_backward,
)
from npdsconv.gradcheck import check
from npdsconv.layers import (
    BatchNorm2d,
    DepthwiseConv2d,
    Layer,
    PointwiseConv2d,
    ReLU,
    Sequential,
    pullback,
    set_impl,
)
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW

rng = np.random.default_rng(11)


def rms(x):
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


# %% [markdown]
# ## ReLU and ReLU6
#
# $\mathrm{ReLU}(x) = \max(x, 0)$, and ReLU6 also cuts at 6: $\min(\max(x, 0), 6)$. Without such a bend between
# them, depthwise and pointwise would melt into one linear map, as notebook 1 showed. Their derivatives are 1
# where the input passes and 0 where it is cut.
#
# ReLU6 exists for phones. A number that is known to lie in $[0, 6]$ fits into 8 bits in steps of $6/255$.
#
# One fact is needed below. If $x$ is symmetric about zero, ReLU throws away half of the square:
# $\mathrm{mean}(\mathrm{ReLU}(x)^2) = \frac12\,\mathrm{mean}(x^2)$. Half of the gradient's square goes too.

# %%
x = rng.standard_normal(400_000) * 2
dy = rng.standard_normal(x.shape)
kept = np.mean(relu(x, impl="numpy") ** 2) / np.mean(x**2)
kept_back = np.mean(relu_backward(dy, x, impl="numpy") ** 2) / np.mean(dy**2)
print(f"ReLU keeps {kept:.3f} of the square forward, {kept_back:.3f} backward")
assert abs(kept - 1 / 2) < 0.01
assert abs(kept_back - 1 / 2) < 0.01

line = np.linspace(-4, 9, 400)
one = np.ones_like(line)
fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
functions = {"ReLU": (relu, relu_backward), "ReLU6": (relu6, relu6_backward)}
for ax, (name, (f, f_backward)) in zip(axes, functions.items(), strict=True):
    ax.plot(line, f(line, impl="numpy"), color=OUTPUT, label=f"{name}(x)")
    ax.plot(line, f_backward(one, line, impl="numpy"), "--", color=INPUT, label="its derivative")
    ax.set_xlabel("x")
    ax.legend(frameon=False)
assert relu6(line, impl="numpy").max() == 6
plt.show()

# %% [markdown]
# ## How a layer changes the size of a signal
#
# An output of a convolution is a sum of products, $y = \sum_k w_k x_k$, with fan-in many terms. Let the weights
# be independent, with mean 0 and variance $v$. In the mean over the weights all mixed terms vanish:
#
# $$\mathrm{mean}(y^2) = \text{fan-in}\cdot v \cdot \mathrm{mean}(x^2).$$
#
# How many terms are in the sum? A depthwise filter sees its own channel alone: $K_H K_W$. A pointwise output
# sees all channels at one pixel: $C$. Measure the factor with $v = 1$, and you *see* the fan-in:

# %%
C, K = 64, 3
x = rng.standard_normal((1, C, 12, 12))
squares = {"depthwise": [], "pointwise": []}
for _ in range(60):
    w_depth, w_point = rng.standard_normal((C, 1, K, K)), rng.standard_normal((C, C))
    squares["depthwise"].append(np.mean(depthwise_conv2d(x, w_depth, impl="im2col") ** 2))
    squares["pointwise"].append(np.mean(pointwise_conv2d(x, w_point, impl="im2col") ** 2))
shapes = {"depthwise": (C, 1, K, K), "pointwise": (C, C)}
for kind, found in squares.items():
    factor, (fan_in, fan_out) = np.mean(found) / np.mean(x**2), init.fans(kind, shapes[kind])
    print(f"{kind}: mean(y²) = {factor:5.2f} · mean(x²);  fan-in {fan_in}, fan-out {fan_out}")
    assert abs(factor / fan_in - 1) < 0.05

# %% [markdown]
# To keep the size, choose $v$ so that the factor is 1:
#
# * $v = 1/\text{fan-in}$ where no activation follows (LeCun);
# * $v = 2/\text{fan-in}$ before a ReLU, which halves the square (He);
# * $v = 2/(\text{fan-in} + \text{fan-out})$ (Xavier). **Fan-out** is the fan-in of the *backward* pass: in how
#   many outputs one input takes part. Xavier is a compromise, and it knows of no ReLU.
#
# The library writes the fans of each kind of layer down:

# %%
print(inspect.getsource(init.fans))
print(inspect.getsource(init.he_normal))

drawn = init.he_normal((C, 1, K, K), init.fans("depthwise", (C, 1, K, K))[0], rng)
print(f"variance of {drawn.size} depthwise weights: {drawn.var():.3f}, wanted 2/9 = {2 / 9:.3f}")
assert abs(drawn.var() / (2 / 9) - 1) < 0.25

# %% [markdown]
# ## Two frameworks, two wrong fans
#
# Frameworks read the fans off the *shape* of the weights, by a rule made for standard convolutions:
#
# * PyTorch: shape $(O, C/\text{groups}, K, K)$; fan-in is axis 1 times $K^2$, fan-out is axis 0 times $K^2$. A
#   depthwise layer has the shape $(C, 1, K, K)$. Fan-in comes out right; fan-out does not.
# * Keras: shape $(K, K, C, O)$; fan-in is the last axis but one times $K^2$, fan-out is the last one times $K^2$.
#   Its depthwise layer has the shape $(K, K, C, M)$. Now fan-in is wrong.
#
# Here $C = 64$, $K = 3$, $M = 1$.


# %%
def pytorch_fans(shape):
    return shape[1] * K * K, shape[0] * K * K


def keras_fans(shape):
    return shape[-2] * K * K, shape[-1] * K * K


right = init.fans("depthwise", (C, 1, K, K))
torch_says, keras_says = pytorch_fans((C, 1, K, K)), keras_fans((K, K, C, 1))
print(f"depthwise fans (in, out): right {right}, PyTorch's rule {torch_says}, Keras' rule {keras_says}")
assert torch_says[0] == right[0]
assert keras_says[0] == C * right[0]  # C times too many products
assert sum(torch_says) == sum(keras_says) > 30 * sum(right)

# %% [markdown]
# For He weights, only Keras' rule is harmful: the variance is $C$ times too small. For Xavier weights both
# rules do the same damage, since they have the same sum.
#
# ## Ten blocks
#
# Ten times depthwise, ReLU, pointwise, ReLU; 64 channels; a unit input. So that no zeros leak in at the
# borders, the picture is padded by itself, as if it were a tile: a layer of a dozen lines, and a good
# example of how a layer is written. Its backward adds what lies on the border back to the pixels it was copied from.


# %%
class Wrap(Layer):
    """Surround images by one pixel of their own other side."""

    def forward(self, x, *, train):
        @pullback
        def backward(dy):
            for axis in (2, 3):
                dy = np.moveaxis(dy, axis, 0)
                inner = dy[1:-1].copy()
                inner[0] += dy[-1]
                inner[-1] += dy[0]
                dy = np.moveaxis(inner, 0, axis)
            return dy

        return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="wrap"), backward


assert check(Wrap(), rng.standard_normal((2, 3, 4, 5))).ok


def ten_blocks(v_depth, v_point, *, seed, activation=True, norm=False, blocks=10):
    """The layers, with weights of the given variances; equal seeds draw equal weights up to their size."""
    draw, layers = np.random.default_rng(seed), []
    for _ in range(blocks):
        pair = DepthwiseConv2d(C, K, bias=False, rng=draw), PointwiseConv2d(C, C, bias=False, rng=draw)
        for layer, v in zip(pair, (v_depth, v_point), strict=True):
            layer.weight.value[...] = draw.standard_normal(layer.weight.value.shape) * np.sqrt(v)
            layers += [Wrap()] if layer is pair[0] else []
            layers += [layer, *([BatchNorm2d(C)] if norm else []), *([ReLU()] if activation else [])]
    return set_impl(Sequential(*layers), "im2col")


def sizes(model, x, dy):
    """RMS of the signal after each block, and of the gradient that arrives at each block."""
    block, forward, backward, backs = len(model) // 10, [rms(x)], [rms(dy)], []
    for k, layer in enumerate(model, 1):
        x, back = layer.forward(x, train=True)
        backs.append(back)
        forward += [rms(x)] if k % block == 0 else []
    for k, back in enumerate(reversed(backs), 1):
        dy = back(dy)
        backward += [rms(dy)] if k % block == 0 else []
    return forward, backward[::-1]


# %% [markdown]
# Predict before you measure. Each of the 20 layers changes the RMS by $\sqrt{\text{fan-in}\cdot v/2}$ with a
# ReLU, and by $\sqrt{\text{fan-in}\cdot v}$ without. He with Keras' fan-in gives $\sqrt{1/64} = 1/8$ in each
# block. $8^{-10}$ is about $10^{-9}$.
#
# Random weights scatter about the prediction, so take the median of ten draws.

# %%
in_depth, in_point = init.fans("depthwise", (C, 1, K, K))[0], init.fans("pointwise", (C, C))[0]
xavier_point = 2 / sum(init.fans("pointwise", (C, C)))
schemes = {  # variance of the depthwise weights, of the pointwise weights, ReLU or not
    "He, right fans": (2 / in_depth, 2 / in_point, True),
    "He, Keras' fan-in": (2 / keras_says[0], 2 / in_point, True),
    "Xavier, right fans": (2 / sum(right), xavier_point, True),
    "Xavier, PyTorch's fans": (2 / sum(torch_says), xavier_point, True),
    "Xavier, Keras' fans": (2 / sum(keras_says), xavier_point, True),
    "LeCun, no ReLU": (1 / in_depth, 1 / in_point, False),
}
measured = {}
print(f"{'RMS after ten blocks':24} predicted    measured")
for name, (v_depth, v_point, activation) in schemes.items():
    runs = []
    for seed in range(10):
        noise = np.random.default_rng([seed, 1])
        x, dy = noise.standard_normal((2, 2, C, 8, 8), np.float32)
        runs.append(sizes(ten_blocks(v_depth, v_point, seed=seed, activation=activation), x, dy))
    measured[name] = np.array(runs)  # (draw, forward or backward, block)
    per_block = np.sqrt(in_depth * v_depth * in_point * v_point) / (2 if activation else 1)
    found = np.median(measured[name][:, 0, -1])
    print(f"{name:24} {per_block**10:9.1e}    {found:8.1e}")
    assert 0.2 < found / per_block**10 < 2

# %% [markdown]
# The predictions hold over eleven orders of magnitude. (A single draw may be off by a factor of two or three:
# 64 channels are few, and ten blocks multiply their luck. Most draws lie below the prediction, which is about
# the *mean* square: a product of random factors is usually below its mean.)
#
# So a wrong fan of 64 kills the signal: **a factor of 8 in each block is $10^9$ in ten**. Xavier with right
# fans loses a factor of 2 in each block, because it does not know of the ReLU; that is survivable for ten
# blocks, not for fifty.
#
# The gradient shares the fate. On its way back it meets the same weights.

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
colours = dict(zip(schemes, (KERNEL, OUTPUT, INPUT, WINDOW, "0.3", "0.6"), strict=True))
for which, (ax, title) in enumerate(zip(axes, ("signal, forward →", "← gradient, backward"), strict=True)):
    for name, runs in measured.items():
        style = ":" if name == "Xavier, Keras' fans" else "-"
        ax.semilogy(np.median(runs[:, which], axis=0), style, marker=".", color=colours[name], label=name)
    ax.set(title=title, xlabel="after block", ylabel="RMS" if which == 0 else "")
    ax.grid(alpha=0.3)
axes[1].legend(frameon=False, fontsize=8)
plt.show()

for name, runs in measured.items():
    forward, backward = np.median(runs[:, 0, -1]), np.median(runs[:, 1, 0])
    assert 0.3 < forward / backward < 3, (
        name
    )  # fan-in and fan-out are equal here: what dies one way dies the other

# %% [markdown]
# ## What a dead network looks like
#
# Forward, the logits differ by almost nothing, so each image gets the same answer. Backward, there is almost
# no gradient. Deep enough, and float32 runs out of numbers: the output is exactly zero, and so is every
# gradient. No learning rate helps against that.

# %%
x = rng.standard_normal((1, C, 8, 8), np.float32)
v_depth, v_point, _ = schemes["He, Keras' fan-in"]
for blocks in (10, 30, 60):
    deep = ten_blocks(v_depth, v_point, seed=3, blocks=blocks)
    y, backward = deep.forward(x, train=True)
    backward(np.ones_like(y))
    first = deep[1].weight.grad
    print(f"{blocks} blocks: RMS of the output {rms(y):.0e}, of the first layer's gradient {rms(first):.0e}")
assert not y.any()
assert not first.any()

# %% [markdown]
# ## Batch norm
#
# Batch normalisation (Ioffe and Szegedy, 2015) does not hope for the right size. It measures, and corrects.
# Each channel is brought to mean 0 and variance 1 over the batch, then scaled and shifted by two learned
# numbers, $\gamma_c$ (`weight`) and $\beta_c$ (`bias`):
#
# $$\hat x_{n,c,i,j} = \frac{x_{n,c,i,j} - \mu_c}{\sigma_c}, \qquad
#   y_{n,c,i,j} = \gamma_c\,\hat x_{n,c,i,j} + \beta_c, \qquad
#   \sigma_c = \sqrt{\mathrm{var}_c + \varepsilon}$$
#
# The small $\varepsilon$ avoids a division by zero in a channel that is constant.
#
# The fifth source document says that the $1\times1$ convolution of a separable block "normalises" the result
# of the first step. It does not: it is a matrix, and what comes out has any mean and any size. Normalising is
# a step of its own.

# %% tags=["E59"]
x = (rng.gamma(2.0, 3.0, (8, 4, 12, 12)) + np.array([0.0, 5, -20, 100]).reshape(1, 4, 1, 1)).astype(
    np.float32
)
mixed = pointwise_conv2d(x, init.he_normal((4, 4), 4, rng), impl="im2col")
y, mean, var = batch_norm2d(x, np.ones(4, np.float32), np.zeros(4, np.float32), impl="numpy")

columns = {"x": x, "after 1×1": mixed, "after batch norm": y}
for name, array in columns.items():
    means, deviations = array.mean(axis=(0, 2, 3)), array.std(axis=(0, 2, 3))
    print(f"{name:17} means {means.round(2) + 0.0}, standard deviations {deviations.round(2)}")
assert np.abs(mixed.mean(axis=(0, 2, 3))).max() > 1
np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-5)
np.testing.assert_allclose(y.std(axis=(0, 2, 3)), 1, atol=1e-3)

fig, axes = plt.subplots(1, 3, figsize=(10, 2.4), layout="constrained")
for ax, (name, array) in zip(axes, columns.items(), strict=True):
    for c in range(4):
        ax.hist(array[:, c].ravel(), bins=50, histtype="step", label=f"channel {c}")
    ax.set_title(f"{name}  {array.shape}", fontsize=9)
    ax.set_yticks([])
axes[0].legend(frameon=False, fontsize=7)
plt.show()

# %% [markdown]
# Batch norm moves and stretches each channel. It does not change its shape: what was lopsided stays so.
#
# ## Two lives: training and evaluation
#
# In training, $\mu$ and $\sigma$ come from the batch. So an image's output depends on its *companions*. In use
# that will not do: the answer for one image must be a matter of that image.
#
# So the layer keeps **running statistics**, a slow average over the batches it has seen, and evaluation uses
# those. With momentum $m = 0.1$, each batch moves them a tenth of the way:

# %%
print(inspect.getsource(BatchNorm2d._remember))

layer = BatchNorm2d(1, impl="numpy")
source = np.random.default_rng(5)
history = []
for _ in range(60):
    batch = source.normal(4.0, 3.0, (16, 1, 3, 3)).astype(np.float32)
    layer.forward(batch, train=True)
    history.append((batch.mean(), batch.var(), layer.running_mean.value[0], layer.running_var.value[0]))
history = np.array(history)

fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
for k, (ax, truth, name) in enumerate(zip(axes, (4, 9), ("mean", "variance"), strict=True)):
    ax.plot(history[:, k], ".", color=INPUT, label=f"{name} of the batch")
    ax.plot(history[:, k + 2], color=OUTPUT, label=f"running {name}")
    ax.axhline(truth, color="0.5", linewidth=0.8, label="truth")
    ax.set_xlabel("batch")
    ax.legend(frameon=False, fontsize=8)
plt.show()
assert abs(layer.running_mean.value[0] - 4) < 0.5
assert np.isclose(history[0, 2], 0.1 * history[0, 0])  # it starts at 0 and has gone a tenth of the way

# %% [markdown]
# Early on, the running statistics still remember where they started (0 and 1). After $t$ batches that start
# has the share $0.9^t$. So a network evaluated after a handful of steps may look worse than it is.
#
# Companions matter in training and not in evaluation. Nor does evaluation leave traces:

# %%
one, others, strange = (rng.standard_normal((n, 1, 3, 3)).astype(np.float32) for n in (1, 15, 15))
strange = 10 * strange + 50
for train in (True, False):
    before = layer.state_dict()
    usual = layer.forward(np.concatenate([one, others]), train=train)[0][0]
    unusual = layer.forward(np.concatenate([one, strange]), train=train)[0][0]
    moved = any(not np.array_equal(before[name], now) for name, now in layer.state_dict().items())
    print(
        f"train={train!s:5}  same image, other companions: differs by {np.abs(usual - unusual).max():.3f};",
        end=" ",
    )
    print(f"running statistics moved: {moved}")
    assert moved == train
    assert np.array_equal(usual, unusual) == (not train)

# %% [markdown]
# ## A bias before batch norm is useless
#
# A bias shifts a whole channel. Batch norm subtracts the mean, and the shift with it. So the bias changes
# nothing, and its gradient is zero, which is why the library's block leaves it out (`bias=None` means "only
# without batch norm"). Scaling the channel changes nothing either.
#
# Zero here means rounding noise. This is also why a gradient check may not divide by the gradient alone.

# %% tags=["rounding"]
x = rng.standard_normal((5, 3, 4, 4))
ones, zeros = np.ones(3), np.zeros(3)
shift, scale = np.array([7.0, -3, 0.5]), np.array([10.0, 0.3, 2])
plain, *_ = batch_norm2d(x, ones, zeros, impl="numpy", eps=1e-12)
moved, mean, var = batch_norm2d(
    x * scale.reshape(3, 1, 1) + shift.reshape(3, 1, 1), ones, zeros, impl="numpy", eps=1e-12
)
np.testing.assert_allclose(moved, plain, atol=1e-10)

dy = rng.standard_normal(x.shape)
dx, *_ = batch_norm2d_backward(dy, x, ones, *batch_norm2d(x, ones, zeros, impl="numpy")[1:], impl="numpy")
dbias = dx.sum(axis=(0, 2, 3))  # the gradient of a bias that was added to x
print("gradient of a bias before batch norm:", dbias)
print("gradient of the bias inside it:      ", dy.sum(axis=(0, 2, 3)).round(3))
np.testing.assert_allclose(dbias, 0, atol=1e-12)

# %% [markdown]
# ## The gradient of batch norm
#
# Each $x$ reaches the output by three roads: directly, through the mean, and through the variance. With
# $g = \gamma\,dy$ the three add up to
#
# $$dx = \frac1\sigma\Big(g - \underbrace{\mathrm{mean}(g)}_{\text{through }\mu}
#   - \underbrace{\hat x\cdot\mathrm{mean}(g\,\hat x)}_{\text{through }\sigma}\Big).$$
#
# Look at it as geometry. The values of one channel are a vector. $\mathrm{mean}(g)$ is its component along
# $\mathbf 1 = (1, 1, \dots, 1)$, and $\mathrm{mean}(g\,\hat x)$ the one along $\hat x$. Both are taken out.
# That had to be so: moving $x$ along $\mathbf 1$ shifts the channel, moving it along $\hat x$ stretches it, and
# neither changes the output. **What does not change the output has no gradient.**
#
# See the whole Jacobian: pull back one unit vector at a time, for a channel of 12 values.

# %%
x = rng.standard_normal((3, 1, 2, 2))
weight, bias = np.array([1.7]), np.array([0.4])
y, mean, var = batch_norm2d(x, weight, bias, impl="numpy", eps=1e-12)
pulled = [
    batch_norm2d_backward(unit.reshape(x.shape), x, weight, mean, var, impl="numpy", eps=1e-12)[0].ravel()
    for unit in np.eye(x.size)
]
jacobian, sigma = np.array(pulled), np.sqrt(var[0])
xhat = (x.ravel() - mean[0]) / sigma

basis = np.stack([np.ones(12), xhat]) / np.sqrt(12)  # two unit vectors, at right angles
np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-9)
projection = np.eye(12) - basis.T @ basis
np.testing.assert_allclose(jacobian, weight[0] / sigma * projection, atol=1e-9)
stretch = np.linalg.eigvalsh(jacobian)
print("eigenvalues of the Jacobian:", (stretch.round(6) + 0.0).tolist())
print(f"γ/σ = {weight[0] / sigma:.6f}")
assert np.linalg.matrix_rank(jacobian, tol=1e-6) == 12 - 2
assert all(
    check(BatchNorm2d(3, impl="numpy"), rng.random((4, 3, 3, 2)), train=life).ok for life in (True, False)
)

fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
panels = {"Jacobian of batch norm": jacobian, "γ/σ · identity": weight[0] / sigma * np.eye(12)}
panels["what μ and σ take away"] = jacobian - panels["γ/σ · identity"]
for ax, (title, matrix) in zip(axes, panels.items(), strict=True):
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-1.5, vmax=1.5)
    ax.set_title(f"{title}  {matrix.shape}", fontsize=9)
    ax.axis("off")
fig.colorbar(image, ax=axes, shrink=0.8)
plt.show()

# %% [markdown]
# Two eigenvalues are zero, one for each direction that is taken out; the other ten are $\gamma/\sigma$. So
# batch norm is a projection, and nothing else: it divides gradients by the very $\sigma$ by which it divided
# the signal. In evaluation $\mu$ and $\sigma$ are constants, two roads are closed, and $dx = g/\sigma$.
#
# ## Batch norm hides the problem
#
# Put batch norm after every convolution of the ten blocks. A wrong fan scales all weights of a layer by one
# number; batch norm divides by it again. So He weights with right and with wrong fans should give the *same*
# network, and a network with Xavier weights as well.

# %% tags=["rounding"]
with_relu = {name: scheme for name, scheme in schemes.items() if scheme[2]}
x, dy = np.random.default_rng(21).standard_normal((2, 2, C, 8, 8), np.float32)
outputs, first_gradients = {}, {}
for name, (v_depth, v_point, _) in with_relu.items():
    model = ten_blocks(v_depth, v_point, seed=0, norm=True)
    outputs[name], backward = model.forward(x, train=True)
    backward(dy)
    first_gradients[name] = model[1].weight

print(f"{'with batch norm':24} RMS after ten blocks   gradient of the first depthwise weights")
for name, y in outputs.items():
    print(f"{name:24} {rms(y):10.3f} {rms(first_gradients[name].grad):30.4g}")
    assert abs(rms(y) / rms(outputs["He, right fans"]) - 1) < 0.02
bigger = rms(first_gradients["He, Keras' fan-in"].grad) / rms(first_gradients["He, right fans"].grad)
print(
    f"\nthe wrong fan-in makes this gradient {bigger:.2f} times larger; the weights are {np.sqrt(C):g} times smaller"
)
assert abs(bigger / np.sqrt(C) - 1) < 0.05

# %% [markdown]
# What was $10^{-9}$ is as large as all the others. That is why the wrong fans went unnoticed: the networks that
# made separable convolution famous have batch norm everywhere. torchvision's MobileNetV2 draws its depthwise
# weights by PyTorch's fan-*out*, $C$ times too large, and trains all the same.
#
# The mistake is hidden, not gone. Weights 8 times smaller get a gradient 8 times *larger*, so one step of
# plain SGD changes them 64 times more, in proportion to their size. The learning rate is off by $C$ for these
# layers.
#
# And one more consequence. Scaling a filter changes nothing, so the gradient has no component along the
# filter: $\langle w, dw\rangle = 0$. By Pythagoras, plain SGD steps can then only make filters *longer*, and
# longer filters learn more slowly. Weight decay pulls them back.

# %% tags=["rounding"]
filters = first_gradients["He, right fans"]
w, dw = filters.value.reshape(C, -1), filters.grad.reshape(C, -1)
cosines = (w * dw).sum(axis=1) / (np.linalg.norm(w, axis=1) * np.linalg.norm(dw, axis=1))
step = w - 0.1 * dw
print(f"cosine between filter and gradient: at most {np.abs(cosines).max():.0e}")
assert np.abs(cosines).max() < 1e-2  # not exactly zero, because of ε and float32
longer = np.linalg.norm(step, axis=1) > np.linalg.norm(w, axis=1)
print(f"one SGD step makes {longer.mean():.0%} of the filters longer")
assert longer.mean() > 0.9

# %% [markdown]
# ## Exercises
#
# Replace the line that raises. Each cell below an exercise checks your answer.
#
# ### Exercise 1: a leaky ReLU
#
# A leaky ReLU is $x$ for $x > 0$ and $a x$ otherwise. Which variance should weights have before it, so that
# the mean square is kept? *Hint: which share of the square does it keep?*


# %% tags=["exercise"]
def leaky_variance(fan_in, a):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    assert np.isclose(leaky_variance(9, 0.0), 2 / 9), "with a = 0 it is a ReLU"
    draw = np.random.default_rng(1)
    for a in (0.0, 0.1, 0.5, 1.0):
        y = draw.standard_normal((4000, 64)) @ draw.standard_normal((64, 64)) * np.sqrt(leaky_variance(64, a))
        assert abs(rms(np.where(y > 0, y, a * y)) - 1) < 0.05, f"the size is not kept for a = {a}"


# %% [markdown]
# ### Exercise 2: how soon is the start forgotten?
#
# After how many training batches has the start of the running statistics a share of less than `share`? Give
# the smallest such number, for any momentum.


# %% tags=["exercise"]
def batches_until(share, momentum=0.1):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    for share, momentum in ((0.5, 0.1), (0.01, 0.1), (0.001, 0.3), (0.2, 0.05)):
        layer = BatchNorm2d(1, momentum=momentum, impl="numpy")
        layer.running_mean.value[...] = 1  # the start; the batches below have mean 0
        needed = 0
        while layer.running_mean.value[0] >= share:
            layer.forward(np.array([-1.0, 1], np.float32).reshape(2, 1, 1, 1), train=True)
            needed += 1
        assert batches_until(share, momentum) == needed, f"share {share}, momentum {momentum}: {needed}"


# %% [markdown]
# ### Exercise 3: fold batch norm away
#
# In evaluation batch norm is a fixed scale and shift for each channel. A pointwise layer in front of it can
# take both over: return a matrix and a bias so that the pointwise step alone gives what pointwise and batch
# norm gave together. `norm` is a `BatchNorm2d`.


# %% tags=["exercise"]
def fold(w, norm):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    draw = np.random.default_rng(2)
    norm = BatchNorm2d(5, impl="numpy")
    for slot in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        slot.value[...] = draw.uniform(0.5, 2.0, 5)
    x, w = draw.standard_normal((2, 3, 4, 6), np.float32), draw.standard_normal((5, 3), np.float32)
    folded_w, folded_b = fold(w, norm)
    folded = pointwise_conv2d(x, folded_w, folded_b, impl="im2col")
    np.testing.assert_allclose(folded, norm(pointwise_conv2d(x, w, impl="im2col")), rtol=1e-4, atol=1e-5)

# %% [markdown]
# # 11. Activations, initialisation, normalisation
#
# A deep network multiplies its signal by something in every layer. If that something is a little off, ten
# layers later nothing is left. Three parts keep the size right: the activation, the first weights, and batch
# norm. You will measure how each of them does it, watch a wrong *fan* kill a separable network, and see batch
# norm bring it back to life.
#
# At the end you can choose initial weights for a depthwise layer, and say what batch norm does to an input, to
# a gradient, and to a mistake. You need [lesson 1](01_convolution_by_hand.ipynb),
# [lesson 5](05_the_backward_pass.ipynb), and variances.
#
# | symbol | meaning |
# |---|---|
# | RMS | root mean square of an array: $\sqrt{\mathrm{mean}(x^2)}$, the *size of the signal* |
# | fan-in | how many products are added up in one output number |
# | fan-out | in how many output numbers one input number takes part |
# | $\mu_c$, $\sigma_c$ | mean and standard deviation of channel $c$ over all images and pixels of a batch |
# | $\hat x$ | $(x - \mu_c)/\sigma_c$, the normalised input |

# %%
# %matplotlib inline
import inspect

import matplotlib.pyplot as plt
import numpy as np

from npdsconv import (
    batch_norm2d,
    batch_norm2d_backward,
    depthwise_conv2d,
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
from npdsconv.lessons import exercise
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW

rng = np.random.default_rng(11)


def rms(x):
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


# %% [markdown]
# ## ReLU and ReLU6
#
# $\mathrm{ReLU}(x) = \max(x, 0)$, and ReLU6 also cuts at 6: $\min(\max(x, 0), 6)$. Without such a bend between
# them, depthwise and pointwise would melt into one linear map, as lesson 1 showed. Their derivatives are 1
# where the input passes and 0 where it is cut.
#
# ReLU6 exists for phones. A number that is known to lie in $[0, 6]$ fits into 8 bits in steps of $6/255$.
#
# One fact is needed below. If $x$ is symmetric about zero, ReLU throws away half of the square:
# $\mathrm{mean}(\mathrm{ReLU}(x)^2) = \frac12\,\mathrm{mean}(x^2)$. A gradient $dy$ passes where $x$ passed, which is
# at half of the places, so half of its square goes too.

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
# An output of a convolution is a sum of products, $y = \sum_k w_k x_k$, with fan-in many terms. Its square is
#
# $$y^2 = \sum_k w_k^2\, x_k^2 + \sum_{k \ne l} w_k w_l\; x_k x_l .$$
#
# Let the weights be independent, with mean 0 and variance $v$. In the mean over the weights $w_k^2$ is $v$, and all
# mixed terms vanish:
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
# * $v = 2/(\text{fan-in} + \text{fan-out})$ (Xavier). Fan-out is the fan-in of the *backward* pass. So Xavier is a
#   compromise between both directions, and it knows of no ReLU.
#
# ## Two frameworks, two wrong fans
#
# The library writes the fans of each kind of layer down. Frameworks read them off the *shape* of the weights, by a
# rule made for standard convolutions:
#
# * PyTorch: shape $(O, C/\text{groups}, K, K)$; fan-in is axis 1 times $K^2$, fan-out is axis 0 times $K^2$. A
#   depthwise layer has the shape $(C, 1, K, K)$. Fan-in comes out right; fan-out does not.
# * Keras: shape $(K, K, C, O)$; fan-in is the last axis but one times $K^2$, fan-out is the last one times $K^2$.
#   Its depthwise layer has the shape $(K, K, C, M)$. Now fan-in is wrong.
#
# Here $C = 64$, $K = 3$ and the depth multiplier $M = 1$.

# %%
print(inspect.getsource(init.fans))


def pytorch_fans(shape):
    return shape[1] * shape[2] * shape[3], shape[0] * shape[2] * shape[3]


def keras_fans(shape):
    return shape[-2] * shape[0] * shape[1], shape[-1] * shape[0] * shape[1]


right = init.fans("depthwise", (C, 1, K, K))
torch_says, keras_says = pytorch_fans((C, 1, K, K)), keras_fans((K, K, C, 1))
print(f"depthwise fans (in, out): right {right}, PyTorch's rule {torch_says}, Keras' rule {keras_says}")
assert torch_says == (right[0], C * right[1])
assert keras_says == (C * right[0], right[1])  # C times too many products
assert sum(torch_says) == sum(keras_says) > 30 * sum(right)

drawn = init.he_normal((C, 1, K, K), right[0], rng)
print(f"He: variance of {drawn.size} depthwise weights {drawn.var():.3f}, wanted 2/9 = {2 / 9:.3f}")
assert abs(drawn.var() / (2 / 9) - 1) < 0.25

# %% [markdown]
# For He weights, only Keras' rule is harmful: the variance is $C$ times too small. For Xavier weights both
# rules do the same damage, since they have the same sum.
#
# ## Ten blocks
#
# Ten times depthwise, ReLU, pointwise, ReLU; 64 channels; a unit input. Each of the 20 layers should change the RMS
# by $\sqrt{\text{fan-in}\cdot v/2}$, or by $\sqrt{\text{fan-in}\cdot v}$ if there are no ReLUs. Predict before you
# measure: He with Keras' fan-in gives $\sqrt{1/64} = 1/8$ in each block, and $8^{-10}$ is about $10^{-9}$.
#
# Zeros around a picture would make it darker at the borders. So here it is padded by itself, as if it were a tile.
# That is a layer of a dozen lines, and a good example of how a layer is written: `forward` returns $y$ and a function
# that takes $dy$ to $dx$. This one adds what lies on the border back to the pixels it was copied from.


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


def chain_of_blocks(v_depth, v_point, *, seed, activation=True, norm=False, blocks=10):
    """Blocks with weights of the given variances; equal seeds draw equal weights up to their size."""
    draw, layers = np.random.default_rng(seed), []
    for _ in range(blocks):
        depthwise = DepthwiseConv2d(C, K, bias=False, rng=draw)
        pointwise = PointwiseConv2d(C, C, bias=False, rng=draw)
        layers.append(Wrap())
        for layer, v in ((depthwise, v_depth), (pointwise, v_point)):
            layer.weight.value[...] = draw.standard_normal(layer.weight.value.shape) * np.sqrt(v)
            layers.append(layer)
            layers += [BatchNorm2d(C)] if norm else []
            layers += [ReLU()] if activation else []
    return set_impl(Sequential(*layers), "im2col")


def sizes(model, x, dy, blocks=10):
    """RMS of the signal, and of the gradient, before the first block and after each block."""
    block, forward, backward, pullbacks = len(model) // blocks, [rms(x)], [rms(dy)], []
    for k, layer in enumerate(model, 1):
        x, back = layer.forward(x, train=True)
        pullbacks.append(back)
        forward += [rms(x)] if k % block == 0 else []
    for k, back in enumerate(reversed(pullbacks), 1):
        dy = back(dy)
        backward += [rms(dy)] if k % block == 0 else []
    return forward, backward[::-1]


# %% [markdown]
# The cell compares six choices. `predicted` is the product of twenty factors. Random weights scatter about it, so
# `measured` is the median of ten draws.

# %%
in_depth, in_point = right[0], init.fans("pointwise", (C, C))[0]
xavier_point = 2 / sum(init.fans("pointwise", (C, C)))
schemes = {  # variance of the depthwise weights, of the pointwise weights, ReLU or not, colour
    "He, right fans": (2 / in_depth, 2 / in_point, True, KERNEL),
    "He, Keras' fan-in": (2 / keras_says[0], 2 / in_point, True, OUTPUT),
    "Xavier, right fans": (2 / sum(right), xavier_point, True, INPUT),
    "Xavier, PyTorch's fans": (2 / sum(torch_says), xavier_point, True, WINDOW),
    "Xavier, Keras' fans": (2 / sum(keras_says), xavier_point, True, "0.3"),
    "LeCun, no ReLU": (1 / in_depth, 1 / in_point, False, "0.6"),
}
measured, spread = {}, []
print(f"{'RMS after ten blocks':24} predicted    measured")
for name, (v_depth, v_point, activation, _) in schemes.items():
    runs = []
    for seed in range(10):
        noise = np.random.default_rng([seed, 1])
        x, dy = noise.standard_normal((2, 2, C, 8, 8), np.float32)
        model = chain_of_blocks(v_depth, v_point, seed=seed, activation=activation)
        runs.append(sizes(model, x, dy))
    measured[name] = np.array(runs)  # (draw, forward or backward, block)
    per_block = np.sqrt(in_depth * v_depth * in_point * v_point) / (2 if activation else 1)
    last = measured[name][:, 0, -1] / per_block**10
    spread += [*last]
    print(f"{name:24} {per_block**10:9.1e}    {np.median(last) * per_block**10:8.1e}")
    assert 0.2 < np.median(last) < 2
    forward, backward = np.median(measured[name][:, 0, -1]), np.median(measured[name][:, 1, 0])
    assert 0.3 < forward / backward < 3  # fan-in is fan-out here: what dies one way dies the other
spread = np.array(spread)
below = np.mean(spread < 1)
print(f"single draws: {spread.min():.2f} to {spread.max():.2f} of the prediction, {below:.0%} below it")
assert 0.1 < spread.min() < spread.max() < 10
assert below > 0.6

fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for which, (ax, title) in enumerate(zip(axes, ("signal, forward →", "← gradient, backward"), strict=True)):
    for name, runs in measured.items():
        style = ":" if name == "Xavier, Keras' fans" else "-"
        median, colour = np.median(runs[:, which], axis=0), schemes[name][-1]
        ax.semilogy(median, style, marker=".", color=colour, label=name)
    ax.set(title=title, xlabel="after block", ylabel="RMS" if which == 0 else "", xticks=range(0, 11, 2))
    ax.grid(alpha=0.3)
axes[1].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# The predictions hold over eleven orders of magnitude. A single draw may be several times off: 64 channels are
# few, and ten blocks multiply their luck. Most draws lie below the prediction, which is about the *mean* square: a
# product of random factors is usually below its mean.
#
# So a wrong fan of 64 kills the signal: **a factor of 8 in each block is $10^9$ in ten**. Xavier with right
# fans loses a factor of 2 in each block, because it does not know of the ReLU; that is survivable for ten
# blocks, not for fifty. The gradient shares the fate. On its way back it meets the same weights.
#
# ## What a dead network looks like
#
# Forward, the outputs for all images differ by almost nothing, so each image gets the same answer. Backward, there is
# almost no gradient. Deep enough, and float32 runs out of numbers: the output is exactly zero, and so is every
# gradient. No learning rate helps against that.

# %%
x = rng.standard_normal((1, C, 8, 8), np.float32)
v_depth, v_point, *_ = schemes["He, Keras' fan-in"]
for blocks in (10, 30, 60):
    deep = chain_of_blocks(v_depth, v_point, seed=3, blocks=blocks)
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
# a step of its own. The cell takes four channels of different means and a lopsided distribution through both.

# %% tags=["E59"]
shifts = np.array([0.0, 5, -20, 100]).reshape(1, 4, 1, 1)
x = (rng.gamma(2.0, 3.0, (8, 4, 12, 12)) + shifts).astype(np.float32)
mixed = pointwise_conv2d(x, init.he_normal((4, 4), 4, rng), impl="im2col")
y, mean, var = batch_norm2d(x, np.ones(4, np.float32), np.zeros(4, np.float32), impl="numpy")

columns = {"x": x, "1×1 of x": mixed, "batch norm of x": y}
for name, array in columns.items():
    means, deviations = array.mean(axis=(0, 2, 3)), array.std(axis=(0, 2, 3))
    print(f"{name:17} means {means.round(2) + 0.0}, standard deviations {deviations.round(2)}")
assert np.abs(mixed.mean(axis=(0, 2, 3))).max() > 1
np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-5)
np.testing.assert_allclose(y.std(axis=(0, 2, 3)), 1, atol=1e-3)

fig, axes = plt.subplots(1, 3, figsize=(10, 2.4), layout="constrained")
for ax, (name, array) in zip(axes, columns.items(), strict=True):
    for c, colour in enumerate((INPUT, WINDOW, KERNEL, OUTPUT)):
        ax.hist(array[:, c].ravel(), bins=50, histtype="step", color=colour, label=f"channel {c}")
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
# those. With `momentum` 0.1, each batch moves them a tenth of the way. (A variance measured about the batch's own mean
# is a little too small; the factor `count / (count - 1)` corrects that.)
#
# The cell feeds 60 batches of mean 4 and variance 9. Then it shows the layer one image twice, in usual and in strange
# company.

# %%
print(inspect.getsource(BatchNorm2d.remember))
layer, source = BatchNorm2d(1, impl="numpy"), np.random.default_rng(5)
history = []
for _ in range(60):
    batch = source.normal(4.0, 3.0, (16, 1, 3, 3)).astype(np.float32)
    layer.forward(batch, train=True)
    running = layer.running_mean.value[0], layer.running_var.value[0]
    history.append((batch.mean(), batch.var(ddof=1), *running))
history = np.array(history)
assert abs(history[-1, 2] - 4) < 0.5
for k, start in ((0, 0), (1, 1)):  # mean, variance
    shares = 0.1 * 0.9 ** np.arange(60)[::-1]  # of each batch; the last one has 0.1
    assert np.isclose(history[-1, k + 2], 0.9**60 * start + shares @ history[:, k], rtol=1e-4)

one, others, strange = (rng.standard_normal((n, 1, 3, 3)).astype(np.float32) for n in (1, 15, 15))
strange = 10 * strange + 50
for train in (True, False):
    before = layer.state_dict()
    usual = layer.forward(np.concatenate([one, others]), train=train)[0][0]
    unusual = layer.forward(np.concatenate([one, strange]), train=train)[0][0]
    moved = any(not np.array_equal(before[name], now) for name, now in layer.state_dict().items())
    print(f"train={train}: in strange company the same image differs by {np.abs(usual - unusual).max():.3f};")
    print("  running statistics", "moved" if moved else "stayed")
    assert moved == train
    assert np.array_equal(usual, unusual) == (not train)

fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
for k, (ax, truth, name) in enumerate(zip(axes, (4, 9), ("mean", "variance"), strict=True)):
    ax.plot(history[:, k], ".", color=INPUT, label=f"{name} of the batch")
    ax.plot(history[:, k + 2], color=OUTPUT, label=f"running {name}")
    ax.axhline(truth, color="0.5", linewidth=0.8, label="truth")
    ax.set_xlabel("batch")
    ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# Early on, the running statistics still remember where they started (0 and 1). After $t$ batches that start
# has the share $0.9^t$. So a network evaluated after a handful of steps may look worse than it is.
#
# Companions matter in training and not in evaluation. Nor does evaluation leave traces.
#
# ## A bias before batch norm is useless
#
# A bias shifts a whole channel. Batch norm subtracts the mean, and the shift with it. So the bias changes
# nothing, and its gradient is zero, which is why the library's block leaves it out (`bias=None` means "only
# without batch norm"). Scaling the channel changes nothing either, as far as $\varepsilon$ is small; the cell makes it
# tiny.
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
# Each $x$ reaches the output by three roads: directly, through the mean, and through the variance. Take one channel,
# and move its $x$ by a small $\delta$. By the chain rule
#
# * $\mu = \mathrm{mean}(x)$ moves by $\mathrm{mean}(\delta)$;
# * $\sigma = \sqrt{\mathrm{mean}((x - \mu)^2) + \varepsilon}$ moves by
#   $\frac1{2\sigma}\,\mathrm{mean}(2(x - \mu)\,\delta) = \mathrm{mean}(\hat x\,\delta)$;
# * $\hat x = (x - \mu)/\sigma$ moves by
#   $\frac1\sigma\big(\delta - \mathrm{mean}(\delta) - \hat x\,\mathrm{mean}(\hat x\,\delta)\big)$.
#
# With $g = \gamma\,dy$, the gradient for $\hat x$, the loss moves by $\sum g$ times that last line. Sort the sum by
# $\delta$: what stands beside it is $dx$.
#
# $$dx = \frac1\sigma\Big(g - \underbrace{\mathrm{mean}(g)}_{\text{through }\mu}
#   - \underbrace{\hat x\cdot\mathrm{mean}(g\,\hat x)}_{\text{through }\sigma}\Big).$$
#
# Look at it as geometry. The values of one channel are a vector. The two terms subtract its components along
# $\mathbf 1 = (1, 1, \dots, 1)$ and along $\hat x$. (Both vectors have mean square 1, so a mean of products is a
# component.) That had to be so: moving $x$ along $\mathbf 1$ shifts the channel, moving it along $\hat x$ stretches
# it, and neither changes the output. **What does not change the output has no gradient.**
#
# See the whole Jacobian: pull back one unit vector at a time, for a channel of 12 values.

# %%
x = rng.standard_normal((3, 1, 2, 2))
weight, bias = np.array([1.7]), np.array([0.4])
y, mean, var = batch_norm2d(x, weight, bias, impl="numpy", eps=1e-12)
pulled = [
    batch_norm2d_backward(unit.reshape(x.shape), x, weight, mean, var, impl="numpy", eps=1e-12)[0].ravel()
    for unit in np.eye(12)
]
jacobian, sigma = np.array(pulled), np.sqrt(var[0])
xhat = (x.ravel() - mean[0]) / sigma

basis = np.stack([np.ones(12), xhat]) / np.sqrt(12)  # two unit vectors, at right angles
np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-9)
projection = np.eye(12) - basis.T @ basis
np.testing.assert_allclose(jacobian, weight[0] / sigma * projection, atol=1e-9)
eigenvalues, counts = np.unique(np.linalg.eigvalsh(jacobian).round(6) + 0.0, return_counts=True)
for eigenvalue, count in zip(eigenvalues, counts, strict=True):
    print(f"eigenvalue {eigenvalue:.6f}: {count} times")
print(f"γ/σ        {weight[0] / sigma:.6f}")
assert counts.tolist() == [2, 10]
assert np.linalg.matrix_rank(jacobian, tol=1e-6) == 12 - 2
for life in (True, False):  # training and evaluation
    assert check(BatchNorm2d(3, impl="numpy"), rng.random((4, 3, 3, 2)), train=life).ok

fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
panels = {"Jacobian of batch norm": jacobian, "γ/σ · identity": weight[0] / sigma * np.eye(12)}
panels["what μ and σ take away"] = jacobian - panels["γ/σ · identity"]
for ax, (title, matrix) in zip(axes, panels.items(), strict=True):
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-2, vmax=2)
    ax.set_title(f"{title}  {matrix.shape}", fontsize=9)
    ax.axis("off")
fig.colorbar(image, ax=axes, shrink=0.8)
plt.show()

# %% [markdown]
# Two eigenvalues are zero, one for each direction that is taken out; the other ten are $\gamma/\sigma$. So backward is
# a projection, times $\gamma/\sigma$: gradients are divided by the very $\sigma$ by which the signal was divided. In
# evaluation $\mu$ and $\sigma$ are constants, two roads are closed, and $dx = g/\sigma$.
#
# ## Batch norm hides the problem
#
# Put batch norm after every convolution of the ten blocks. A wrong fan scales all weights of a layer by one
# number; batch norm divides by it again. So He weights with right and with wrong fans should give the *same*
# network, and a network with Xavier weights as well.
#
# The cell also looks at the first depthwise filters and their gradients.

# %% tags=["rounding"]
with_relu = {name: (v_depth, v_point) for name, (v_depth, v_point, relus, _) in schemes.items() if relus}
x, dy = np.random.default_rng(21).standard_normal((2, 2, C, 8, 8), np.float32)
outputs, filters = {}, {}
for name, (v_depth, v_point) in with_relu.items():
    model = chain_of_blocks(v_depth, v_point, seed=0, norm=True)
    outputs[name], backward = model.forward(x, train=True)
    backward(dy)
    filters[name] = model[1].weight

print(f"{'with batch norm':24} RMS after ten blocks   gradient of the first depthwise weights")
wanted = outputs["He, right fans"]
for name, y in outputs.items():
    print(f"{name:24} {rms(y):10.3f} {rms(filters[name].grad):30.4g}")
    assert abs(rms(y) / rms(wanted) - 1) < 0.02
    assert rms(y - wanted) < 0.1 * rms(wanted)  # not only as large: the same, as far as ε is small
bigger = rms(filters["He, Keras' fan-in"].grad) / rms(filters["He, right fans"].grad)
print(f"\nKeras' fan-in: weights {np.sqrt(C):g} times smaller, gradient {bigger:.2f} times larger")
assert abs(bigger / np.sqrt(C) - 1) < 0.05

right_filters = filters["He, right fans"]
w, dw = right_filters.value.reshape(C, -1), right_filters.grad.reshape(C, -1)
cosines = (w * dw).sum(axis=1) / (np.linalg.norm(w, axis=1) * np.linalg.norm(dw, axis=1))
print(f"cosine between filter and gradient: at most {np.abs(cosines).max():.0e}")
assert np.abs(cosines).max() < 1e-2  # not exactly zero, because of ε and float32
longer = np.linalg.norm(w - 0.1 * dw, axis=1) > np.linalg.norm(w, axis=1)
print(f"one SGD step makes {longer.mean():.0%} of the filters longer")
assert longer.mean() > 0.9

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
#
# ## Exercises
#
# Replace the line that raises. Each cell below an exercise checks your answer.
#
# ### Exercise 1: a leaky ReLU
#
# A leaky ReLU is $x$ for $x > 0$ and $a x$ otherwise. A layer with that fan-in is followed by one. Which variance
# should its weights have, so that the mean square is kept? *Hint: which share of the square does it keep?*


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
# After how many training batches has the start of the running statistics a share of less than `share`? Return
# the smallest such number, for any momentum. (Above it was 0.1, and the share $0.9^t$.)


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
# norm gave together. `w` has the shape $(O, C)$, and `norm` is a `BatchNorm2d` with `weight`, `bias`,
# `running_mean` and `running_var` (each has a `.value`) and `eps`.


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

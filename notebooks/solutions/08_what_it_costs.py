# %% [markdown]
# # Solutions: what it costs
#
# 1. $M/O \le \text{part} - M/K^2$. If the right side is not positive, no $O$ is enough. Otherwise divide and round
#    up. For one half, $K = 3$ and $M = 2$ it says $O \ge 7.2$: from 8 channels on.
# 2. The pointwise step now runs at the full input size, and the depthwise step on $O$ channels. Where the layer
#    shrinks the picture, this order is usually the dearer one.
# 3. For 200 million it is 0.5: about a quarter of the MACs at width one. A little more, since the depthwise steps and
#    the first layer shrink only in proportion to the width.

# %%
from fractions import Fraction

from npdsconv import complexity
from npdsconv.models import mobilenet_v1


# %% tags=["solution"]
def channels_for(part, k, m):
    left = part - Fraction(m, k**2)
    return -(-m // left) if left > 0 else None  # -(-a // b) divides and rounds up


# %% tags=["solution"]
def macs_pointwise_first(c, o, k, h, w, stride):
    rows, columns = ((size + 2 * (k // 2) - k) // stride + 1 for size in (h, w))
    return o * c * h * w + o * k**2 * rows * columns


# %% tags=["solution"]
def widest(budget):
    def macs(width):
        return complexity.summary(mobilenet_v1(width, rng=0), (3, 224, 224)).macs

    return max(width for width in (0.25, 0.5, 0.75, 1.0) if macs(width) <= budget)

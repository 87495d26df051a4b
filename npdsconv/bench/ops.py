"""``npdsconv bench ops``: one op at a time."""

from npdsconv.bench.workloads import Workload, op

# The shapes of the default network's depthwise layers, batch 128: (N, C, H, W), stride.
DEPTHWISE = (
    ((128, 32, 28, 28), 1),
    ((128, 64, 28, 28), 2),
    ((128, 64, 14, 14), 1),
    ((128, 128, 14, 14), 2),
    ((128, 128, 7, 7), 1),
)
LARGE = (16, 64, 112, 112)  # x and y have 103 MB together: more than caches hold
ONE_PASS = ("forward", "dx", "dw")


def workloads() -> list[Workload]:
    """Depthwise on the five shapes, a large one, standard, pointwise, the block, batch norm, ReLU, pooling."""
    one, wide = (128, 32, 28, 28), (128, 64, 14, 14)
    return [
        *(op("depthwise", part, shape, stride=stride) for shape, stride in DEPTHWISE for part in ONE_PASS),
        *(op("depthwise", part, LARGE, label="large") for part in ONE_PASS),
        op("depthwise", "both", wide, kernel=5),
        op("standard", "both", (32, 64, 28, 28)),
        op("standard", "both", (128, 1, 28, 28), outputs=32),
        *(op("pointwise", part, wide, outputs=64, kernel=1) for part in ONE_PASS),
        op("pointwise", "both", (128, 128, 7, 7), kernel=1),
        op("block", "both", one, outputs=64, stride=2),
        op("block", "both", wide, outputs=64),
        op("batch_norm", "both", one, kernel=1),
        op("relu", "both", one, kernel=1),
        op("max_pool", "both", one, kernel=2, stride=2),
        op("avg_pool", "both", one, kernel=2, stride=2),
        op("global_avg_pool", "both", (128, 128, 7, 7), kernel=1),
    ]

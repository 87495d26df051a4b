"""``npdsconv bench inference``: trained networks on one image and on many.

npdsconv's network has its batch norm folded into the convolutions. PyTorch's has a column as it was trained, and one
with batch norm folded by PyTorch; ONNX Runtime folds by itself. So the like for npdsconv is "PyTorch, BN folded".
"""

from npdsconv.bench.workloads import NETWORKS, Workload, on_network

BATCHES = (1, 256)


def workloads() -> list[Workload]:
    """Every network on every batch size; MobileNet, whose images are larger, on an eighth of the largest."""
    return [
        on_network(name, "inference", batch if name.startswith("separable") else min(batch, 32))
        for name in NETWORKS
        for batch in BATCHES
    ]

# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["solution"]
# Go up in steps while the next width is still affordable.
def affordable_width(standard_width):
    from npdsconv import complexity
    from npdsconv.models import separable_cnn, standard_twin

    def network(width):
        return separable_cnn(width=width, stem_stride=2, rng=0)

    budget = complexity.summary(standard_twin(network(standard_width), rng=0), (1, 28, 28)).macs
    steps = 1
    while complexity.summary(network((steps + 1) / 20), (1, 28, 28)).macs <= budget:
        steps += 1
    return steps / 20


# %% tags=["solution"]
def paired(a, b):
    differences = [q - p for p, q in zip(a, b, strict=True)]
    n = len(differences)
    mean = sum(differences) / n
    variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
    return mean, (variance / n) ** 0.5


# %% tags=["solution"]
# A layer with fewer MACs per byte than the machine's macs_per_second / bytes_per_second waits for memory.
def roofline(rows, macs_per_second, bytes_per_second):
    return sum(max(row.macs / macs_per_second, row.traffic_bytes / bytes_per_second) for row in rows)

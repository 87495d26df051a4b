"""What is written from the recorded runs: README's table of accuracies."""

from npdsconv.runs import recorded


def readme_table() -> str:
    """The recipes' accuracy on test images, in Markdown."""
    lines = [
        "| data | network | parameters | multiply-adds | epochs | accuracy, mean ± sd (each seed) |",
        "|---|---|---|---|---|---|",
    ]
    for runs in recorded.arms(recorded.RECIPES_STUDY).values():
        first, scores = runs[0], [100 * run["accuracy"] for run in runs]
        mean, sd, seeds = recorded.spread(scores)
        spread = f" ± {sd:.2f}" if seeds > 1 else ""
        each = " ".join(f"{score:.2f}" for score in scores)
        name = "standard twin" if first["settings"].get("standard") else "separable_cnn"
        lines.append(
            f"| {first['settings']['dataset']}, {first['scored_on']} | {name} | {first['params']:,} "
            f"| {first['macs']:,} | {first['epochs']} | {mean:.2f} %{spread} ({each}) |"
        )
    return "\n".join(lines)

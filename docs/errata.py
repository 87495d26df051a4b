"""Write errata.md: what is wrong in the five source documents, and which cell of which notebook shows it.

A cell that shows that a claim is false carries a tag, E01 to E64::

    python docs/errata.py             write docs/errata.md
    python docs/errata.py --check     write nothing; fail if it would change

Both fail if an erratum has no cell, or a cell has a tag that is no erratum.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent / "notebooks"
TARGET = HERE / "errata.md"
TAG = re.compile(r"E\d+")
HEADING = re.compile(r"^#+ +(.+)$")
FENCE = re.compile(r"^(```|~~~)")

# document -> what is wrong in it, in the order of the numbers
ERRATA = {
    "first": (
        "The depthwise step is said to change channels and to leave space alone; it is the other way round",
        "The pointwise step is called an elementwise product; it is a matrix at every pixel",
        "“One kernel for each layer”; a layer needs a filter for each channel and the mixing matrix",
        "The pointwise step is said to work within each channel; it is the only step across channels",
        "The depthwise formula sums over channels, has no window and cannot be evaluated as written",
        "The pointwise formula sums over the output channels too",
        "“All output channels are added up”; depthwise outputs are kept apart",
        "The cost counts input pixels; what counts is output pixels",
        "No cost of the standard convolution and no ratio; the saving is not universal",
        "Worked example 1: shapes do not fit, and no reading gives the printed result",
        "Worked example 2: shapes do not fit, and no kernel gives the printed result",
        "The depthwise layer lacks `groups`: it is a standard convolution",
        "The dense layer expects 10,240 features and gets 10",
        "The code has a ReLU between the steps, the formula has none",
        "Padding is fixed at 1, whatever the kernel",
        "The printed training log cannot come from the program; labels are random",
        "The printed test output cannot come from the program",
        "Set-up instructions for an outdated Python; versions are not pinned",
        "Applications that do not use the operator are named as its applications",
        "Papers and books that were not found or are cited wrongly",
        "Offered as a replacement for GPT-3, BERT and ViT, which have no spatial convolutions to replace",
    ),
    "second": (
        "“Parallel, therefore fewer operations”; parallelism saves none, and the two steps are sequential",
        "The NumPy function uses a one-dimensional convolution and has no pointwise weights: it cannot run",
        "The network has the steps in reverse order, is not separable, and is larger than a plain one",
        "Faster R-CNN, FaceNet, TextCNN and SSD are said to use the operator",
        "Advice on which layers to remove for fine-tuning is not what is done",
        "`set_weights` gets one array of the wrong shape and scale",
        "The rest of the fine-tuning code: not frozen, no new task, undefined names, unshuffled validation",
        "The residual block strides twice, and its flag for the shortcut is inverted",
        "No global pooling: one softmax for each position",
        "Validation split of an iterator, mirrored digits, ReLU before the addition",
        "“A huge number of parameters, more resources” contradicts the advantages listed before",
        "Preprocessing is called augmentation, compression interpretability; WaveNet recognises speech",
        "Raw chat markers are left in the text",
    ),
    "third": (
        "The invention is attributed to a paper and an author that were not found",
        "“Shallow” and “separable” are wrong names for the depthwise and the pointwise half",
        "Dilation is said to control the kernel's size and the stride; it spaces the taps",
        "The main formula convolves two results; the steps have to be composed",
        "The formulas of both steps give one number, not maps",
        "Steps that define a map by itself, and one symbol for several sizes",
        "The dilation factor is 1: nothing is dilated",
        "Cost is called low and high in the same text",
        "The code is neither separable nor dilated; it equals one 5×5 convolution",
        "`imshow` gets 64 maps at once",
        "Edges and texture are seen in the response of random weights to noise",
        "Results on five data sets without a number; all figures are placeholders",
        "Papers that were not found, are cited wrongly, or have nothing to do with the subject",
    ),
    "fourth": (
        "Convolution is written as a plain matrix product",
        "The formulas of the two steps and of their combination cannot mean what is said",
        "The size is said to have to be a multiple of the kernel, or padding trouble follows in the 1×1 step",
        "A large kernel is said to miss local features",
        "“High complexity” and “slow updates” against the document's own advantages",
        "`PointwiseConv2D` does not exist, and the number of filters is never given",
        "Undefined input; one softmax for each pixel; detection without a box",
        "VGG16 with a flatten layer of unknown size; it has no separable layer",
        "`YOLOv5` is not in `keras.applications`; head, loss and metric do not fit detection",
        "Models of a third of a billion parameters are examples for billions",
        "Zero fine-tuning on new classes; fine-tuning said to keep what was learned",
    ),
    "fifth": (
        "The roles of the two steps are exchanged; the 1×1 step is said to normalise",
        "The formulas lack the window, the output channel, or the right operand",
        "The two steps are added; they have to be composed",
        "`DepthwiseConv2D` gets the image's shape as kernel size and an unknown argument",
        "A tuple as number of filters, no input, no pooling: one softmax for each pixel",
        "A link that does not lead to the subject",
    ),
}


class Erratum(NamedTuple):
    number: str  # "E01"
    document: str  # "first" … "fifth"
    about: str


class Place(NamedTuple):
    notebook: str  # file name
    heading: str


def numbered() -> list[Erratum]:
    """All errata in order."""
    flat = [(document, about) for document, items in ERRATA.items() for about in items]
    return [Erratum(f"E{k:02}", *item) for k, item in enumerate(flat, 1)]


def headings(source: str) -> list[str]:
    """The headings in a markdown cell; lines of code are none."""
    found, code = [], False
    for line in source.splitlines():
        if FENCE.match(line):
            code = not code
        elif not code and (match := HEADING.match(line)):
            found.append(match[1].strip())
    return found


def tagged_cells(notebook: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(tag, heading) of each tagged cell: its own first heading, or the last one before it."""
    current = ""
    for cell in notebook["cells"]:
        own = headings("".join(cell["source"])) if cell["cell_type"] == "markdown" else []
        heading = own[0] if own else current
        for tag in cell.get("metadata", {}).get("tags", ()):
            if TAG.fullmatch(tag):
                yield tag, heading
        current = own[-1] if own else current


def places(folder: Path) -> dict[str, list[Place]]:
    """Where each erratum is shown.

    Raises
    ------
    ValueError
        An erratum without a cell, or a tag that is no erratum.
    """
    found: dict[str, list[Place]] = {erratum.number: [] for erratum in numbered()}
    unknown = []
    for path in sorted(folder.glob("[0-9]*.ipynb")):
        for tag, heading in tagged_cells(json.loads(path.read_text(encoding="utf-8"))):
            if tag not in found:
                unknown.append(f"{tag} in {path.name}")
            elif (place := Place(path.name, heading)) not in found[tag]:
                found[tag].append(place)
    missing = [number for number, cells in found.items() if not cells]
    if missing or unknown:
        problems = [f"no cell is tagged {', '.join(missing)}"] if missing else []
        problems += [f"no erratum has the tag {', '.join(unknown)}"] if unknown else []
        raise ValueError(f"errata: {'; '.join(problems)}")
    return found


def page(found: dict[str, list[Place]]) -> str:
    """The text of errata.md."""
    lines = [
        "# Errata of the source documents",
        "",
        "Written by `docs/errata.py` from the tags of the notebooks' cells; do not edit. What the documents are,",
        "and what is good in them, is said in [sources](sources.md).",
        "",
        "| number | document | what is wrong | shown in |",
        "|---|---|---|---|",
    ]
    for number, document, about in numbered():
        links = "; ".join(
            f"[{place.notebook[:2]}: {place.heading.replace('|', '¦')}](../notebooks/{place.notebook})"
            for place in found[number]
        )
        lines.append(f"| {number} | {document} | {about} | {links} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None, folder: Path = NOTEBOOKS, target: Path = TARGET) -> int:
    parser = argparse.ArgumentParser(description="Write errata.md from the tags of the notebooks' cells.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page would change")
    check = parser.parse_args(argv).check
    try:
        text = page(places(folder))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if not check:
        target.write_text(text, encoding="utf-8")
    elif not target.exists() or target.read_text(encoding="utf-8") != text:
        print(f"errata: {target.name} is out of date: run python docs/errata.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

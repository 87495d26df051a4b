"""The script that writes the performance tables: from canned results to Markdown, between the markers."""

import json
from pathlib import Path

import pytest
from helpers import load

from npdsconv.bench import measuring, scaling
from npdsconv.bench.measuring import Entry, Timing
from npdsconv.bench.workloads import on_network, op

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script():
    return load(ROOT / "benchmarks" / "performance.py")


def timing(workload, seconds, library="npdsconv", variant="numba", column="npdsconv"):
    return Timing(Entry(library, variant, workload, column), 1.0, seconds, [[seconds, seconds]] * 3)


def canned():
    """Results of all sections, as `measure` writes them."""
    step, one = on_network("separable_cnn", "train"), op("depthwise", "forward", (2, 3, 4, 5))
    rows = [
        measuring.row(
            step,
            n,
            [timing(step, 0.03 / n), timing(step, 0.06 / n, "torch", "nchw", "PyTorch")],
            others=0.02,
        )
        for n in (2, 1)
    ]
    peaks = [("npdsconv", "numba", 9), ("torch", "nchw", 12), ("torch", "channels_last", 10)]
    attained = {"intensity": 1.5, "flops_per_second": 3e9, "bytes_per_second": 2e9, "share": 0.25}
    ceiling = {"threads": 1, "flops_per_second": 9e10, "bytes_per_second": 8e9}
    points = [
        {
            "value": value,
            "others": 0.0,
            "standard": timing(one, 0.02).as_dict() | {"flops": 100},
            "separable": timing(one, separable).as_dict() | {"flops": 25},
        }
        for value, separable in ((1, 0.08), (16, 0.005))
    ]
    measured = {
        "date": "2030-01-02",
        "processor": "Some CPU",
        "cores": 2,
        "versions": {"npdsconv": "0", "torch": "9"},
    }
    sections = {
        "train": {
            "rows": rows,
            "memory": [
                {
                    "workload": step.name,
                    "threads": 1,
                    "peaks": [{"library": a, "variant": b, "bytes": c * 10**6} for a, b, c in peaks],
                }
            ],
        },
        "inference": {"rows": rows},
        "ops": {"rows": [measuring.row(one, 1, [timing(one, 1e-4)])]},
        "roofline": {
            "ceilings": [ceiling],
            "rows": [measuring.row(one, 1, [timing(one, 1e-4)]) | {"attained": attained}],
        },
        "scaling": {"sweeps": [scaling.sweep("channels", n, points) for n in (2, 1)]},
    }
    return {"machine": measured} | {name: s | {"measured": measured} for name, s in sections.items()}


def test_every_section_has_a_table(script):
    made = script.tables(canned())
    assert made.keys() == {"summary", "train", "memory", "inference", "ops", "roofline", "scaling"}
    assert "| 2 | 15.0 ms (15.0-15.0) | 30.0 ms (30.0-30.0) nchw | **0.50** (0.50-0.50) |" in made["train"]
    assert made["train"].count("36,298") == 2
    assert made["summary"].count("36,298") == 1
    assert "| 9.0 MB | 12.0 MB | 10.0 MB | **0.90** |" in made["memory"]
    assert "1 thread: 90 GFLOP/s" in made["roofline"]
    assert "| 1.50 | 3.0 | 2.0 | 25% |" in made["roofline"]
    assert made["scaling"].count("channels") == 1
    assert "| channels | 4 | 4.00 at 1, 0.25 at 16 | 0.25, 0.25 |" in made["scaling"]
    for text in made.values():
        assert "2030-01-02 on Some CPU, 2 cores" in text
        assert "npdsconv 0, torch 9" in text
    assert "other programs took at most 2% of the cores" in made["train"]
    assert script.tables({"machine": {}}) == {}


def test_places_are_filled_and_filled_again(script):
    page = "a\n<!-- performance ops: written -->\nold | text\n<!-- end of performance ops -->\nb\n"
    filled = script.fill(page, {"ops": "new \\1"})
    assert filled == "a\n<!-- performance ops: written -->\n\nnew \\1\n\n<!-- end of performance ops -->\nb\n"
    assert script.fill(filled, {"ops": "new \\1"}) == filled
    assert script.fill(page, {"train": "else"}) == page


def test_wrong_markers_are_told(script):
    with pytest.raises(ValueError, match="a marker names 'opps'"):
        script.fill("<!-- performance opps: x -->\n<!-- end of performance opps -->", {})
    with pytest.raises(ValueError, match="the marker 'ops' has no end"):
        script.fill("<!-- performance ops: x -->\n<!-- end of performance train -->", {})


def test_the_pages_have_the_places_and_hold_what_was_measured(script):
    assert "<!-- performance summary:" in script.PAGES[0].read_text()
    results = json.loads(script.RESULTS.read_text()) if script.RESULTS.exists() else {}
    made = script.tables(results)
    for path in script.PAGES:
        page = path.read_text()
        assert script.fill(page, made) == page, f"{path.name}: python benchmarks/performance.py render"


def test_rendering_writes_pages_and_figures(script, tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- performance train: x -->\n<!-- end of performance train -->\n")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "PAGES", (page,))
    monkeypatch.setattr(script, "FIGURES", tmp_path / "figures")
    script.render(canned())
    assert "| 2 | 15.0 ms" in page.read_text()
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {
        "measured_roofline.png",
        "measured_scaling.png",
    }
    assert capsys.readouterr().out.count("written: ") == 3


def test_sections_are_measured_one_by_one_and_kept(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "RESULTS", tmp_path / "performance.json")
    monkeypatch.setattr(script, "installed", lambda name: False)
    monkeypatch.setattr(
        script.Run, "run", lambda self, names: self.report | {names[0]: {"rows": [self.seconds]}}
    )
    script.measure(["ops"], 8.0, [1], False)
    results = script.measure(["roofline"], 8.0, [1], False)
    assert results["ops"]["rows"] == [8.0]
    assert results["roofline"]["rows"] == [2.0]
    assert results["roofline"]["measured"]["cores"] >= 1
    assert json.loads((tmp_path / "performance.json").read_text()) == results

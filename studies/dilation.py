"""Dilation: does it help to look far with few weights, on pictures as small as digits?"""

from studies.study import Arm, Study

DILATIONS = ("1,1,1", "1,2,4", "2,2,2")

STUDY = Study(
    name="dilation",
    title="Dilation",
    question="Three blocks with the same weights see 15, 31 or 27 pixels, by dilation alone: what does it change?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": 10000, "epochs": 5, "model": "dilated_separable"},
    arms={f"dilations {d}": Arm({"options": f"dilations={d}"}) for d in DILATIONS},
)

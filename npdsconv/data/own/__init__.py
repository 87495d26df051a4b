"""Data of one's own: what is in a folder or a file is told by a look at it, and becomes a `Dataset`.

`path` tells which it is; `folder` reads a folder of pictures for each class, `npz`, `idx_set` and `cifar` read
arrays. `parts` has what all of them need: numbering the classes, keeping a test part apart, one size for all.
"""

from .folder import from_folder
from .path import from_path

__all__ = ["from_folder", "from_path"]

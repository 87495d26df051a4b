"""A run: its settings, its folder, what is compiled before it, and what the package's own recipes came to."""

from npdsconv.runs.folder import RunFolder, fresh_folder, latest_folder
from npdsconv.runs.saved import load_model
from npdsconv.runs.shipped import pretrained

__all__ = ["RunFolder", "fresh_folder", "latest_folder", "load_model", "pretrained"]

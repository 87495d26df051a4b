"""Settings for the whole suite."""

import os

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "agg")  # no test may open a window

# The same examples on every run, no clock, no database of earlier failures beside the checkout.
settings.register_profile("npdsconv", derandomize=True, deadline=None, database=None)
settings.load_profile("npdsconv")

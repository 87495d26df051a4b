"""What setup.cfg cannot say: the long description is README.md without what leads nowhere on an index page."""

import re
from pathlib import Path

from setuptools import setup

NOTE = "*The pages, notebooks and pictures that this text speaks of are in the source distribution.*"


def without_relative_links(text: str) -> str:
    """Pictures go, links become their text; what begins with a scheme, as https:, stays. A note says what happened."""
    relative = r"(?![a-z]+:)[^)]*"
    text = re.sub(rf"^!\[[^]]*\]\({relative}\)\n+", "", text, flags=re.M)
    text = re.sub(rf"\[([^]]*)\]\({relative}\)", r"\1", text)
    title, rest = text.split("\n\n", 1)
    return f"{title}\n\n{NOTE}\n\n{rest}"


if __name__ == "__main__":  # setuptools runs this file, tests import it
    readme = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    setup(
        long_description=without_relative_links(readme),
        long_description_content_type="text/markdown",
    )

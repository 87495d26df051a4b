"""Names of files and folders, as arguments."""

import argparse


def file_name(text: str) -> str:
    """The type of an argument that names a file or a folder: not empty, and all in one line.

    What else is in a name that is mistaken, the system says when it is used.
    """
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise argparse.ArgumentTypeError(f"the name {text!r} has a line break or another control character")
    return text

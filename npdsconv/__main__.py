"""``python -m npdsconv``."""

import sys

from npdsconv.cli import main

if __name__ == "__main__":
    sys.exit(main())

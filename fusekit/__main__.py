"""`python -m fusekit` is the command `fusekit`."""

import sys

from fusekit.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m fusekit.bench` is the command `fusekit bench`."""

import argparse
import functools
import sys

from fusekit.bench.command import add_arguments, run
from fusekit.errors import FusekitError

if __name__ == "__main__":
    parser = argparse.ArgumentParser("fusekit.bench", description="Measure fusekit's figures.")
    add_arguments(parser)
    try:
        sys.exit(run(parser.parse_args(), functools.partial(print, flush=True)))
    except FusekitError as error:
        sys.stderr.write(f"fusekit: {error}\n")
        sys.exit(2)

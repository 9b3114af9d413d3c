"""`python -m fusekit.bench.suite.legacy_probe NAME...`: the legacy fuser, where it may crash."""

import functools
import sys

from fusekit.bench.suite.contenders import probe_legacy

if __name__ == "__main__":
    probe_legacy(sys.argv[1:], functools.partial(print, flush=True))

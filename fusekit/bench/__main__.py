"""`python -m fusekit.bench` measures the figures of docs/performance.md."""

import sys

from fusekit.bench.figures import figures_text, measure_figures

if __name__ == "__main__":
    sys.stdout.write(figures_text(measure_figures(say=lambda line: print(line, flush=True))) + "\n")  # noqa: T201

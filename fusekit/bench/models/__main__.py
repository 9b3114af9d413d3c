"""`python -m fusekit.bench.models NAME`: one model, its row as JSON on the last line."""

import argparse
import dataclasses
import json
import sys

from fusekit.bench.models.measure import measure_model
from fusekit.bench.models.zoo import ZOO

if __name__ == "__main__":
    parser = argparse.ArgumentParser("fusekit.bench.models", description="Measure one model.")
    parser.add_argument("name", choices=list(ZOO))
    parser.add_argument("--quick", action="store_true", help="few samples, no Inductor")
    options = parser.parse_args()
    row = measure_model(options.name, quick=options.quick)
    sys.stdout.write(f"\n{json.dumps(dataclasses.asdict(row))}\n")

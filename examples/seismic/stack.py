"""Stack the records of all shots."""
import pathlib
import sys

import numpy

shots = sorted(pathlib.Path(sys.argv[1]).glob("shot_*.npy"))
total = sum(numpy.load(s) for s in shots)
print(f"{len(shots)} shots stacked, energy {float((total ** 2).sum()):.3f}")
if not shots or not numpy.isfinite(total).all():
    sys.exit("nothing to stack, or it has run away")

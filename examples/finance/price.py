"""The price, and how sure it is."""
import pathlib
import sys

import numpy

payoffs = numpy.concatenate([numpy.load(f) for f in sorted(pathlib.Path(sys.argv[1]).glob("batch_*.npy"))])
price, error = payoffs.mean(), payoffs.std() / len(payoffs) ** 0.5
print(f"{len(payoffs)} paths: {price:.4f} +- {error:.4f}")

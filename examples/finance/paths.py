"""Discounted payoffs of an Asian call for one batch of paths of geometric Brownian motion."""
import argparse

import numpy

p = argparse.ArgumentParser()
p.add_argument("--seed", type=int, required=True)
p.add_argument("--paths", type=int, required=True)
p.add_argument("--out", required=True)
a = p.parse_args()
spot, strike, rate, volatility, days = 100.0, 100.0, 0.03, 0.2, 252
random = numpy.random.default_rng(a.seed)
steps = (rate - volatility**2 / 2) / days + volatility / days**0.5 * random.standard_normal((a.paths, days))
mean = (spot * numpy.exp(numpy.cumsum(steps, axis=1))).mean(axis=1)
numpy.save(a.out, numpy.exp(-rate) * numpy.maximum(mean - strike, 0))

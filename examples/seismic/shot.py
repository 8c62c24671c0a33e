"""One shot: the acoustic wave equation in two dimensions, by finite differences, over two layers."""
import argparse

import numpy

p = argparse.ArgumentParser()
p.add_argument("--at", type=int, required=True)
p.add_argument("--out", required=True)
a = p.parse_args()
n, steps, step = 100, 400, 0.001
speed = numpy.full((n, n), 1500.0)
speed[60:] = 2500.0  # a harder layer, whose top sends the wave back
c = (speed * step / 5.0) ** 2  # on a grid of 5 m
old, now = numpy.zeros((n, n)), numpy.zeros((n, n))
record = numpy.zeros((steps, n))
for t in range(steps):
    spread = numpy.zeros((n, n))
    spread[1:-1, 1:-1] = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * now[1:-1, 1:-1]
    old, now = now, 2 * now - old + c * spread
    phase = (numpy.pi * 25 * (t * step - 0.04)) ** 2
    now[2, a.at] += (1 - 2 * phase) * numpy.exp(-phase)  # a Ricker wavelet of 25 Hz
    record[t] = now[2]
numpy.save(a.out, record)
print(f"shot at {a.at * 5} m: strongest echo {numpy.abs(record[200:]).max():.4f}")

// Package slurm runs batch scripts in the manner of those that people publish, unchanged, on a
// cluster of two agents: machine learning, rendering and transcoding, arrays, chains and steps.
package slurm

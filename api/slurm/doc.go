// Package slurm reads what Slurm users write, scripts with #SBATCH lines, the flags of sbatch
// and srun and the SBATCH_ variables, and turns it into jobs; and it says what a batch script
// and its steps find in their environment.
//
// A directive, a variable and a flag all become a Setting, with its place. Settings are
// applied to a Request in the order of their strength: directives, variables, flags. Nothing
// is dropped in silence: what has no counterpart is a Warning at its place, what cannot be
// read is an Error.
//
// The package is pure: it knows no host, no clock and no server; callers hand in what it
// needs. The names and their meaning are those of sbatch(1), srun(1) and scontrol(1) of
// Slurm 23. The command line calls it to submit, the agent to make environments and to expand
// file names.
package slurm

// Package slurmcli is the commands that Slurm users type: sbatch, srun, squeue, scancel, sinfo,
// sacct and scontrol. They are the same program under other names, or `caravan sbatch` and so
// on, and speak to the servers as the rest of the command line does.
//
// Within a batch script srun starts steps instead, through the door that the agent has opened
// for the script; see package caravan/agent/steps.
//
// An App belongs to one goroutine. Exit codes are Slurm's: 0, 1, and for srun and sbatch --wait
// the job's own.
package slurmcli

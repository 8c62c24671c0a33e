// Package examples runs the job files of examples/ for real, as a user would, where their tools are
// Debian's. On every push those that need nothing but ffmpeg run; all others with the build tag full.
package examples

// Package house keeps the shape of the source tree true. Nothing imports it: its tests are its only
// caller, and they run with all others.
//
//   - table.go says which package may import which, and why; imports.go checks the tree against it.
//   - form.go checks what every file and package must look like.
//   - dependencies.go checks that every direct dependency has a reason in docs/dependencies.md.
//
// The checks are functions of values (a list of packages, the bytes of a file) so that the tests can
// also show each of them a violation and see it caught.
package house

// Package cli holds sessions with the real caravan binary against a real
// cluster of one, "caravan dev", as a user would type them: see testdata. Each
// file is a txtar archive with a script and the files it uses.
package cli

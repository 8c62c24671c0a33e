// Package view writes what the API answers as text for people: tables for
// lists, one screen for a job, for "why" and for a dry run.
//
// Everything is a function of the message and a Style, which holds the current
// time, so that golden files can fix every screen. No function returns an
// error of its own: they write to memory or to a terminal, and the caller's
// writer keeps the first error. Whatever is simulated is marked "(sim)".
package view

// Package arch holds the tests that keep the house's plan: who may import
// whom, and how files are written. It is a package of its own because it asks
// the go command, whose caches the user postgres may not enter.
package arch

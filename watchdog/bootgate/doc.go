// Package bootgate gathers the facts that the boot gate needs (state, data
// directory, peers), calls the pure fence.Gate, and applies its outcome. It
// needs no service, no database and no right clock, and it decides nothing
// itself.
package bootgate

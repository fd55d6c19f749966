// Package testenv is where tests get real things: PostgreSQL pairs, faults, a
// sham power switch, the wait helper and the invariants. Nothing in production
// imports it; the shared, harmless part is testenv/demo.
package testenv

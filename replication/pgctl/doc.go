// Package pgctl acts on the local PostgreSQL server: it starts it, stops it and
// proves that it stopped, and makes it a standby at its next start. It runs as
// PostgreSQL's own OS user; what needs root goes through Privileged.
//
// Whether an act is a good idea is decided elsewhere (fence, runbooks). No exit
// status counts as proof here: a stop is proven by StopVerified, which looks at
// the processes that hold the data directory.
package pgctl

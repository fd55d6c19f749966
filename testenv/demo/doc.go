// Package demo makes what `watchdog demo` shows and what every test stands on:
// a pair of real PostgreSQL servers made from the installed binaries, a mail
// sink, a toy application and a ledger of acknowledged rows. It is the one
// part of testenv that a shipped program may import: it holds no fault that a
// test would inject, and nothing of the testing package.
package demo

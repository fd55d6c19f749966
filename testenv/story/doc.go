// Package story tells whole incidents with real services: two PostgreSQL
// servers, two (or three) watchdog processes built from this tree, an
// application, a mail box, a writing client, and an operator who types
// commands. Each test reads as a scenario and ends with the ledger's verdict.
package story

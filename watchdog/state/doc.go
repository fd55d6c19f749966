// Package state keeps what survives a restart: epoch.json and fence.json, which
// are all that the boot gate reads, and the journal of operations as JSON lines
// that can be read with less at night. Beside them stands the database of the
// alerts, in which the lag history has a bucket of its own.
//
// Every write goes to a temporary file, is fsynced, renamed, and the directory
// is fsynced; every file carries its format version and a checksum of its
// content. A file that cannot be understood is never overwritten: the store
// names it and refuses to write until somebody has looked.
//
// The service and the gate are two processes on one directory, so that each
// change is a read-modify-write under a file lock.
package state

// Package pgdata reads a PostgreSQL data directory offline: the control file,
// the signal files, the history files, where valid WAL ends, and which processes
// hold the directory. It never acts on any of them and starts no child process,
// so it also works while the server is down, sealed, or running.
//
// Layouts are those of PostgreSQL 13 to 17 on little endian machines
// (src/include/catalog/pg_control.h, src/include/access/xlog_internal.h and
// xlogrecord.h). Anything else is refused with ErrUnknownFormat: a wrong guess
// about a control file could let a second primary start.
package pgdata

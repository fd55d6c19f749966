// Package replication reads PostgreSQL over the wire: position, history, role,
// slots, lag and settings. It is the only package (with replication/admin) that
// imports pgx and pglogrepl. It knows no peers and no thresholds: a Verdict says
// what one server answered to one observer, never what should be done about it.
package replication

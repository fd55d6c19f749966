// Package replication reads PostgreSQL over the wire: position, history, role,
// slots, lag and settings. It is the only package (with replication/admin) that
// imports pgx and pglogrepl. It knows no peers and no thresholds: a Verdict says
// what one server answered to one observer, never what should be done about it.
//
// # How a verdict comes about
//
// A Watcher keeps one walsender connection per server. In between it waits on
// that connection, so that the end of a killed server is known in milliseconds;
// at each beat it asks IDENTIFY_SYSTEM and the role, and the SQL status now and
// then. An answer within the deadline is VerdictHealthy: proof of life, not proof
// that commits work.
//
// Anything else drops the connection, and one fresh connection decides. What the
// server, its kernel or nobody says then is the verdict, by code and never by
// text (Classify), and the code stays beside it as the cause:
//
//	57P03, 57P02          starting, or shutting_down when 57P01 came before
//	57P01                 shutting_down
//	28P01 28000 42501 ... auth_refused: password, pg_hba, right, database
//	25006                 read_only
//	53300                 saturated, at an ordinary login
//	ECONNREFUSED ENOENT   down: the host answers, the server does not
//	EHOSTUNREACH ...      unreachable, and a timeout before TCP connects
//	timeout after it      hung: somebody listens and is silent
//	dns tls protocol      unknown: it proves nothing about the server
//
// A dial that hangs is held instead of repeated: each new one would stay in the
// listen queue of a stopped server until that is full and drops everybody's.
//
// A CommitProbe, which a service points at its own primary only, tells what an
// answer hides: when a local commit ends and a normal one does not, commits wait
// for a standby (sync_stalled); when neither ends, for the disk
// (storage_stalled); when logins have no slot left, saturated.
//
// Deadlines are on the observer's monotonic clock and grow with the lateness at
// which this process itself is woken (patience.go): a starved observer must not
// accuse. Combining what several observers saw is package view's.
package replication

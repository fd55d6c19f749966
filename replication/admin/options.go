package admin

import (
	"errors"
	"fmt"
	"regexp"
)

// The roles. They are separate so that a stolen password of the watching role
// can promote nothing.
const (
	RoleMonitor = "watchdog_mon"    // watches: reads statistics, opens walsenders
	RoleAct     = "watchdog_act"    // acts on an operator's confirmed command
	RoleRepl    = "watchdog_repl"   // the standby's upstream connection, and base backups
	RoleRewind  = "watchdog_rewind" // the source connection of pg_rewind
)

// Roles lists them in the order of installation.
func Roles() []string { return []string{RoleMonitor, RoleAct, RoleRepl, RoleRewind} }

// MinServerVersion is the oldest server_version_num that is served.
const MinServerVersion = 140000

// alterSystemVersion is where rights on single parameters, and the role
// pg_checkpoint, begin.
const alterSystemVersion = 150000

// ErrNeedsSuperuser is returned for PostgreSQL 14 unless Options allow it:
// there, ALTER SYSTEM and CHECKPOINT cannot be granted, so the acting role
// would have to be a superuser.
var ErrNeedsSuperuser = errors.New("PostgreSQL 14 can grant neither ALTER SYSTEM nor CHECKPOINT: " + RoleAct +
	" would have to be a superuser; upgrade to 15, or allow it with --superuser-act")

// Options sets up Script and Apply.
type Options struct {
	// ServerVersion is server_version_num, for Script; Apply asks the server.
	ServerVersion int
	// Database holds the schema; grants on functions hold in it alone. Script
	// needs it; Apply asks the server.
	Database string
	// PasswordFiles gives, by role name, the file whose first line is the
	// password. A role without one gets no password and keeps the one it has:
	// it logs in by certificate or peer, or not at all. Script ignores them.
	PasswordFiles map[string]string
	// SuperuserAct lets the acting role be a superuser on PostgreSQL 14.
	SuperuserAct bool
}

// plainDatabase keeps names that need more than quotes out of scripts.
var plainDatabase = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`)

func (o Options) check() error {
	if o.ServerVersion < MinServerVersion {
		return fmt.Errorf("write init-db script: server version %d is older than %d", o.ServerVersion, MinServerVersion)
	}
	if !plainDatabase.MatchString(o.Database) {
		return fmt.Errorf("write init-db script: database name %.80q: want letters, digits, dot, dash and underscore", o.Database)
	}
	if o.ServerVersion < alterSystemVersion && !o.SuperuserAct {
		return ErrNeedsSuperuser
	}
	for role := range o.PasswordFiles {
		switch role {
		case RoleMonitor, RoleAct, RoleRepl, RoleRewind:
		default:
			return fmt.Errorf("write init-db script: password file for unknown role %q", role)
		}
	}
	return nil
}

package replication

import (
	"fmt"
	"strings"
)

// quoteLiteral gives s as an SQL string constant, whatever
// standard_conforming_strings says (PostgreSQL: quote_literal). A NUL byte
// cannot be sent and is dropped with what follows by the server; callers check.
func quoteLiteral(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		q = " E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// CheckSlotName accepts exactly PostgreSQL's names of replication slots:
// [a-z0-9_]{1,63} (src/backend/replication/slot.c). Every name passes here
// before it reaches a command.
func CheckSlotName(name string) error {
	if len(name) < 1 || len(name) > 63 {
		return fmt.Errorf("check slot name %.80q: want 1 to 63 characters", name)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Errorf("check slot name %q: only a to z, 0 to 9 and _ are allowed", name)
		}
	}
	return nil
}

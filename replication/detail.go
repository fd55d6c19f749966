package replication

import (
	"errors"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxDetail bounds words from outside, in bytes: one line of evidence.
const maxDetail = 300

// detail gives the server's or the kernel's own words for the evidence line:
// one line, valid UTF-8, no control characters, bounded. Nothing is judged by
// it.
func detail(err error) string {
	words := err.Error()
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		words = pg.Message
	}
	if len(words) > maxDetail {
		words = words[:maxDetail]
	}
	words = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(words, "?"))
	return strings.Join(strings.Fields(words), " ")
}

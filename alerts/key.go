package alerts

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Key identifies an incident on every node without the nodes talking: 64 hex
// digits of a hash. It is also what a pager deduplicates by.
type Key string

// NewKey hashes what makes an incident the same one everywhere. The leading
// "wd1" is the version of the rule.
func NewKey(systemID, code, subject string) Key {
	sum := sha256.Sum256([]byte(strings.Join([]string{"wd1", systemID, code, subject}, "|")))
	return Key(hex.EncodeToString(sum[:]))
}

// ID is the short form for people, e.g. "4F2A". Two open incidents share one
// with a chance of 1 in 65536; commands that take an ID accept more digits.
func (k Key) ID() string { return strings.ToUpper(k.cut(4)) }

// short is the form used in marks and message ids: 64 bits.
func (k Key) short() string { return k.cut(16) }

func (k Key) cut(n int) string { return string(k[:min(n, len(k))]) }

// identity is how one engine finds its own incident again: it needs no system
// identifier, so an incident may begin before that is known.
func identity(code, subject string) string { return code + "\x00" + subject }

// targetOf names a channel and address pair in marks without carrying the
// address over gossip.
func targetOf(channel, address string) string {
	sum := sha256.Sum256([]byte("wd1|" + channel + "|" + strings.ToLower(address)))
	return hex.EncodeToString(sum[:4])
}

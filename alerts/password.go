package alerts

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// secret keeps its value out of every print.
type secret string

// String hides the value.
func (secret) String() string { return "(hidden)" }

// GoString hides the value.
func (secret) GoString() string { return "(hidden)" }

// gmailGroups is how Gmail shows an application password: four groups of four
// letters. The spaces are for reading only.
var gmailGroups = regexp.MustCompile(`^[a-z]{4}( [a-z]{4}){3}$`)

// maxPasswordBytes refuses a wrong file, e.g. a log, before it is sent anywhere.
const maxPasswordBytes = 4096

// readPassword reads the file at each use, so that a changed password works
// without a restart. Others must not be able to read it.
func readPassword(path string) (secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read mail password: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPasswordBytes {
		return "", fmt.Errorf("read mail password: %s is no file of one password", path)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("read mail password: %s is open to everybody (mode %04o): run chmod 0600 %s",
			path, info.Mode().Perm(), path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read mail password: %w", err)
	}
	password, err := parsePassword(raw)
	if err != nil {
		return "", fmt.Errorf("read mail password from %s: %w", path, err)
	}
	return password, nil
}

func parsePassword(raw []byte) (secret, error) {
	line := string(bytes.TrimRight(raw, "\r\n"))
	if strings.ContainsAny(line, "\r\n\x00") {
		return "", errors.New("the file holds more than one line")
	}
	// Fields also knows the no-break space that browsers copy.
	if words := strings.Join(strings.Fields(line), " "); gmailGroups.MatchString(words) {
		return secret(strings.ReplaceAll(words, " ", "")), nil
	}
	if strings.TrimSpace(line) == "" {
		return "", errors.New("the file is empty")
	}
	return secret(line), nil
}

// redacted is an error text without the password in any form that the protocol
// carries, in case a server repeats what it was sent. It wraps nothing, so that
// the original cannot be printed further up.
func redacted(err error, user string, password secret) error {
	if err == nil || password == "" {
		return err
	}
	p, enc := string(password), base64.StdEncoding.EncodeToString
	text := err.Error()
	for _, form := range []string{
		enc([]byte("\x00" + user + "\x00" + p)), enc([]byte(user + "\x00" + user + "\x00" + p)), enc([]byte(p)), p,
	} {
		text = strings.ReplaceAll(text, form, "(hidden)")
	}
	return errors.New(clean(text, maxLine))
}

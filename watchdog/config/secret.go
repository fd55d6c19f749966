package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSecretBytes bounds what is read as a secret; a passfile is the largest.
const maxSecretBytes = 64 << 10

// Secret names a file that holds a secret. The value is never kept here: it is
// read when it is needed, so that it can be rotated, and so that no dump of the
// configuration can show it.
type Secret struct {
	Name string // as written
	Path string // as found by Load; empty while Name is
}

// Set reports whether a file is named.
func (s Secret) Set() bool { return s.Name != "" }

// String gives the name as written.
func (s Secret) String() string { return s.Name }

// Read gives the secret without its trailing line break. It checks the file's
// mode again.
func (s Secret) Read() (string, error) {
	if s.Path == "" {
		return "", errors.New("read secret: no file is named")
	}
	f, err := os.Open(s.Path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if reason, _ := tooOpen(s.Path, info, os.Getenv(credentialsEnv)); reason != "" {
		return "", fmt.Errorf("read secret %s: %s", s.Path, reason)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes))
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", s.Path, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// credentialsEnv is where systemd puts the credentials of a unit
// (systemd.exec(5), LoadCredential=).
const credentialsEnv = "CREDENTIALS_DIRECTORY"

// locate finds a secret's file: an absolute name as it is, a relative one in
// the credentials directory and then beside the configuration.
func locate(name, credentials, configDir string) string {
	if filepath.IsAbs(name) {
		return name
	}
	if credentials != "" {
		p := filepath.Join(credentials, name)
		if _, err := os.Lstat(p); err == nil {
			return p
		}
	}
	return filepath.Join(configDir, name)
}

// missingHint is the advice for a secret that no command makes.
const missingHint = "create it, readable by the service's user alone"

// checkSecret gives the reason why a secret's file cannot be used, and what to
// do about it; both empty when it can.
func checkSecret(path, credentials string) (reason, hint string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("the file %s does not exist", path), missingHint
	case err != nil:
		return fmt.Sprintf("the file %s cannot be looked at: %v", path, errors.Unwrap(err)), ""
	}
	if reason, hint = tooOpen(path, info, credentials); reason != "" {
		return reason, hint
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Sprintf("the file %s cannot be read: %v", path, errors.Unwrap(err)), "its owner must be the user that the service runs as"
	}
	_ = f.Close()
	if info.Size() == 0 {
		return fmt.Sprintf("the file %s is empty", path), ""
	}
	return "", ""
}

// tooOpen refuses what others may read. In the credentials directory group
// bits are the mask of an access list that names the service's user alone, so
// they are no leak there.
func tooOpen(path string, info fs.FileInfo, credentials string) (reason, hint string) {
	if !info.Mode().IsRegular() {
		return fmt.Sprintf("%s is not a regular file", path), ""
	}
	bits := info.Mode().Perm() & 0o077
	if credentials != "" && filepath.Dir(path) == filepath.Clean(credentials) {
		bits &= 0o007
	}
	if bits == 0 {
		return "", ""
	}
	who := "its group"
	if bits&0o007 != 0 {
		who = "everybody"
	}
	return fmt.Sprintf("the secret %s has mode %04o: %s may use it", path, info.Mode().Perm(), who), "chmod 600 " + path
}

package admin

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// scramIterations and scramSalt are PostgreSQL's own
// (src/include/common/scram-common.h).
const (
	scramIterations = 4096
	scramSalt       = 16
)

// verifierFromFile reads a password file (first line) and gives what
// PostgreSQL stores for it. Other users must not be able to read the file.
func verifierFromFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read password file: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("read password file %s: readable by everybody; run: chmod 0600 %s", path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read password file: %w", err)
	}
	password, _, _ := strings.Cut(string(b), "\n")
	salt := make([]byte, scramSalt)
	rand.Read(salt) //nolint:errcheck // never fails: it ends the program instead
	return verifier(strings.TrimSuffix(password, "\r"), salt)
}

// verifier computes PostgreSQL's SCRAM-SHA-256 verifier (RFC 5803, and
// src/common/scram-common.c). Only printable ASCII is taken: other characters
// would need SASLprep on both sides alike.
func verifier(password string, salt []byte) (string, error) {
	if password == "" {
		return "", errors.New("password is empty")
	}
	for _, c := range []byte(password) {
		if c < 0x20 || c > 0x7e {
			return "", errors.New("password holds a character that is not printable ASCII")
		}
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive SCRAM key: %w", err)
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, b64(salt), b64(stored[:]), b64(keyed(salted, "Server Key"))), nil
}

func keyed(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

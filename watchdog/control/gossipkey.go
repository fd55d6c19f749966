package control

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// GossipKeyBytes is the length of a gossip key: AES-256.
const GossipKeyBytes = 32

// maxGossipKeys bounds a key file: every packet may be tried with each of them.
const maxGossipKeys = 8

// GenerateGossipKey makes a gossip key.
func GenerateGossipKey() ([]byte, error) {
	key := make([]byte, GossipKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("generate gossip key: %w", err)
	}
	return key, nil
}

// EncodeGossipKeys gives the file form: one base64 line per key, the one that is
// used for sending first.
func EncodeGossipKeys(keys ...[]byte) []byte {
	var b bytes.Buffer
	for _, k := range keys {
		b.WriteString(base64.StdEncoding.EncodeToString(k))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// LoadGossipKeys reads a gossip key file. The first key is used for sending, all
// of them for receiving; to rotate, append the new key on every node, then move
// it to the front on every node, then remove the old one. A file that others may
// read gives *SecretFileError.
func LoadGossipKeys(path string) ([][]byte, error) {
	b, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	keys, err := decodeGossipKeys(b)
	if err != nil {
		return nil, &SecretFileError{Path: path, Problem: err.Error(), Hint: "watchdog key gossip " + path}
	}
	return keys, nil
}

func decodeGossipKeys(b []byte) ([][]byte, error) {
	var keys [][]byte
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(key) != GossipKeyBytes {
			return nil, fmt.Errorf("line %d is not %d bytes in base64", n, GossipKeyBytes)
		}
		if slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
			return nil, fmt.Errorf("line %d repeats a key", n)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("holds no key")
	}
	if len(keys) > maxGossipKeys {
		return nil, fmt.Errorf("holds %d keys, at most %d are allowed", len(keys), maxGossipKeys)
	}
	return keys, nil
}

package control

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// publicKeyPrefix names the kind of key, so that no other base64 text of 32
// bytes passes for one.
const publicKeyPrefix = "wdpub-ed25519:"

const pemPrivateKey = "PRIVATE KEY" // PKCS #8, RFC 5958

// GenerateNodeKey makes a node's private key.
func GenerateNodeKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate node key: %w", err)
	}
	return key, nil
}

// EncodeNodeKey gives the file form of a node's key: PEM, PKCS #8.
func EncodeNodeKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode node key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: der}), nil
}

// LoadNodeKey reads a node's key. A file that others may read gives
// *SecretFileError.
func LoadNodeKey(path string) (ed25519.PrivateKey, error) {
	b, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	key, err := decodeNodeKey(b)
	if err != nil {
		return nil, &SecretFileError{Path: path, Problem: err.Error(), Hint: "watchdog key node " + path}
	}
	return key, nil
}

func decodeNodeKey(b []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemPrivateKey {
		return nil, errors.New("is not a PEM file with a PKCS #8 private key")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("holds more than one key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("holds a private key that cannot be decoded") // the cause may quote key material
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("holds a %T, not an Ed25519 key", parsed)
	}
	return key, nil
}

// PublicOf gives the public half of a node's key.
func PublicOf(key ed25519.PrivateKey) PublicKey {
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return PublicKey{}
	}
	return PublicKey(pub)
}

// String gives the one-line form of the configuration: wdpub-ed25519:BASE64.
func (k PublicKey) String() string {
	return publicKeyPrefix + base64.StdEncoding.EncodeToString(k[:])
}

// ParsePublicKey reads the form that String gives, and no other.
func ParsePublicKey(s string) (PublicKey, error) {
	text, ok := strings.CutPrefix(s, publicKeyPrefix)
	if !ok {
		return PublicKey{}, fmt.Errorf("parse public key: want the form %sBASE64", publicKeyPrefix)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return PublicKey{}, fmt.Errorf("parse public key: %w", err)
	}
	if len(b) != ed25519.PublicKeySize {
		return PublicKey{}, fmt.Errorf("parse public key: has %d bytes, want %d", len(b), ed25519.PublicKeySize)
	}
	k := PublicKey(b)
	if k == (PublicKey{}) || k.String() != s { // the decoder skips line ends
		return PublicKey{}, errors.New("parse public key: is not a public key in its one-line form")
	}
	return k, nil
}

package control

import (
	"crypto/ed25519"
	"crypto/tls"
	"time"
)

// Openings for the tests of this package.
var (
	SelfSignedBetween = selfSignedBetween
	ClientTLS         = clientTLS
	DecodeProblem     = decodeProblem
	DecodeNodeKey     = decodeNodeKey
	DecodeGossipKeys  = decodeGossipKeys
	CheckSecretMode   = checkSecretMode
)

// Credentials make a caller's kernel credentials for table tests.
func AllowedCredentials(uid, gid uint32, groups []uint32, own uint32, operators int) bool {
	return credentials{uid: uid, gid: gid, groups: groups}.allowed(own, operators)
}

// ExpiredCertificate gives a certificate that ended long ago.
func ExpiredCertificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	return selfSignedBetween("old", key, time.Unix(0, 0), time.Unix(86400, 0))
}

package control

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// selfSigned wraps a node's key in the certificate that TLS asks for. Only the
// key in it counts; the dates are the widest that X.509 can say, for tools that
// look at them.
func selfSigned(node string, key ed25519.PrivateKey) (tls.Certificate, error) {
	return selfSignedBetween(node, key,
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)) // RFC 5280, 4.1.2.5: no well-defined expiry
}

func selfSignedBetween(node string, key ed25519.PrivateKey, from, to time.Time) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: node},
		NotBefore:    from, NotAfter: to,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate of node %s: %w", node, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// serverTLS admits only pinned keys, over TLS 1.3. Session tickets are off: a
// resumed session would outlive a key that was taken away.
func serverTLS(cert tls.Certificate, pins *Pins) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{cert},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := pins.admit(s, "")
			return err
		},
	}
}

// clientTLS talks only to the node named want. The checks of names, chains and
// dates are switched off because the pinned key replaces them.
func clientTLS(cert tls.Certificate, pins *Pins, want string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{cert},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection pins the key
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := pins.admit(s, want)
			return err
		},
	}
}

package demo

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/google/renameio/v2"
)

// SelfSigned makes a certificate for names, host names and addresses, that
// lasts a month; certPEM is what a client has to trust.
func SelfSigned(names ...string) (cert tls.Certificate, certPEM []byte, err error) {
	if len(names) == 0 {
		return tls.Certificate{}, nil, errors.New("make certificate: no name to make it out to")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make certificate: %w", err)
	}
	cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if cert.Leaf, err = x509.ParseCertificate(der); err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make certificate: %w", err)
	}
	return cert, certificatePEM(der), nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// keptCertificate is SelfSigned, but gives what file holds as long as that is
// good for every name and for another week.
func keptCertificate(file string, names []string) (tls.Certificate, []byte, error) {
	if file == "" {
		return SelfSigned(names...)
	}
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, nil, fmt.Errorf("read kept certificate: %w", err)
	}
	if cert, err := tls.X509KeyPair(data, data); err == nil && serves(cert.Leaf, names) {
		return cert, certificatePEM(cert.Certificate[0]), nil
	}
	cert, certPEM, err := SelfSigned(names...)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("encode key: %w", err)
	}
	both := bytes.Join([][]byte{certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})}, nil)
	if err := renameio.WriteFile(file, both, 0o600); err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("keep certificate: %w", err)
	}
	return cert, certPEM, nil
}

func serves(cert *x509.Certificate, names []string) bool {
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return time.Now().Add(7 * 24 * time.Hour).Before(cert.NotAfter)
}

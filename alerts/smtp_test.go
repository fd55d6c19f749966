package alerts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mailServer is a real SMTP server on the loopback whose answers a test sets.
type mailServer struct {
	addr  *net.TCPAddr
	roots *x509.CertPool

	mu       sync.Mutex
	auth     func(user, password string) error
	mailFrom func() error
	rcpt     func(to string) error
	data     func(c *smtp.Conn, raw string) error // after the final dot
	mails    []caught
	logins   []string
	sessions int
	arrived  chan caught
}

type caught struct {
	From string
	To   []string
	Raw  string
}

type serverStyle struct {
	noTLS    bool // offers no STARTTLS
	implicit bool
	noAuth   bool
}

func startMailServer(t *testing.T, style serverStyle) *mailServer {
	t.Helper()
	cert, roots := selfSigned(t)
	s := &mailServer{roots: roots, arrived: make(chan caught, 1000)}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s.mu.Lock()
		s.sessions++
		s.mu.Unlock()
		session := &mailSession{server: s, conn: c}
		if style.noAuth {
			return struct{ smtp.Session }{session}, nil
		}
		return session, nil
	}))
	server.Domain, server.ErrorLog = "localhost", log.New(io.Discard, "", 0)
	server.AllowInsecureAuth = true // a client that would send its password in clear must be caught doing so
	if !style.noTLS {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().(*net.TCPAddr)
	if style.implicit {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // Close knows no listener that Serve has not reached yet
		wg.Wait()
	})
	return s
}

func (s *mailServer) set(edit func(*mailServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(s)
}

func (s *mailServer) caught() []caught {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func (s *mailServer) seenLogins() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.logins)
}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	mail   caught
}

func (*mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (m *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		m.server.mu.Lock()
		defer m.server.mu.Unlock()
		m.server.logins = append(m.server.logins, user+"/"+password)
		if m.server.auth == nil {
			return nil
		}
		return m.server.auth(user, password)
	}), nil
}

func (*mailSession) Reset()        {}
func (*mailSession) Logout() error { return nil }

func (m *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	m.mail = caught{From: from}
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	if m.server.mailFrom == nil {
		return nil
	}
	return m.server.mailFrom()
}

func (m *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	m.server.mu.Lock()
	answer := m.server.rcpt
	m.server.mu.Unlock()
	if answer != nil {
		if err := answer(to); err != nil {
			return err
		}
	}
	m.mail.To = append(m.mail.To, to)
	return nil
}

func (m *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mail.Raw = string(raw)
	m.server.mu.Lock()
	answer := m.server.data
	m.server.mu.Unlock()
	if answer != nil {
		if err := answer(m.conn, m.mail.Raw); err != nil {
			return err
		}
	}
	m.server.mu.Lock()
	m.server.mails = append(m.server.mails, m.mail)
	m.server.mu.Unlock()
	m.server.arrived <- m.mail
	return nil
}

func reply(code int, enhanced smtp.EnhancedCode, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// selfSigned makes a certificate for the loopback and the pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail sink"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// canary is the password that must not appear anywhere but in the login.
const canary = "s3cret-canary-pässword"

func passwordFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "smtp-password")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *mailServer) options(t *testing.T) MailOptions {
	return MailOptions{
		Host: "127.0.0.1", Port: s.addr.Port, RootCAs: s.roots,
		Username: "watchdog@example.org", PasswordFile: passwordFile(t, canary+"\n"),
		From: "Watchdog <watchdog@example.org>", HELO: "localhost", Timeout: 10 * time.Second,
	}
}

func (s *mailServer) sink(t *testing.T, edit func(*MailOptions)) *MailSink {
	t.Helper()
	o := s.options(t)
	if edit != nil {
		edit(&o)
	}
	sink, err := NewMailSink(o)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func sampleMessage() Message {
	key := NewKey("7300000000000000001", CodeNoPrimary, "pair")
	return Message{
		Key: key, Incident: key.ID(), Instance: 2, Event: EventFiring, Code: CodeNoPrimary, Subject: "pair",
		Severity: SeverityPage, Title: "[PAGE] NoPrimary: no writable server in prod (" + key.ID() + ")",
		Lead: "FIRING since now.", Body: "FIRING since now.\n\nNo server accepts writes: grüße.\n",
		At: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC), Node: "node-b", Footer: []string{"Sent by node-b."},
	}
}

var errClosed = errors.New("connection closed by the test")

func wantOutcome(t *testing.T, d Delivery, want Outcome, fault bool) {
	t.Helper()
	if d.Outcome != want || d.ChannelFault != fault {
		t.Errorf("outcome %s, channel fault %v (%v), want %s, %v", d.Outcome, d.ChannelFault, d.Err, want, fault)
	}
	if (d.Err == nil) != (want == OutcomeDelivered) {
		t.Errorf("outcome %s has the error %v", d.Outcome, d.Err)
	}
	if d.Err != nil && strings.Contains(d.Err.Error(), canary) {
		t.Errorf("the error shows the password: %v", d.Err)
	}
}

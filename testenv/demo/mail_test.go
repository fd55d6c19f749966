package demo_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/wneessen/go-mail"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// startSink runs a sink that ends with the test.
func startSink(t *testing.T, o demo.MailOptions) *demo.MailSink {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := demo.NewMailSink(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("mail sink: %v", err)
		}
	})
	return s
}

// send sends one mail over STARTTLS, trusting the sink's certificate by name.
func send(t *testing.T, s *demo.MailSink, to string, options ...mail.Option) error {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CertPEM())
	options = append([]mail.Option{
		mail.WithPort(number), mail.WithTLSPortPolicy(mail.TLSMandatory), mail.WithPort(number),
		mail.WithTLSConfig(&tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}),
	}, options...)
	c, err := mail.NewClient(host, options...)
	if err != nil {
		t.Fatal(err)
	}
	m := mail.NewMsg()
	if err := errors.Join(m.From("watchdog@example.org"), m.To(to)); err != nil {
		t.Fatal(err)
	}
	m.Subject("db1: no primary – look at once")
	m.SetBodyString(mail.TypeTextPlain, "No node accepts writes.\n")
	return c.DialAndSendWithContext(t.Context(), m)
}

func TestMailSink_EncryptedAndAuthenticated_KeepsTheMessage(t *testing.T) {
	for _, mechanism := range []mail.SMTPAuthType{mail.SMTPAuthPlain, mail.SMTPAuthLogin} {
		t.Run(string(mechanism), func(t *testing.T) {
			s := startSink(t, demo.MailOptions{User: "watchdog", Password: "secret"})
			err := send(t, s, "ops@example.org", mail.WithSMTPAuth(mechanism), mail.WithUsername("watchdog"), mail.WithPassword("secret"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Messages()
			if err != nil || len(got) != 1 {
				t.Fatalf("%d messages, %v; want one", len(got), err)
			}
			m := got[0]
			if m.From != "watchdog@example.org" || len(m.To) != 1 || m.To[0] != "ops@example.org" ||
				m.Subject != "db1: no primary – look at once" || !strings.Contains(m.Body, "No node accepts writes.") {
				t.Errorf("message kept as %+v", m)
			}
			if text, err := m.Text(); err != nil || text != "No node accepts writes.\n" {
				t.Errorf("text %q, %v", text, err)
			}
		})
	}
}

func TestMailSink_WrongPasswordOrNone_RefusedAndNothingKept(t *testing.T) {
	s := startSink(t, demo.MailOptions{User: "watchdog", Password: "secret"})
	if err := send(t, s, "ops@example.org", mail.WithSMTPAuth(mail.SMTPAuthPlain), mail.WithUsername("watchdog"), mail.WithPassword("guess")); err == nil {
		t.Error("a wrong password was accepted")
	}
	if err := send(t, s, "ops@example.org"); err == nil {
		t.Error("mail without a password was accepted")
	}
	if got, err := s.Messages(); err != nil || len(got) != 0 {
		t.Errorf("%d messages, %v; want none", len(got), err)
	}
}

func TestMailSink_RefusedRecipient_TheOthersGetTheirs(t *testing.T) {
	s := startSink(t, demo.MailOptions{Refuse: func(to string) error {
		if to == "gone@example.org" {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		}
		return nil
	}})
	if err := send(t, s, "gone@example.org"); err == nil || !strings.Contains(err.Error(), "550") {
		t.Errorf("refused recipient: %v, want the code 550", err)
	}
	if err := send(t, s, "ops@example.org"); err != nil {
		t.Error(err)
	}
	if got, err := demo.ReadMail(s.Dir()); err != nil || len(got) != 1 {
		t.Errorf("%d messages, %v; want one", len(got), err)
	}
}

// TestMailSink_StartsAgain_TheOldCAStillTrusted: the services read the
// certificate once, and the mail server may be restarted under them.
func TestMailSink_StartsAgain_TheOldCAStillTrusted(t *testing.T) {
	dir := t.TempDir()
	o := demo.MailOptions{Dir: dir, Names: []string{"mail", "localhost", "127.0.0.1"},
		CAFile: filepath.Join(dir, "ca.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	first := startSink(t, o)
	ca, err := os.ReadFile(o.CAFile)
	if err != nil || !bytes.Equal(ca, first.CertPEM()) {
		t.Fatalf("CA file: %v, or not the certificate", err)
	}
	again := startSink(t, o)
	if !bytes.Equal(again.CertPEM(), ca) {
		t.Error("another certificate after the second start")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	err = send(t, again, "ops@example.org", mail.WithTLSConfig(&tls.Config{RootCAs: roots, ServerName: "mail", MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Errorf("send to the name mail: %v", err)
	}
	o.Names = []string{"post"}
	if moved := startSink(t, o); bytes.Equal(moved.CertPEM(), ca) {
		t.Error("the kept certificate is used for a name that is not in it")
	}
	if info, err := os.Stat(o.KeyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; want mode 0600", info, err)
	}
}

func TestMessage_Text_UndoesWhatMailersDo(t *testing.T) {
	tests := []struct{ name, kind, encoding, body, want string }{
		{"nothing said", "", "", "hello\r\n", "hello\n"},
		{"quoted-printable", "text/plain; charset=UTF-8", "quoted-printable", "caf=C3=A9 =\r\nnoir", "café noir"},
		{"base64 over two lines", "text/plain", "base64", "Y2Fm\r\nw6k=\r\n", "café"},
		{"alternatives", "multipart/alternative; boundary=b", "",
			"--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db\r\n--b--\r\n", "a=b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := demo.Message{Body: tt.body, Header: map[string][]string{}}
			if tt.kind != "" {
				m.Header["Content-Type"] = []string{tt.kind}
			}
			if tt.encoding != "" {
				m.Header["Content-Transfer-Encoding"] = []string{tt.encoding}
			}
			if got, err := m.Text(); err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	html := demo.Message{Body: "<p>", Header: map[string][]string{"Content-Type": {"text/html"}}}
	if got, err := html.Text(); err == nil {
		t.Errorf("text %q of a message that has none", got)
	}
}

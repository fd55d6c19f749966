package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/wneessen/go-mail"
)

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMail_ByNameWithItsCA_ReadableInTheMailbox(t *testing.T) {
	dir, password := t.TempDir(), filepath.Join(t.TempDir(), "password")
	writeFile(t, password, "s3cret\n")
	addr, _ := start(t, `listens on (\S+),`, "mail", "--listen", "127.0.0.1:0", "--dir", dir, "--user", "watchdog", "--password-file", password)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	client, err := mail.NewClient("127.0.0.1", mail.WithTLSPortPolicy(mail.TLSMandatory), mail.WithPort(number),
		mail.WithTLSConfig(&tls.Config{RootCAs: roots, ServerName: "mail", MinVersion: tls.VersionTLS12}),
		mail.WithSMTPAuth(mail.SMTPAuthPlain), mail.WithUsername("watchdog"), mail.WithPassword("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	if code, out, _ := do(t, "mailbox", "--dir", dir); code != 0 || out != "no mail\n" {
		t.Errorf("empty mailbox: exit %d, %q", code, out)
	}
	m := mail.NewMsg()
	if err := errors.Join(m.From("watchdog@lab.test"), m.To("ops@lab.test", "boss@lab.test")); err != nil {
		t.Fatal(err)
	}
	m.Subject("db1: non è più primario")
	m.SetBodyString(mail.TypeTextPlain, "perché = motivo\n\x1b[2J"+strings.Repeat("x", 100)+"\n")
	if err := client.DialAndSendWithContext(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := do(t, "mailbox", "--dir", dir, "--json")
	var letters []letter
	if err := json.Unmarshal([]byte(out), &letters); code != 0 || err != nil || len(letters) != 1 {
		t.Fatalf("exit %d, %v, %s%s", code, err, out, errOut)
	}
	l := letters[0]
	if l.Subject != "db1: non è più primario" || len(l.To) != 2 || l.From != "watchdog@lab.test" || !strings.HasPrefix(l.Text, "perché = motivo\n") || l.At.IsZero() {
		t.Errorf("letter %+v", l)
	}
	_, out, _ = do(t, "mailbox", "--dir", dir)
	for _, want := range []string{"subject: db1: non è più primario", "ops@lab.test, boss@lab.test", "perché = motivo", strings.Repeat("x", 100)} {
		if !strings.Contains(out, want) || strings.Contains(out, "\x1b") {
			t.Errorf("printed without %q, or with a control character:\n%q", want, out)
		}
	}
}

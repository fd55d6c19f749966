package alerts

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMail_PasswordFile_ReadForEachMessage(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	path := passwordFile(t, "old")
	sink := server.sink(t, func(o *MailOptions) { o.PasswordFile = path })
	wantOutcome(t, sink.Send(t.Context(), sampleMessage(), ann), OutcomeDelivered, false)
	if err := os.WriteFile(path, []byte("abcd efgh ijkl mnop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, sink.Send(t.Context(), sampleMessage(), ann), OutcomeDelivered, false)
	if got := server.seenLogins(); len(got) != 2 || got[1] != "watchdog@example.org/abcdefghijklmnop" {
		t.Errorf("logins %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, sink.Send(t.Context(), sampleMessage(), ann), OutcomeTemporary, true)
}

func TestParsePassword(t *testing.T) {
	for in, want := range map[string]string{
		"abcd efgh ijkl mnop\n":                  "abcdefghijklmnop",
		"abcd\u00a0efgh\u00a0ijkl\u00a0mnop\r\n": "abcdefghijklmnop",
		"abcdefghijklmnop":                       "abcdefghijklmnop",
		"two words of another server":            "two words of another server",
		" leading space counts":                  " leading space counts",
	} {
		if got, err := parsePassword([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q reads as %q (%v), want %q", in, string(got), err, want)
		}
	}
	for _, in := range []string{"", "\n", "   \n", "a\nb\n"} {
		if got, err := parsePassword([]byte(in)); err == nil {
			t.Errorf("%q reads as %q, want an error", in, string(got))
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v %s %+v %#v", secret(canary), secret(canary), struct{ P secret }{canary}, struct{ P secret }{canary})
	if strings.Contains(b.String(), canary) {
		t.Errorf("a secret prints as %s", b.String())
	}
}

func TestNewMailSink_BadOptions_Refused(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	open := passwordFile(t, canary)
	if err := os.Chmod(open, 0o644); err != nil { //nolint:gosec // the point of the test
		t.Fatal(err)
	}
	for want, edit := range map[string]func(*MailOptions){
		"server is missing":  func(o *MailOptions) { o.Host = "" },
		"sender":             func(o *MailOptions) { o.From = "nobody" },
		"needed together":    func(o *MailOptions) { o.Username = "" },
		"open to everybody":  func(o *MailOptions) { o.PasswordFile = open },
		"no such file":       func(o *MailOptions) { o.PasswordFile = filepath.Join(t.TempDir(), "none") },
		"to this machine":    func(o *MailOptions) { o.TLS = MailLoopbackPlain },
		"unknown TLS policy": func(o *MailOptions) { o.TLS = 9 },
		"port 70000 is none": func(o *MailOptions) { o.Port = 70000 },
		"timeout -1ns":       func(o *MailOptions) { o.Timeout = -1 },
		"no file of one":     func(o *MailOptions) { o.PasswordFile = t.TempDir() },
		"mail without TLS go": func(o *MailOptions) {
			o.TLS, o.Host, o.Username, o.PasswordFile = MailLoopbackPlain, "smtp.example.org", "", ""
		},
	} {
		o := server.options(t)
		edit(&o)
		if _, err := NewMailSink(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

package alerts

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

var ann = Recipient{Name: "Ann", Address: "ann@example.org"}

func parseMail(t *testing.T, raw string) (*netmail.Message, string) {
	t.Helper()
	msg, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("read mail: %v\n%s", err, raw)
	}
	r := msg.Body
	if msg.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		r = quotedprintable.NewReader(r)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return msg, strings.ReplaceAll(string(body), "\r\n", "\n")
}

func TestMail_StartTLSAndLogin_Delivered(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	sink := server.sink(t, nil)
	m := sampleMessage()
	wantOutcome(t, sink.Send(t.Context(), m, ann), OutcomeDelivered, false)
	wantOutcome(t, sink.Send(t.Context(), m, ann), OutcomeDelivered, false)
	mails := server.caught()
	if len(mails) != 2 || len(mails[0].To) != 1 || mails[0].To[0] != "ann@example.org" || mails[0].From != "watchdog@example.org" {
		t.Fatalf("caught %+v", mails)
	}
	if logins := server.seenLogins(); logins[0] != "watchdog@example.org/"+canary {
		t.Errorf("logged in as %q", logins)
	}
	msg, body := parseMail(t, mails[0].Raw)
	again, _ := parseMail(t, mails[1].Raw)
	key := m.Key.short()
	for name, want := range map[string]string{
		"Message-ID":               "<wd." + key + ".2.firing." + targetOf("mail", ann.Address) + "@example.org>",
		"References":               "<wd." + key + ".2@example.org>",
		"In-Reply-To":              "<wd." + key + ".2@example.org>",
		"Auto-Submitted":           "auto-generated",
		"X-Auto-Response-Suppress": "All",
		"X-Priority":               "1 (Highest)",
		"X-Watchdog-Incident":      m.Incident,
		"X-Watchdog-Rule":          "NoPrimary",
		"X-Watchdog-Subject":       "pair",
		"X-Watchdog-Severity":      "page",
		"X-Watchdog-State":         "firing",
		"X-Watchdog-Node":          "node-b",
		"Subject":                  m.Title,
		"Date":                     "Mon, 23 Nov 2026 14:00:00 +0000",
		"To":                       `"Ann" <ann@example.org>`,
	} {
		if got := msg.Header.Get(name); got != want && (name != "X-Priority" || got == "") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := again.Header.Get(name); got != msg.Header.Get(name) {
			t.Errorf("%s of the second attempt: %q, of the first %q", name, got, msg.Header.Get(name))
		}
	}
	if body != m.Text() {
		t.Errorf("body:\n%s\nwant:\n%s", body, m.Text())
	}
	if agent := msg.Header.Get("User-Agent") + msg.Header.Get("X-Mailer"); agent != "" {
		t.Errorf("the mail names its library: %q", agent)
	}
}

func TestMail_ImplicitTLS_Delivered(t *testing.T) {
	server := startMailServer(t, serverStyle{implicit: true})
	sink := server.sink(t, func(o *MailOptions) { o.TLS = MailImplicitTLS })
	wantOutcome(t, sink.Send(t.Context(), sampleMessage(), ann), OutcomeDelivered, false)
	if len(server.seenLogins()) != 1 {
		t.Errorf("logins %v, want one", server.seenLogins())
	}
}

func TestMail_LoopbackPlain_Delivered(t *testing.T) {
	server := startMailServer(t, serverStyle{noTLS: true, noAuth: true})
	sink := server.sink(t, func(o *MailOptions) { o.TLS, o.Username, o.PasswordFile = MailLoopbackPlain, "", "" })
	wantOutcome(t, sink.Send(t.Context(), sampleMessage(), ann), OutcomeDelivered, false)
}

func TestMail_ServerWithoutStartTLS_Refused_PasswordNotSent(t *testing.T) {
	server := startMailServer(t, serverStyle{noTLS: true})
	d := server.sink(t, nil).Send(t.Context(), sampleMessage(), ann)
	wantOutcome(t, d, OutcomePermanent, true)
	if logins := server.seenLogins(); len(logins) != 0 || len(server.caught()) != 0 {
		t.Errorf("logins %q, mails %v: the password went out in clear", logins, server.caught())
	}
}

func TestMail_ServerWithoutStartTLS_NoLoginEither_StillRefused(t *testing.T) {
	server := startMailServer(t, serverStyle{noTLS: true, noAuth: true})
	d := server.sink(t, func(o *MailOptions) { o.Username, o.PasswordFile = "", "" }).Send(t.Context(), sampleMessage(), ann)
	wantOutcome(t, d, OutcomePermanent, true)
	if got := server.caught(); len(got) != 0 {
		t.Errorf("%d mails went out in clear", len(got))
	}
}

func TestMail_UnknownCertificate_Refused_PasswordNotSent(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	for name, edit := range map[string]func(*MailOptions){
		"other roots": func(o *MailOptions) { o.RootCAs = x509.NewCertPool() },
		"other name":  func(o *MailOptions) { o.ServerName = "smtp.example.org" },
	} {
		t.Run(name, func(t *testing.T) {
			d := server.sink(t, edit).Send(t.Context(), sampleMessage(), ann)
			wantOutcome(t, d, OutcomePermanent, true)
			if logins := server.seenLogins(); len(logins) != 0 {
				t.Errorf("logged in at a server that was not verified: %q", logins)
			}
		})
	}
}

func TestMail_ServerAnswers_Classified(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(*mailServer)
		want  Outcome
		fault bool
	}{
		"535 bad password": {func(s *mailServer) {
			s.auth = func(string, string) error { return reply(535, smtp.EnhancedCode{5, 7, 8}, "bad credentials") }
		}, OutcomePermanent, true},
		"534 application password needed": {func(s *mailServer) {
			s.auth = func(string, string) error {
				return reply(534, smtp.EnhancedCode{5, 7, 9}, "application password needed")
			}
		}, OutcomePermanent, true},
		"454 login temporarily": {func(s *mailServer) {
			s.auth = func(string, string) error { return reply(454, smtp.EnhancedCode{4, 7, 0}, "try later") }
		}, OutcomeTemporary, false},
		"553 sender refused": {func(s *mailServer) {
			s.mailFrom = func() error { return reply(553, smtp.EnhancedCode{5, 7, 1}, "not your address") }
		}, OutcomePermanent, true},
		"530 login needed": {func(s *mailServer) {
			s.mailFrom = func() error { return reply(530, smtp.EnhancedCode{5, 7, 0}, "log in first") }
		}, OutcomePermanent, true},
		"550 unknown recipient": {func(s *mailServer) {
			s.rcpt = func(string) error { return reply(550, smtp.EnhancedCode{5, 1, 1}, "no such user") }
		}, OutcomePermanent, false},
		"550 daily quota": {func(s *mailServer) {
			s.rcpt = func(string) error { return reply(550, smtp.EnhancedCode{5, 4, 5}, "daily limit exceeded") }
		}, OutcomeTemporary, true},
		"451 greylisted": {func(s *mailServer) {
			s.rcpt = func(string) error { return reply(451, smtp.EnhancedCode{4, 7, 1}, "greylisted") }
		}, OutcomeTemporary, false},
		"452 after the final dot": {func(s *mailServer) {
			s.data = func(*smtp.Conn, string) error { return reply(452, smtp.EnhancedCode{4, 3, 1}, "disk full") }
		}, OutcomeTemporary, false},
		"554 refused content": {func(s *mailServer) {
			s.data = func(*smtp.Conn, string) error { return reply(554, smtp.EnhancedCode{5, 7, 1}, "looks like spam") }
		}, OutcomePermanent, false},
		"cut after the final dot": {func(s *mailServer) {
			s.data = func(c *smtp.Conn, _ string) error { _ = c.Close(); return errClosed }
		}, OutcomeUnknown, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := startMailServer(t, serverStyle{})
			server.set(c.set)
			wantOutcome(t, server.sink(t, nil).Send(t.Context(), sampleMessage(), ann), c.want, c.fault)
			if got := server.caught(); len(got) != 0 {
				t.Errorf("the server took %d mails", len(got))
			}
		})
	}
}

func TestMail_Stalls_EndWithTheContext(t *testing.T) {
	for name, set := range map[string]func(s *mailServer, stall func()){
		"before DATA":         func(s *mailServer, stall func()) { s.rcpt = func(string) error { stall(); return nil } },
		"after the final dot": func(s *mailServer, stall func()) { s.data = func(*smtp.Conn, string) error { stall(); return nil } },
	} {
		t.Run(name, func(t *testing.T) {
			server := startMailServer(t, serverStyle{})
			stalled, release := make(chan struct{}), make(chan struct{})
			server.set(func(s *mailServer) { set(s, func() { close(stalled); <-release }) })
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan Delivery)
			sink := server.sink(t, func(o *MailOptions) { o.Timeout = time.Hour })
			go func() { result <- sink.Send(ctx, sampleMessage(), ann) }()
			select {
			case <-stalled:
			case d := <-result:
				t.Fatalf("the attempt ended before the stall: %v", d.Err)
			}
			cancel()
			d := <-result
			close(release)
			want := OutcomeTemporary
			if name == "after the final dot" {
				want = OutcomeUnknown
			}
			wantOutcome(t, d, want, false)
		})
	}
}

func TestMail_StallBeyondTimeout_Ends(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	release := make(chan struct{})
	server.set(func(s *mailServer) { s.data = func(*smtp.Conn, string) error { <-release; return nil } })
	d := server.sink(t, func(o *MailOptions) { o.Timeout = 300 * time.Millisecond }).Send(t.Context(), sampleMessage(), ann)
	close(release)
	wantOutcome(t, d, OutcomeUnknown, false)
}

func TestMail_NobodyListens_Temporary(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	server := startMailServer(t, serverStyle{})
	d := server.sink(t, func(o *MailOptions) { o.Port = port }).Send(t.Context(), sampleMessage(), ann)
	wantOutcome(t, d, OutcomeTemporary, false)
}

func TestMail_HostileText_NoHeaderIsInjected(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	m := sampleMessage()
	evil := "x\r\nBcc: eve@example.org\r\n\r\nbody"
	m.Title, m.Code, m.Subject, m.Node, m.Incident = m.Title+evil, "Code"+evil, evil, evil, evil
	m.Body = "FIRING\n.\n\r\n.\r\nQUIT\r\n" + strings.Repeat("long ", 2000) + "\n\x1b[2Jend\n"
	m.Footer = []string{evil}
	wantOutcome(t, server.sink(t, nil).Send(t.Context(), m, ann), OutcomeDelivered, false)
	mails := server.caught()
	if len(mails) != 1 || len(mails[0].To) != 1 {
		t.Fatalf("caught %d mails", len(mails))
	}
	msg, body := parseMail(t, mails[0].Raw)
	if msg.Header.Get("Bcc") != "" {
		t.Errorf("a header was injected: %v", msg.Header)
	}
	for line := range strings.SplitSeq(mails[0].Raw, "\r\n") {
		if len(line) > 78+20 { // go-mail folds headers at words
			t.Errorf("a line of %d bytes left: %.100q", len(line), line)
		}
	}
	if strings.ContainsRune(body, '\x1b') || !strings.Contains(body, "[2Jend") || !strings.Contains(body, "\n.\n") {
		t.Errorf("body arrived as %q", body)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil || !strings.Contains(subject, "Bcc: eve") || strings.ContainsAny(subject, "\r\n") {
		t.Errorf("subject %q (%v): want the text in one line", subject, err)
	}
}

func TestMail_ServerRepeatsThePassword_NotInTheError(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	server.set(func(s *mailServer) {
		s.auth = func(user, password string) error {
			plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
			return reply(535, smtp.EnhancedCode{5, 7, 8}, fmt.Sprintf("rejected %s for %s, sent %s", password, user, plain))
		}
	})
	d := server.sink(t, nil).Send(t.Context(), sampleMessage(), ann)
	wantOutcome(t, d, OutcomePermanent, true)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00watchdog@example.org\x00" + canary))
	for _, form := range []string{canary, plain, base64.StdEncoding.EncodeToString([]byte(canary))} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", d.Err, d, d), form) {
			t.Errorf("the error shows %q: %v", form, d.Err)
		}
	}
	if !strings.Contains(d.Err.Error(), "(hidden)") {
		t.Errorf("the server's words did not arrive, so nothing was proven: %v", d.Err)
	}
}

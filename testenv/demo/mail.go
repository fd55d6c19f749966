package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/renameio/v2"
)

// MailOptions say what kind of mail server the sink is.
type MailOptions struct {
	// Dir is the folder of the mail box, made when absent.
	Dir string
	// Listen defaults to a free port of 127.0.0.1.
	Listen string
	// Names are what the certificate is made out to, default localhost and
	// 127.0.0.1; the sink introduces itself by the first.
	Names []string
	// KeyFile keeps key and certificate, for its owner only, so that clients
	// which trust the certificate go on doing so when the sink starts again;
	// empty: a new one each time.
	KeyFile string
	// CAFile gets the certificate for clients to trust, in one step and before
	// the sink listens; empty: see CertPEM.
	CAFile string
	// User and Password are asked for when set, over TLS only, as providers of
	// mail do on port 587.
	User, Password string
	// Refuse is asked for every recipient; its error is the answer to RCPT. A
	// *smtp.SMTPError chooses the code: 4xx may be tried again, 5xx not.
	Refuse func(recipient string) error
}

// MailSink is a mail server that keeps every message in a file and forwards
// nothing. It offers STARTTLS with a certificate of its own.
type MailSink struct {
	options  MailOptions
	box      mailBox
	listener net.Listener
	certPEM  []byte
	server   *smtp.Server
}

// NewMailSink listens and makes the mail box and the certificate.
func NewMailSink(ctx context.Context, o MailOptions) (*MailSink, error) {
	setDefault(&o.Listen, "127.0.0.1:0")
	box, err := newMailBox(o.Dir)
	if err != nil {
		return nil, err
	}
	if len(o.Names) == 0 {
		o.Names = []string{"localhost", "127.0.0.1"}
	}
	cert, certPEM, err := keptCertificate(o.KeyFile, o.Names)
	if err != nil {
		return nil, err
	}
	if o.CAFile != "" {
		if err := renameio.WriteFile(o.CAFile, certPEM, 0o644); err != nil {
			return nil, fmt.Errorf("write certificate of the mail sink: %w", err)
		}
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for mail: %w", err)
	}
	s := &MailSink{options: o, box: box, listener: l, certPEM: certPEM}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &mailSession{sink: s}, nil
	}))
	s.server.Domain = o.Names[0]
	s.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.server.ReadTimeout, s.server.WriteTimeout = time.Minute, time.Minute
	s.server.MaxMessageBytes = 1 << 20
	s.server.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up; nobody reads it
	return s, nil
}

// Addr is host and port that the sink listens on.
func (s *MailSink) Addr() string { return s.listener.Addr().String() }

// CertPEM is the sink's certificate, which a client has to trust by name.
func (s *MailSink) CertPEM() []byte { return s.certPEM }

// Dir is the folder of the mail box, see ReadMail.
func (s *MailSink) Dir() string { return s.options.Dir }

// Messages are the mails that arrived so far, oldest first.
func (s *MailSink) Messages() ([]Message, error) { return ReadMail(s.options.Dir) }

// Run accepts mail until the context ends.
func (s *MailSink) Run(ctx context.Context) error {
	over := make(chan error, 1)
	go func() { over <- s.server.Serve(s.listener) }()
	select {
	case err := <-over:
		return fmt.Errorf("serve mail: %w", err)
	case <-ctx.Done():
	}
	err := s.server.Close()
	// The server does not know the listener when it is closed before Serve began.
	_ = s.listener.Close()
	if serveErr := <-over; serveErr != nil && !errors.Is(serveErr, smtp.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// mailSession is one client's conversation.
type mailSession struct {
	sink   *MailSink
	authed bool
	from   string
	to     []string
}

// AuthMechanisms implements smtp.AuthSession.
func (m *mailSession) AuthMechanisms() []string {
	if m.sink.options.User == "" {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

// Auth implements smtp.AuthSession.
func (m *mailSession) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return m.check(user, password) }), nil
	case sasl.Login:
		return &loginServer{check: m.check}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (m *mailSession) check(user, password string) error {
	if user != m.sink.options.User || password != m.sink.options.Password {
		return smtp.ErrAuthFailed
	}
	m.authed = true
	return nil
}

// Mail implements smtp.Session.
func (m *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if m.sink.options.User != "" && !m.authed {
		return smtp.ErrAuthRequired
	}
	m.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (m *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if m.sink.options.Refuse != nil {
		if err := m.sink.options.Refuse(to); err != nil {
			return err
		}
	}
	m.to = append(m.to, to)
	return nil
}

// Data implements smtp.Session.
func (m *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return m.sink.box.deliver(m.from, m.to, data)
}

// Reset implements smtp.Session.
func (m *mailSession) Reset() { m.from, m.to = "", nil }

// Logout implements smtp.Session.
func (m *mailSession) Logout() error { return nil }

// loginServer speaks AUTH LOGIN, an old mechanism without a specification:
// two questions, answered with the name and the password.
type loginServer struct {
	check func(user, password string) error
	user  string
	asked int
}

// Next implements sasl.Server.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil && l.asked == 0 {
		return []byte("Username:"), false, nil
	}
	l.asked++
	if l.asked == 1 {
		l.user = strings.TrimSpace(string(response))
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

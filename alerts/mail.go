package alerts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"
)

// MailTLS says how the connection to the mail server is protected. The zero
// value is the strict default.
type MailTLS uint8

// The protections.
const (
	// MailStartTLS demands STARTTLS and a certificate that verifies (port 587).
	MailStartTLS MailTLS = iota
	// MailImplicitTLS speaks TLS from the first byte (port 465).
	MailImplicitTLS
	// MailLoopbackPlain is for a mail server on this machine; it is refused for
	// any other address and together with a password.
	MailLoopbackPlain
)

// MailOptions is what a mail sink is built from.
type MailOptions struct {
	Host string // e.g. smtp.gmail.com
	Port int    // 587; 465 with implicit TLS; 25 on the loopback
	TLS  MailTLS
	// RootCAs verifies the server instead of the system's roots.
	RootCAs *x509.CertPool
	// ServerName is the name in the server's certificate where it is not Host.
	ServerName string
	// Username and PasswordFile log in; both or none. The file is read for each
	// message and must not be readable by everybody.
	Username     string
	PasswordFile string
	From         string // Gmail wants the account itself; may hold a display name
	HELO         string // the machine's host name
	Timeout      time.Duration
}

// MailSink sends each message as one mail to one recipient over a connection of
// its own, so that one refused address costs nobody else the message.
type MailSink struct {
	opt    MailOptions
	from   Recipient
	domain string // of message ids: from the sender's address, so the same on both nodes
}

// NewMailSink checks the options, the password file included, without a
// connection.
func NewMailSink(o MailOptions) (*MailSink, error) {
	if o.Port == 0 {
		o.Port = map[MailTLS]int{MailStartTLS: 587, MailImplicitTLS: 465, MailLoopbackPlain: 25}[o.TLS]
	}
	orDuration(&o.Timeout, 20*time.Second)
	if o.ServerName == "" {
		o.ServerName = o.Host
	}
	from, err := parseRecipient(o.From)
	if err != nil {
		return nil, fmt.Errorf("build mail channel: sender: %w", err)
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("build mail channel: %w", err)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	return &MailSink{opt: o, from: from, domain: domain}, nil
}

func (o MailOptions) validate() error {
	switch {
	case o.Host == "":
		return errors.New("the mail server is missing")
	case o.Port < 0 || o.Port > 65535:
		return fmt.Errorf("port %d is none", o.Port)
	case o.Timeout < 0:
		return fmt.Errorf("timeout %v is negative", o.Timeout)
	case (o.Username == "") != (o.PasswordFile == ""):
		return errors.New("user name and password file are needed together")
	case o.TLS > MailLoopbackPlain:
		return fmt.Errorf("unknown TLS policy %d", o.TLS)
	case o.TLS == MailLoopbackPlain && (!isLoopback(o.Host) || o.Username != ""):
		return errors.New("mail without TLS goes to this machine only, and without a password")
	}
	if o.PasswordFile == "" {
		return nil
	}
	_, err := readPassword(o.PasswordFile)
	return err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Name is "mail".
func (*MailSink) Name() string { return "mail" }

// Send makes one attempt. The context and the timeout bound all of it; what was
// cut off after the whole message was sent has the outcome unknown.
func (s *MailSink) Send(ctx context.Context, m Message, to Recipient) Delivery {
	var password secret
	if s.opt.PasswordFile != "" {
		var err error
		if password, err = readPassword(s.opt.PasswordFile); err != nil {
			return Delivery{Outcome: OutcomeTemporary, Err: err, ChannelFault: true}
		}
	}
	msg, err := s.build(m, to)
	if err != nil {
		return Delivery{Outcome: OutcomePermanent, Err: fmt.Errorf("build mail to %s: %w", to, err)}
	}
	d := s.transmit(ctx, msg, password)
	if d.Err != nil {
		d.Err = fmt.Errorf("send mail to %s through %s: %w", to,
			net.JoinHostPort(s.opt.Host, strconv.Itoa(s.opt.Port)), redacted(d.Err, s.opt.Username, password))
	}
	return d
}

func (s *MailSink) transmit(ctx context.Context, msg *mail.Msg, password secret) Delivery {
	line := &connection{ctx: ctx}
	defer line.close()
	client, err := mail.NewClient(s.opt.Host, s.clientOptions(line, password)...)
	if err != nil {
		return Delivery{Outcome: OutcomeTemporary, Err: err, ChannelFault: true}
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return classifyDial(err)
	}
	err = client.SendWithSMTPClient(session, msg)
	d := classifySend(msg.IsDelivered(), err)
	// The answer is known: saying goodbye may not take long.
	if session.HasConnection() && session.UpdateDeadline(time.Second) == nil {
		_ = session.Quit()
	}
	return d
}

func (s *MailSink) clientOptions(line *connection, password secret) []mail.Option {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.opt.ServerName, RootCAs: s.opt.RootCAs}
	opts := []mail.Option{
		mail.WithPort(s.opt.Port), mail.WithTimeout(s.opt.Timeout), mail.WithTLSConfig(tlsConfig),
		mail.WithDialContextFunc(line.dialer(s.opt.TLS, tlsConfig)),
		mail.WithoutNoop(), mail.WithoutRset(), // the connection carries one message
	}
	switch s.opt.TLS {
	case MailImplicitTLS:
		// Our dialer has verified TLS already; the library then sees an encrypted
		// connection and, as such servers do not offer STARTTLS, adds nothing.
		opts = append(opts, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case MailLoopbackPlain:
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
	default:
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.opt.HELO != "" {
		opts = append(opts, mail.WithHELO(s.opt.HELO))
	}
	if s.opt.Username != "" {
		opts = append(opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
			mail.WithUsername(s.opt.Username), mail.WithPassword(string(password)))
	}
	return opts
}

// connection is the one connection of one attempt. The library leaves it open
// when the dialogue ends early and does not watch the context after dialling.
type connection struct {
	ctx  context.Context
	conn net.Conn
	stop func() bool
}

func (c *connection) dialer(policy MailTLS, config *tls.Config) mail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c.conn = conn
		c.stop = context.AfterFunc(c.ctx, func() { _ = conn.Close() })
		if policy != MailImplicitTLS {
			return conn, nil
		}
		wrapped := tls.Client(conn, config)
		if err := wrapped.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return wrapped, nil
	}
}

func (c *connection) close() {
	if c.conn != nil {
		c.stop()
		_ = c.conn.Close()
	}
}

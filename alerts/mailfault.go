package alerts

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/textproto"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"
)

// quotaWait is how long a channel rests whose daily quota is used up; Gmail
// counts over a rolling day.
const quotaWait = time.Hour

// Reply codes of RFC 5321 and RFC 4954 that speak of the login, not of a message.
func isLoginCode(code int) bool {
	switch code {
	case 530, 534, 535, 538:
		return true
	}
	return false
}

// classifyDial judges an error before the message was begun: nobody got it.
func classifyDial(err error) Delivery {
	d := Delivery{Outcome: OutcomeTemporary, Err: err}
	var reply *textproto.Error
	if errors.As(err, &reply) {
		if isLoginCode(reply.Code) {
			d.Outcome = OutcomePermanent
		}
		// A greeting or login refused with 5xx does not heal by itself.
		d.ChannelFault = reply.Code >= 500
		return d
	}
	d.ChannelFault = isTLSFault(err) || isMissingFeature(err)
	if d.ChannelFault {
		d.Outcome = OutcomePermanent
	}
	return d
}

func isTLSFault(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		unknown   x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		noRecord  tls.RecordHeaderError
		peerAlert tls.AlertError
	)
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &noRecord) || errors.As(err, &peerAlert)
}

// isMissingFeature knows a server that does not offer STARTTLS or a login we can
// use. The library has no sentinel for the first two, only these words.
func isMissingFeature(err error) bool {
	return errors.Is(err, mail.ErrNoSupportedAuthDiscovered) ||
		strings.Contains(err.Error(), "does not support STARTTLS") ||
		strings.Contains(err.Error(), "does not support SMTP AUTH")
}

// classifySend judges what the server said to the message. delivered is the
// server's 250 after the final dot, whatever went wrong after it.
func classifySend(delivered bool, err error) Delivery {
	if delivered {
		return Delivery{Outcome: OutcomeDelivered}
	}
	d := Delivery{Err: err}
	var sent *mail.SendError
	if !errors.As(err, &sent) {
		return d // unknown
	}
	code := sent.ErrorCode()
	switch {
	case code >= 400 && code < 500:
		d.Outcome = OutcomeTemporary
	case isQuota(sent):
		d.Outcome, d.ChannelFault, d.RetryAfter = OutcomeTemporary, true, quotaWait
	case code >= 500:
		d.Outcome = OutcomePermanent
		d.ChannelFault = isLoginCode(code) || sent.Reason == mail.ErrSMTPMailFrom
	case sent.Reason == mail.ErrSMTPDataClose:
		d.Outcome = OutcomeUnknown // all was sent, the answer is missing
	default:
		d.Outcome = OutcomeTemporary
	}
	return d
}

// isQuota knows Gmail's "daily user sending limit exceeded".
func isQuota(err *mail.SendError) bool {
	return err.ErrorCode() == 550 && (err.EnhancedStatusCode() == "5.4.5" || strings.Contains(err.Error(), " 5.4.5 "))
}

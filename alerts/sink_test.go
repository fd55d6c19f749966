package alerts

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// sinkCase is what a sink must give to be tested as one.
type sinkCase struct {
	working func(t *testing.T) (Sink, func() []string) // and what arrived, as text
	broken  func(t *testing.T) Sink                    // its other end does not take messages
	to      Recipient
	secret  string // must not appear in errors
}

// TestSinks_Conform is the contract of Sink, run against every sink there is.
func TestSinks_Conform(t *testing.T) {
	for name, c := range map[string]sinkCase{
		"mail": {
			working: func(t *testing.T) (Sink, func() []string) {
				server := startMailServer(t, serverStyle{})
				return server.sink(t, nil), func() []string {
					var out []string
					for _, m := range server.caught() {
						msg, body := parseMail(t, m.Raw)
						out = append(out, msg.Header.Get("Subject")+"\n"+body)
					}
					return out
				}
			},
			broken: func(t *testing.T) Sink {
				server := startMailServer(t, serverStyle{})
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				port := listener.Addr().(*net.TCPAddr).Port
				_ = listener.Close()
				return server.sink(t, func(o *MailOptions) { o.Port = port })
			},
			to: ann, secret: canary,
		},
		"log": {
			working: func(*testing.T) (Sink, func() []string) {
				var b bytes.Buffer
				return NewLogSink(jsonLogger(&b, zapcore.InfoLevel)), func() []string { return lines(b.String()) }
			},
			broken: func(*testing.T) Sink {
				return NewLogSink(jsonLogger(&bytes.Buffer{}, zapcore.FatalLevel))
			},
			to: Recipient{Address: "journal"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("name", c.keepsItsName)
			t.Run("delivers", c.delivers)
			t.Run("repeats", c.repeats)
			t.Run("broken", c.brokenIsNotSuccess)
			t.Run("context ended", c.endedContextIsNotSuccess)
			t.Run("hostile text", c.hostileTextIsOneMessage)
		})
	}
}

func jsonLogger(b *bytes.Buffer, level zapcore.Level) *zap.Logger {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder})
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(b), level))
}

func lines(s string) []string {
	if s = strings.TrimSuffix(s, "\n"); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

func (c sinkCase) keepsItsName(t *testing.T) {
	a, _ := c.working(t)
	if b := c.broken(t); a.Name() == "" || a.Name() != b.Name() {
		t.Errorf("names %q and %q: want one stable name", a.Name(), b.Name())
	}
}

func (c sinkCase) delivers(t *testing.T) {
	sink, arrived := c.working(t)
	m := sampleMessage()
	wantOutcome(t, sink.Send(t.Context(), m, c.to), OutcomeDelivered, false)
	got := arrived()
	if len(got) != 1 {
		t.Fatalf("%d messages arrived, want 1: %q", len(got), got)
	}
	for _, want := range []string{m.Title, m.Lead} {
		if !strings.Contains(got[0], want) {
			t.Errorf("what arrived lacks %q: %s", want, got[0])
		}
	}
}

func (c sinkCase) repeats(t *testing.T) {
	sink, arrived := c.working(t)
	for range 3 {
		wantOutcome(t, sink.Send(t.Context(), sampleMessage(), c.to), OutcomeDelivered, false)
	}
	if got := arrived(); len(got) != 3 || got[0] != got[2] {
		t.Errorf("three attempts arrived as %q, want three of the same", got)
	}
}

func (c sinkCase) brokenIsNotSuccess(t *testing.T) {
	d := c.broken(t).Send(t.Context(), sampleMessage(), c.to)
	if d.Outcome == OutcomeDelivered || d.Err == nil {
		t.Fatalf("outcome %s, error %v, although nothing can arrive", d.Outcome, d.Err)
	}
	if c.secret != "" && strings.Contains(d.Err.Error(), c.secret) {
		t.Errorf("the error shows the secret: %v", d.Err)
	}
}

func (c sinkCase) endedContextIsNotSuccess(t *testing.T) {
	sink, arrived := c.working(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := sink.Send(ctx, sampleMessage(), c.to)
	if d.Outcome == OutcomeDelivered || d.Outcome == OutcomePermanent || d.Err == nil {
		t.Errorf("outcome %s, error %v, want one that is tried again", d.Outcome, d.Err)
	}
	if got := arrived(); len(got) != 0 {
		t.Errorf("arrived although the context had ended: %q", got)
	}
}

func (c sinkCase) hostileTextIsOneMessage(t *testing.T) {
	sink, arrived := c.working(t)
	m := sampleMessage()
	m.Title += "\r\nX-Injected: yes\n\x1b[31m"
	m.Subject += "\r\n.\r\n"
	wantOutcome(t, sink.Send(t.Context(), m, c.to), OutcomeDelivered, false)
	got := arrived()
	if len(got) != 1 || strings.Contains(got[0], "\nX-Injected") || strings.Contains(got[0], "\x1b") {
		t.Errorf("arrived as %d messages: %q", len(got), got)
	}
}

func TestLogSink_LevelFollowsWhatItTells(t *testing.T) {
	for _, c := range []struct {
		event    Event
		severity Severity
		want     string
	}{
		{EventFiring, SeverityPage, "error"},
		{EventFiring, SeverityWarning, "warn"},
		{EventResolved, SeverityPage, "info"},
	} {
		var b bytes.Buffer
		m := sampleMessage()
		m.Event, m.Severity = c.event, c.severity
		wantOutcome(t, NewLogSink(jsonLogger(&b, zapcore.InfoLevel)).Send(t.Context(), m, Recipient{}), OutcomeDelivered, false)
		var line map[string]any
		if err := json.Unmarshal(b.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["level"] != c.want || line["event"] != c.event.String() || line["code"] != m.Code || line["incident"] != m.Incident {
			t.Errorf("a %s of severity %s is logged as %v", c.event, c.severity, line)
		}
	}
}

package alerts

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// LogSink writes each message as one line: a page at error level, a warning at
// warn, an end at info. Its route should be Local.
type LogSink struct {
	log *zap.Logger
}

// NewLogSink writes to the given logger.
func NewLogSink(log *zap.Logger) *LogSink { return &LogSink{log: log} }

// Name is "log".
func (*LogSink) Name() string { return "log" }

// Send writes the line. A logger that would swallow it is a permanent failure;
// errors of writing go to the logger's own error output, as zap has it.
func (s *LogSink) Send(ctx context.Context, m Message, _ Recipient) Delivery {
	if err := ctx.Err(); err != nil {
		return Delivery{Outcome: OutcomeTemporary, Err: fmt.Errorf("write message to log: %w", err)}
	}
	entry := s.log.Check(logLevel(m), clean(m.Title, maxTitle))
	if entry == nil {
		return Delivery{
			Outcome: OutcomePermanent,
			Err:     errors.New("write message to log: the log level hides it; set the level to info or lower"),
		}
	}
	entry.Write(
		zap.String("incident", m.Incident), zap.String("code", m.Code), zap.String("subject", m.Subject),
		zap.Stringer("event", m.Event), zap.Stringer("severity", m.Severity), zap.String("lead", clean(m.Lead, maxLine)),
	)
	return Delivery{Outcome: OutcomeDelivered}
}

func logLevel(m Message) zapcore.Level {
	switch {
	case m.Event != EventFiring:
		return zapcore.InfoLevel
	case m.Severity >= SeverityPage:
		return zapcore.ErrorLevel
	default:
		return zapcore.WarnLevel
	}
}

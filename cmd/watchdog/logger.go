package main

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

// newLogger builds the service's log on w: people's lines on a terminal,
// journald's priorities under systemd, JSON when asked.
func newLogger(c config.Log, w io.Writer) (*zap.Logger, zap.AtomicLevel, error) {
	level, err := zap.ParseAtomicLevel(c.Level)
	if err != nil {
		return nil, level, refuse(3, "config", "log: {level: info}", "log.level: %v", err)
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.ISO8601TimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	var e zapcore.Encoder
	switch format := c.Format; {
	case format == "json":
		e = zapcore.NewJSONEncoder(enc)
	case format == "auto" && os.Getenv("JOURNAL_STREAM") != "":
		// journald stamps lines itself and reads the priority from their start
		// (sd-daemon(3)).
		enc.TimeKey, enc.EncodeLevel = "", journalLevel
		enc.ConsoleSeparator = " "
		e = zapcore.NewConsoleEncoder(enc)
	default:
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		e = zapcore.NewConsoleEncoder(enc)
	}
	return zap.New(zapcore.NewCore(e, zapcore.Lock(zapcore.AddSync(w)), level)), level, nil
}

func journalLevel(l zapcore.Level, enc zapcore.PrimitiveArrayEncoder) {
	priority := map[zapcore.Level]int{zapcore.DebugLevel: 7, zapcore.InfoLevel: 6, zapcore.WarnLevel: 4, zapcore.ErrorLevel: 3}
	p, known := priority[l]
	if !known {
		p = 2
	}
	enc.AppendString(fmt.Sprintf("<%d>", p))
}

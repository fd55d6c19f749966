package gossip

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// shapeEvery is how often lines of one shape are logged.
	shapeEvery = time.Minute
	// maxShapes bounds the table of shapes.
	maxShapes = 128
	// bridgeQueue bounds lines on their way: memberlist writes them under its
	// locks, and a log on a slow disk must not hold those.
	bridgeQueue = 256
)

// bridge carries memberlist's log to ours. memberlist knows levels only as a
// text prefix, and writes one line per bad packet.
type bridge struct {
	count *counters
	self  string
	queue chan line

	// risen is closed when memberlist has refuted something for the first time.
	risen chan struct{}
	rise  sync.Once

	mu   sync.Mutex
	said map[string]struct{} // kind and about, said once
}

type line struct {
	level zapcore.Level
	text  string
	about string // remote, where the line is one of ours
	once  bool
}

func newBridge(self string, c *counters) *bridge {
	return &bridge{count: c, self: self, queue: make(chan line, bridgeQueue), risen: make(chan struct{}), said: map[string]struct{}{}}
}

// Write takes one line of memberlist. It never blocks and never fails.
func (b *bridge) Write(p []byte) (int, error) {
	level, text := splitLevel(strings.TrimSpace(string(p)))
	// What a failed join says at debug level, Join's caller is told as well.
	if level > zapcore.DebugLevel && !b.counted(text) {
		b.post(line{level: level, text: text})
	}
	return len(p), nil
}

// splitLevel parses the prefix. Errors become warnings: to this service nothing
// that gossip cannot do is an error.
func splitLevel(s string) (zapcore.Level, string) {
	level := zapcore.WarnLevel
	for prefix, l := range map[string]zapcore.Level{
		"[DEBUG] ": zapcore.DebugLevel, "[INFO] ": zapcore.InfoLevel, "[WARN] ": zapcore.WarnLevel,
		"[ERR] ": zapcore.WarnLevel, "[ERROR] ": zapcore.WarnLevel, "Err: ": zapcore.WarnLevel,
	} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			level, s = l, rest
			break
		}
	}
	return level, strings.TrimPrefix(s, "memberlist: ")
}

// counted turns lines that tell of a state into counters and, where an operator
// has to do something, into one line of ours. Text is all memberlist gives.
func (b *bridge) counted(text string) bool {
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case isWrongKey(text):
		b.wrongKey(remoteOf(text))
	case has("unacceptable label"):
		b.count.wrongLabel.Add(1)
		b.once("label", "gossip of another cluster arrives here: the label (cluster name) differs", remoteOf(text))
	case has("ignoring alive message"), has(errNotConfigured.Error()), has("Conflicting address"):
		// The delegates have counted and told it.
	case has("Refuting"):
		b.refuted(text)
	case has("over TCP but UDP probes failed"):
		b.count.overTCP.Add(1)
		return false
	default:
		return false
	}
	return true
}

// refuted takes "Refuting a WORD message (from: NODE)". Under our own name that
// is our own accusation (incarnation.go) or what others remember of a former run.
func (b *bridge) refuted(text string) {
	first := false
	b.rise.Do(func() { first = true; close(b.risen) })
	_, from, _ := strings.Cut(text, "(from: ")
	from = strings.TrimSuffix(from, ")")
	if first && from == b.self {
		return
	}
	b.count.refuted.Add(1)
	if from != b.self && nameForm.MatchString(from) {
		b.post(line{level: zapcore.InfoLevel, text: "gossip member " + from + " took this node for gone and was told otherwise"})
	}
}

func isWrongKey(text string) bool {
	for _, s := range []string{
		"no installed keys could decrypt", "Decrypt packet failed", "unsupported encryption version",
		"encryption is configured but remote state is not encrypted",
	} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// wrongKey is counted and said; about is a host, so that packets, streams and
// our own tries to join are one thing to say.
//
// A fallback probe that fails names nobody; the same peer's packets, or our own
// next try to join it, do.
func (b *bridge) wrongKey(about string) {
	b.count.wrongKey.Add(1)
	if about == nobody {
		return
	}
	b.once("key", "gossip peer not let in: its gossip key is not ours", about)
}

// nobody stands for a remote that a line of memberlist does not name.
const nobody = "a peer"

// remoteOf gives the host of memberlist's "from=HOST:PORT".
func remoteOf(text string) string {
	_, addr, ok := strings.Cut(text, "from=")
	if !ok {
		return nobody
	}
	addr, _, _ = strings.Cut(addr, " ")
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// once logs text about somebody a single time, until forget.
func (b *bridge) once(kind, text, about string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := kind + " " + about
	if _, done := b.said[key]; done || len(b.said) >= maxShapes {
		return
	}
	b.said[key] = struct{}{}
	b.post(line{level: zapcore.WarnLevel, text: text, about: about, once: true})
}

// forget lets everything be said again: a peer is in, so that a later refusal
// is news.
func (b *bridge) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.said)
}

func (b *bridge) post(l line) {
	select {
	case b.queue <- l:
	default:
		b.count.logDropped.Add(1)
	}
}

// run writes lines until ctx ends, then what is still queued: of each shape the
// first at once, then one a minute with the number of those in between.
func (b *bridge) run(ctx context.Context, log *zap.Logger) {
	shapes := map[string]*shape{}
	t := time.NewTicker(shapeEvery)
	defer t.Stop()
	for {
		select {
		case l := <-b.queue:
			b.log(log, shapes, l)
		case <-t.C:
			flush(log, shapes)
		case <-ctx.Done():
			for {
				select {
				case l := <-b.queue:
					b.log(log, shapes, l)
				default:
					flush(log, shapes)
					return
				}
			}
		}
	}
}

// shape is a kind of line and how often it came since it was last written.
type shape struct {
	last  line
	count int
}

func (b *bridge) log(log *zap.Logger, shapes map[string]*shape, l line) {
	if l.once {
		log.Log(l.level, l.text, zap.String("remote", l.about))
		return
	}
	key := shapeOf(l.text)
	s := shapes[key]
	switch {
	case s != nil:
		s.last = l
		s.count++
	case len(shapes) >= maxShapes:
		b.count.logDropped.Add(1)
	default:
		shapes[key] = &shape{}
		log.Log(l.level, l.text)
	}
}

func flush(log *zap.Logger, shapes map[string]*shape) {
	for key, s := range shapes {
		if s.count == 0 {
			delete(shapes, key)
			continue
		}
		log.Log(s.last.level, s.last.text, zap.Int("repeated", s.count))
		s.count = 0
	}
}

// shapeOf drops the words that differ from one line of a kind to the next:
// those with digits, quotes or an equals sign.
func shapeOf(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if strings.ContainsFunc(w, func(r rune) bool { return unicode.IsDigit(r) || r == '"' || r == '\'' || r == '=' }) {
			words[i] = "#"
		}
	}
	return strings.Join(words, " ")
}

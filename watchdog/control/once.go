package control

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// saidFor is how long the same refusal is not logged again.
	saidFor = 10 * time.Minute
	// maxSaid bounds the addresses remembered: an attacker can have many.
	maxSaid = 256
)

// refusalLog logs one refusal per text, remote address and saidFor, with the
// number of those it swallowed. A connection that merely broke must not keep the
// news of a foreign key from being told.
type refusalLog struct {
	log *zap.Logger
	now func() time.Time

	mu   sync.Mutex
	said map[refusal]*saying
}

type refusal struct{ text, remote string }

type saying struct {
	at      time.Time
	swallow int
}

func newRefusalLog(log *zap.Logger) *refusalLog {
	return &refusalLog{log: log, now: time.Now, said: map[refusal]*saying{}}
}

// warn logs text about remote, unless it did so lately.
func (r *refusalLog) warn(text, remote string, fields ...zap.Field) {
	n, ok := r.take(refusal{text, remote})
	if !ok {
		return
	}
	fields = append(fields, zap.String("remote", remote))
	if n > 0 {
		fields = append(fields, zap.Int("since_last", n))
	}
	r.log.Warn(text, fields...)
}

func (r *refusalLog) take(what refusal) (swallowed int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	s := r.said[what]
	switch {
	case s == nil && len(r.said) >= maxSaid:
		for k, old := range r.said {
			if now.Sub(old.at) >= saidFor {
				delete(r.said, k)
			}
		}
		if len(r.said) >= maxSaid {
			return 0, false
		}
		fallthrough
	case s == nil:
		r.said[what] = &saying{at: now}
		return 0, true
	case now.Sub(s.at) < saidFor:
		s.swallow++
		return 0, false
	}
	n := s.swallow
	*s = saying{at: now}
	return n, true
}

// forget makes the next refusal of remote be logged: it was well in between.
func (r *refusalLog) forget(remote string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for what := range r.said {
		if what.remote == remote {
			delete(r.said, what)
		}
	}
}

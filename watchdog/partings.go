package watchdog

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Reading WAL is work, and it is done only while two servers have parted: looked
// for now and then, done at most once a minute, and not at all for so much WAL
// that it would hold up a stop of the service.
const (
	partingEvery   = 10 * time.Second
	partingAgain   = time.Minute
	partingMaxRead = 512 << 20
)

// parting is where the own server's WAL left that of another.
type parting struct {
	timeline replication.Timeline
	at       replication.LSN
}

// partings counts what the own disk holds after a parting. No decision rests on
// it: the server may be running, and what it wrote last may be missing.
type partings struct {
	find func() (where parting, bytes uint64, ok bool)
	read func(parting) (pgdata.End, error)
	now  func() time.Time
	log  *zap.Logger

	mu    sync.Mutex
	where parting           // of the newest try
	tried time.Time         // when that was
	found *view.AloneReport // its Age is filled in by report
	at    time.Time         // when found was read
}

// Run looks until ctx ends.
func (p *partings) Run(ctx context.Context) error {
	t := time.NewTimer(replication.UntilBeat(time.Now(), partingEvery))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		p.look()
		t.Reset(replication.UntilBeat(time.Now(), partingEvery))
	}
}

func (p *partings) look() {
	where, bytes, ok := p.find()
	if !ok {
		p.keep(nil)
		return
	}
	now := p.now()
	if where == p.where && now.Sub(p.tried) < partingAgain {
		return
	}
	again := where == p.where
	p.where, p.tried = where, now
	if bytes > partingMaxRead {
		if !again {
			p.log.Info("too much WAL after the switch point to count commits", zap.Stringer("lsn", where.at), zap.Uint64("bytes", bytes))
		}
		p.keep(nil)
		return
	}
	end, err := p.read(where)
	if err != nil {
		if !again {
			p.log.Warn("count what was committed here alone", zap.Stringer("lsn", where.at), zap.Error(err))
		}
		p.keep(nil)
		return
	}
	p.keep(&view.AloneReport{Timeline: where.timeline, SwitchPoint: where.at, End: end.LSN, Commits: end.Commits})
}

func (p *partings) keep(found *view.AloneReport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found, p.at = found, p.now()
}

// report gives what was read last; nil when nothing was.
func (p *partings) report() *view.AloneReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		return nil
	}
	a := *p.found
	a.Age = max(0, p.now().Sub(p.at))
	return &a
}

// makePartings prepares counting; a witness has nothing to count.
func (s *Service) makePartings(Options) error {
	s.partings = &partings{find: s.ownParting, now: s.now, log: s.log, read: func(w parting) (pgdata.End, error) {
		return pgdata.EndOfWAL(s.cfg.Postgres.DataDir, w.timeline, w.at, 0)
	}}
	return nil
}

func (s *Service) ownParting() (parting, uint64, bool) {
	if s.cfg.Self().Witness {
		return parting{}, 0, false
	}
	s.mu.Lock()
	v := s.board.View(s.now())
	s.mu.Unlock()
	on, at, bytes, ok := view.Parting(v, s.lim(), s.cfg.Node)
	return parting{on, at}, bytes, ok
}

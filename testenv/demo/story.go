package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// StoryOptions say how `watchdog demo` tells its story.
type StoryOptions struct {
	// Program is the watchdog program, which types every command.
	Program string
	// Out takes the story.
	Out io.Writer
	// Colour paints the typed commands, and lets them paint their output.
	Colour bool
	// Async makes a pair that may lose rows, and lets the network between the
	// two servers stall before the primary dies, so that it does.
	Async bool
	// Site shows a site the way `watchdog demo up` does.
	Site func(SiteDoc) string
	// Keep leaves the site to the caller when the story is told.
	Keep bool
	// Dir is the folder of a site that is kept; empty: a temporary one.
	Dir string
}

// StoryReport is what the ledger says at the end.
type StoryReport struct {
	V      int           `json:"v"`
	Sync   bool          `json:"synchronous"`
	Acked  int           `json:"acknowledged_rows"`
	Lost   int           `json:"lost_rows"`
	Outage time.Duration `json:"outage_ns"`
	// AnnouncedBytes is what the operator was told and accepted, in WAL.
	AnnouncedBytes uint64        `json:"announced_bytes"`
	SplitBrain     bool          `json:"split_brain"`
	Took           time.Duration `json:"took_ns"`
}

// Story is one telling.
type Story struct {
	options StoryOptions
	tell    teller
	site    *Site
	ledger  *Ledger
	// report grows as the story goes on.
	report StoryReport
	plan   storyPlan
	stop   func() error // the writing client
}

// TellStory tells the whole story: two servers, one dies, an operator promotes
// the other, the old one comes back and stays read-only. It returns an error
// when anything in it was not as it has to be, above all when an acknowledged
// row is lost that was not announced. Whatever happens, nothing stays behind,
// save the site of a story that ended well and is to be kept.
func TellStory(ctx context.Context, o StoryOptions) (report StoryReport, err error) {
	s := &Story{options: o, tell: teller{out: o.Out, colour: o.Colour}, stop: func() error { return nil }}
	s.report = StoryReport{V: 1, Sync: !o.Async}
	begun := time.Now()
	defer func() {
		err = errors.Join(err, s.stop())
		if s.site != nil && (err != nil || !o.Keep) {
			err = errors.Join(err, s.site.Close())
		}
	}()
	for _, step := range []func(context.Context) error{s.up, s.healthy, s.write, s.kill, s.mail, s.look, s.showPlan, s.confirm, s.verdict, s.mistake, s.refused, s.history} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return s.report, context.Cause(ctx)
			}
			return s.report, err
		}
	}
	s.report.Took = time.Since(begun)
	if err := s.stop(); err != nil {
		return s.report, err
	}
	return s.report, s.judge(ctx)
}

// client starts the writing client; stop ends it and waits.
func (s *Story) client(ctx context.Context) error {
	l, err := NewLedger(LedgerOptions{Servers: s.site.Pair.Servers[:], Pinned: true})
	if err != nil {
		return err
	}
	s.ledger = l
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- l.Run(run) }()
	s.stop = func() error {
		cancel()
		s.stop = func() error { return nil }
		return <-ended
	}
	return s.site.await(ctx, "the client writes", func() (bool, string) {
		return l.Acked() >= 200, fmt.Sprintf("%d rows acknowledged", l.Acked())
	})
}

// judge holds the whole ledger against the new primary once more, when the old
// one is back and all has been written.
func (s *Story) judge(ctx context.Context) error {
	r, err := s.ledger.Compare(ctx, s.site.Pair.Servers[1])
	if err != nil {
		return err
	}
	s.report.Acked, s.report.Lost, s.report.Outage, s.report.SplitBrain = r.Acked, len(r.Lost), r.Outage, r.Overlaps > 0
	if r.Overlaps > 0 {
		return fmt.Errorf("two servers acknowledged rows at once: %+v", r.Tenures)
	}
	return s.withinAnnounced(len(r.Lost))
}

// rowBytes is the least that one row of the ledger takes in the WAL: a heap
// record, an index record and a commit record have 24 bytes of header each
// (XLogRecord), and a tuple of 28 bytes of columns, an index tuple of 24.
const rowBytes = 3*24 + 28 + 24

func (s *Story) withinAnnounced(lost int) error {
	switch {
	case !s.options.Async && lost > 0:
		return fmt.Errorf("%d acknowledged rows of a synchronous pair are lost", lost)
	case uint64(lost)*rowBytes > s.report.AnnouncedBytes: //nolint:gosec // a count is not negative
		return fmt.Errorf("%d acknowledged rows are lost, at least %d bytes of WAL; announced were %d", lost, lost*rowBytes, s.report.AnnouncedBytes)
	case s.options.Async && lost == 0:
		return errors.New("the network stalled and yet no row is lost: the story of a loss was not told")
	}
	return nil
}

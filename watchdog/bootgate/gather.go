package bootgate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// AdoptedMark is the file that adopt leaves in the data directory: with it, a
// missing state directory is lost state and not a first installation. It holds
// the same text on every node, so that a rewind or a base backup carries it
// along without harm. It permits nothing.
const AdoptedMark = "pg-watchdog.adopted"

// askLimit bounds one question to one peer, below the period of asking.
const askLimit = 450 * time.Millisecond

// Peer is another node that the gate may ask.
type Peer struct {
	Node    string
	Witness bool
	Ask     func(ctx context.Context) (control.Facts, error)
}

// MarkAdopted leaves the mark in the data directory, durably.
func MarkAdopted(dir string, id replication.SystemID) error {
	path := filepath.Join(dir, AdoptedMark)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("mark data directory as adopted: %w", err)
	}
	_, werr := fmt.Fprintf(f, "system identifier %s is looked after by pg-watchdog; its boot gate decides how this server starts\n", id)
	return errors.Join(werr, f.Sync(), f.Close(), syncDir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// RealDir gives the data directory's own path, links resolved, as the state
// records it.
func RealDir(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return filepath.Clean(dir)
}

// readState reads the durable state for the gate.
func readState(s *state.Store, f *fence.GateFacts) {
	d, err := s.Read()
	switch {
	case err == nil:
		f.State, f.Durable = fence.StateReadable, d
	case errors.Is(err, state.ErrAbsent):
		f.State = fence.StateAbsent
	default:
		f.State, f.StateFault = fence.StateUnreadable, err.Error()
	}
}

// readData reads the data directory offline.
func readData(dir string) fence.DataReading {
	r := fence.DataReading{Directory: RealDir(dir)}
	empty, err := pgdata.Empty(dir)
	if err != nil {
		r.Fault = err.Error()
		return r
	}
	if empty {
		r.Empty = true
		return r
	}
	s, err := pgdata.ReadSignals(dir)
	if err != nil && !errors.Is(err, pgdata.ErrBadPIDFile) {
		r.Fault = err.Error()
		return r
	}
	r.StandbySignal, r.RecoverySignal, r.BackupLabel = s.Standby, s.Recovery, s.BackupLabel
	c, err := pgdata.ReadControl(dir)
	if err != nil {
		r.Fault = err.Error()
		return r
	}
	r.SystemID = c.SystemID
	held, err := pgdata.Holders(dir)
	if err != nil {
		r.Fault = err.Error()
		return r
	}
	r.Holders = len(pgdata.Servers(held))
	switch _, err := os.Stat(filepath.Join(dir, AdoptedMark)); {
	case err == nil:
		r.Adopted = true
	case !errors.Is(err, os.ErrNotExist):
		r.Fault = err.Error()
	}
	return r
}

// askAll asks every peer at once; a silent one costs at most askLimit.
func askAll(ctx context.Context, peers []Peer, self string) []fence.PeerReading {
	out := make([]fence.PeerReading, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() { out[i] = ask(ctx, p, self) })
	}
	wg.Wait()
	return out
}

// seenWithin is how young a peer's look at this node's address has to be: a
// server that was stopped is known to its watchers at once.
const seenWithin = 2 * time.Second

// seesPrimary says whether the peer's own probe sees a primary at the address
// of node now.
func seesPrimary(f control.Facts, node string) bool {
	if f.Report == nil {
		return false
	}
	for _, s := range f.Report.Servers {
		if s.Node == node && s.Verdict == replication.VerdictHealthy && s.Role == replication.RolePrimary && s.Age >= 0 && s.Age < seenWithin {
			return true
		}
	}
	return false
}

func ask(ctx context.Context, p Peer, self string) fence.PeerReading {
	r := fence.PeerReading{Node: p.Node, Witness: p.Witness}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	f, err := p.Ask(ctx)
	if err != nil {
		r.Why = err.Error()
		return r
	}
	if f.Node != p.Node {
		r.Why = fmt.Sprintf("it says that it is %q", f.Node)
		return r
	}
	r.Answered, r.Durable = true, f.Durable
	r.Witness = r.Witness || f.Witness // whoever says that it holds no data cannot permit
	r.RunningAsPrimary, r.RunningKnown = f.RunningAsPrimary, f.RunningKnown
	r.SeesPrimary = seesPrimary(f, self)
	return r
}

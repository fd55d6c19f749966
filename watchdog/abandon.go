package watchdog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// abandon ends an operation of this node whose journal is not there any more: a
// power failure tore it, and somebody moved it aside. Its intent would otherwise
// stand for ever, and nobody else may end it. Where its epoch is durable, that
// epoch exists and its orders stand: then it ends as done, else as not done.
// A server that was left in between stays held until a release.
func (o *ops) abandon(id string, r runbooks.Request) (*runbooks.Operation, error) {
	if faults := o.faults(); len(faults) > 0 {
		return nil, &runbooks.Refusal{Exit: runbooks.ExitRefused, Rule: "11", Gate: "state", Reason: "this node cannot trust its own records: " + faults[0],
			Hint: "move the file aside when you know what it said, restart the service, then again"}
	}
	own, err := o.deps.State.Read()
	if err != nil && !errors.Is(err, state.ErrAbsent) {
		return nil, err
	}
	i, ours := leftover(own, id, o.deps.Self)
	if !ours {
		return nil, unknownOperation(id)
	}
	op := runbooks.NewOperation(id, runbooks.Plan{ID: id, Kind: runbooks.Kind(i.Kind), Owner: o.deps.Self, Target: i.Target, Epoch: own.Epoch,
		MadeAt: o.now(), Why: []string{fmt.Sprintf("its intent stands here since %s, by %s, and its journal is gone", i.OpenedAt.UTC(), i.By)}}, r, nil)
	f, err := o.begin(op)
	if err != nil {
		return nil, err
	}
	if err := o.runner.Open(op); err != nil {
		o.end(f)
		return nil, &runbooks.Refusal{Exit: runbooks.ExitFailed, Rule: "11", Reason: err.Error(), Hint: "watchdog status"}
	}
	o.fly(f, func(ctx context.Context) error {
		if !i.Epoch.Zero() && own.Epoch.Same(i.Epoch) {
			return o.runner.Run(ctx, op, nil)
		}
		if o.deps.Server != nil {
			if err := o.deps.Server.ResumeReceiving(ctx); err != nil {
				o.log.Warn("receive again from the former upstream", zap.String("plan", id), zap.NamedError("err", err))
			}
		}
		return o.runner.Abort(ctx, op, nil, r.By)
	})
	return op, nil
}

// leftover finds the intent, or at least the lock, that this node holds of an
// operation of its own.
func leftover(own fence.Durable, id, self string) (fence.Intent, bool) {
	if i, open := own.OpenIntent(id); open {
		return i, i.Owner == self
	}
	if l := own.Lock; l != nil && l.Operation == id {
		return fence.Intent{Operation: id, Kind: l.Kind, Owner: l.Owner, By: l.By, OpenedAt: l.Since}, l.Owner == self
	}
	return fence.Intent{}, false
}

func unknownOperation(id string) error {
	return &runbooks.Refusal{Exit: runbooks.ExitUsage, Reason: fmt.Sprintf("this node's journal has no operation %q", id), Hint: "watchdog ops list"}
}

// forgetFormerUpstream drops what a promotion had remembered of its upstream and
// was cut short before it could forget: a later abort would put back that of
// another time.
func (s *Service) forgetFormerUpstream() {
	own, err := s.store.Read()
	if err != nil || own.Role != replication.RolePrimary || len(own.Intents) > 0 {
		return
	}
	if err := s.store.ForgetReceiving(); err != nil {
		s.log.Warn("forget upstream", zap.NamedError("err", err))
	}
}

// recovering says whether the own server is certainly in recovery, and stays
// there: it says so itself and no promotion is on its way, or it does not run, and
// the disk says that it never left it. A server that cannot be started any more
// must not keep an operation open for ever, with the other node fenced. A
// promotion removes standby.signal before it lets anybody write.
func (s *Service) recovering(ctx context.Context) bool {
	if in, err := s.server.InRecovery(ctx); err == nil {
		if _, err := os.Stat(filepath.Join(s.cfg.Postgres.DataDir, promoteFile)); !in || !errors.Is(err, os.ErrNotExist) {
			return false
		}
		onItsWay, err := s.server.promoting(ctx)
		return err == nil && !onItsWay
	}
	return stoppedInRecovery(s.cfg.Postgres.DataDir)
}

// promoteFile is a promote request that the server has not looked at yet; a
// server that starts removes an old one.
const promoteFile = "promote"

func stoppedInRecovery(dir string) bool {
	for range 2 { // a server that starts between the looks shows in the second
		held, err := pgdata.Holders(dir)
		if err != nil || len(pgdata.Servers(held)) > 0 {
			return false
		}
		signals, err := pgdata.ReadSignals(dir)
		if (err != nil && !errors.Is(err, pgdata.ErrBadPIDFile)) || !signals.Standby {
			return false
		}
		c, err := pgdata.ReadControl(dir)
		if err != nil || (c.State != pgdata.StateArchiveRecovery && c.State != pgdata.StateShutDownInRecovery) {
			return false
		}
	}
	return true
}

// receiveAgain puts back what an aborted promotion had switched off while the
// server could not be asked: an ordinary standby that receives from nobody.
func (s *Service) receiveAgain(ctx context.Context) {
	own, err := s.store.Read()
	if err != nil || s.server == nil || own.Role != replication.RoleStandby || own.Marker != nil || own.Lock != nil || len(own.Intents) > 0 {
		return
	}
	if _, kept, err := s.store.Receiving(); err != nil || !kept {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, factLimit)
	defer cancel()
	if in, err := s.server.InRecovery(ctx); err != nil || !in {
		return
	}
	if err := s.server.restoreReceiving(ctx); err != nil {
		s.log.Warn("receive again from the former upstream", zap.Error(err))
	}
}

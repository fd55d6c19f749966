package runbooks

import (
	"context"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// PromoteSteps gives what each line of a promote plan does. The operation runs
// on the standby that becomes primary.
func PromoteSteps(d Deps, o *Operation) map[string]Step {
	old := o.Plan.Fence.Node
	steps := d.outOfRecovery(o, old)
	steps[StepLock] = d.lockStep(o)
	steps[StepIntent] = d.intentStep(o)
	steps[StepFence] = d.fenceStep(o, old)
	steps[StepLoss] = d.lossStep(o)
	steps[StepReplay] = Step{Guard: d.held(o), Act: func(ctx context.Context, s *Scribe) error {
		if err := d.Server.Settle(ctx); err != nil {
			return err
		}
		got, replayed, err := d.Server.Positions(ctx)
		if err != nil {
			return err
		}
		return s.Note("received %s, replayed %s", got, replayed)
	}}
	steps[StepFreeze] = d.freezeStep(o)
	steps[StepStopApp] = d.stopAppStep(o, old)
	return steps
}

// outOfRecovery gives the steps that promote and release share: from the slot
// to the closed intent.
func (d Deps) outOfRecovery(o *Operation, other string) map[string]Step {
	return map[string]Step{
		StepSlot: {Guard: d.held(o), Act: func(ctx context.Context, _ *Scribe) error {
			return d.Promoted.CreateSlot(ctx, d.SlotName(other))
		}},
		StepEpoch:   d.epochStep(o),
		StepPromote: d.promoteStep(o),
		StepVerify:  d.verifyStep(o),
		StepReleaseSync: {Act: func(ctx context.Context, s *Scribe) error {
			was, err := d.Promoted.ReleaseSync(ctx)
			if err != nil {
				return err
			}
			return s.Note("synchronous_standby_names was %q; put it back when a standby streams again", was)
		}},
		StepCommit:   {Act: func(ctx context.Context, _ *Scribe) error { return d.Promoted.Settled(ctx, false) }},
		StepStartApp: d.startAppStep(o),
		StepCheckpoint: {Act: func(ctx context.Context, _ *Scribe) error {
			return d.Promoted.Settled(ctx, true)
		}},
		StepClose: d.closeStep(o),
	}
}

// lossStep holds the end of WAL on the fenced disk against what was accepted
// (DESIGN rule 8).
func (d Deps) lossStep(o *Operation) Step {
	return Step{Guard: d.held(o), Act: func(ctx context.Context, s *Scribe) error {
		got, _, err := d.Server.Positions(ctx)
		if err != nil {
			return err
		}
		out := o.FenceOutcome()
		if out == nil {
			return &Refusal{Exit: ExitRefused, Rule: "2", Reason: "no proven fence is on record", Hint: "watchdog ops resume " + o.ID}
		}
		if out.EndOfWAL == nil {
			return judgeUnread(o, out.Node)
		}
		if otherBranch(o.Plan.Loss, out.EndOfWAL.Timeline) {
			return &Refusal{Exit: ExitPartWay, Rule: "13", Gate: "timeline", Reason: fmt.Sprintf("the sealed disk of %s ends on timeline %d, %s is on %d: the branch is not proven",
				out.Node, out.EndOfWAL.Timeline, d.Self, o.Plan.Loss.Timeline), Hint: "watchdog ops abort " + o.ID}
		}
		lost := out.EndOfWAL.LSN.Since(got)
		if err := s.Figure("lost_bytes", int64(lost)); err != nil { //nolint:gosec // a WAL distance never nears 2^63
			return err
		}
		return judgeRead(o, s, *out.EndOfWAL, got, lost)
	}}
}

// judgeUnread is for a fence that could not read the disk: only a proof by
// synchronous replication or an accepted unknown loss lets it pass.
func judgeUnread(o *Operation, node string) error {
	if n, proven := o.atMost(); proven && n <= o.Plan.Loss.AllowedBytes {
		return nil
	}
	if o.Request.AcceptLossUnknown {
		return nil
	}
	return &Refusal{Exit: ExitPartWay, Rule: "8", Reason: "the end of WAL on " + node + " could not be read: the loss is unknown",
		Hint: "watchdog ops resume " + o.ID + " --accept-data-loss unknown, or: watchdog ops abort " + o.ID}
}

func judgeRead(o *Operation, s *Scribe, end fence.EndOfWAL, got replication.LSN, lost uint64) error {
	text := fmt.Sprintf("the sealed disk ends at %s, this standby holds %s: %s", end.LSN, got, sizeText(lost))
	accepted := o.Plan.Loss.AllowedBytes
	if n := o.Request.AcceptLossBytes; n != nil && *n > accepted {
		accepted = *n
	}
	most, proven := o.atMost()
	switch {
	case lost <= accepted || o.Request.AcceptLossUnknown:
		return s.Note("%s would be lost at most", text)
	case proven && most <= accepted:
		return s.Note("%s of WAL past it; %s", text, o.Plan.Loss.Basis)
	}
	return &Refusal{Exit: ExitPartWay, Rule: "8", Reason: text + fmt.Sprintf(" would be lost, accepted were %s", sizeText(accepted)),
		Hint: "watchdog ops resume " + o.ID + " --accept-data-loss " + sizeArg(lost) + ", or: watchdog ops abort " + o.ID}
}

// atMostLasts is how long after the plan the fence has to be proven, for the
// plan's figure to hold: until then the old primary may have lived on, and have
// been released from waiting for its standby. It leaves a fence all its time.
const atMostLasts = 3 * time.Minute

// atMost is the figure that synchronous replication proved in the plan; false
// when there is none, or when the operation stood still since, unfenced.
func (o *Operation) atMost() (bytes uint64, proven bool) {
	n, fenced := o.Plan.Loss.AtMostBytes, o.firstFenced()
	took := fenced.Sub(o.Plan.MadeAt)
	if n == nil || fenced.IsZero() || took < 0 || took > atMostLasts {
		return 0, false
	}
	return *n, true
}

// freezeStep switches the WAL receiver off, so that the position that is judged
// is the position that is promoted.
func (d Deps) freezeStep(o *Operation) Step {
	return Step{
		Guard: d.held(o),
		Act: func(ctx context.Context, s *Scribe) error {
			if err := d.Server.StopReceiving(ctx); err != nil {
				return err
			}
			if err := d.Server.Settle(ctx); err != nil {
				return err
			}
			got, replayed, err := d.Server.Positions(ctx)
			if err != nil {
				return err
			}
			at := max(got, replayed)
			if at < o.Plan.Loss.Standby {
				return fmt.Errorf("this standby holds WAL up to %s now, the plan saw %s", at, o.Plan.Loss.Standby)
			}
			return s.Note("frozen at %s, replayed %s", at, replayed)
		},
		Undo: func(ctx context.Context) error { return d.Server.ResumeReceiving(ctx) },
	}
}

// promoteStep is the point of no return. The right to go on is validated under
// the same lock that a fence of this node takes.
func (d Deps) promoteStep(o *Operation) Step {
	return Step{
		Sticky: true,
		Fresh:  true,
		Act: func(ctx context.Context, s *Scribe) error {
			// The proof comes before the lock: reading it again may take long, and
			// two nodes that fence each other must not wait for each other.
			if err := d.proveAgain(ctx, s, o); err != nil {
				return err
			}
			unlock := d.Exclusive()
			defer unlock()
			i, err := d.token(o)
			if err != nil {
				return err
			}
			dur, err := d.State.Read()
			if err != nil {
				return err
			}
			if !dur.Epoch.Same(i.Epoch) || dur.Role != replication.RolePrimary {
				return &Refusal{Exit: ExitRefused, Rule: "5", Reason: "the new epoch is not durable on this node", Hint: "watchdog ops resume " + o.ID}
			}
			in, err := d.Server.InRecovery(ctx)
			if err != nil || !in {
				return err // out of recovery already: a resume after the act
			}
			if err := d.holdsStill(o); err != nil {
				return err // asking the server took its time
			}
			return d.Promoted.Promote(ctx)
		},
		Verify: func(ctx context.Context) error {
			in, err := d.Server.InRecovery(ctx)
			if err == nil && in {
				return fmt.Errorf("%s is still in recovery", d.Self)
			}
			return err
		},
	}
}

// proofLasts is how old the proof of a fence may be when pg_promote is called.
// The steps in between take a second; a service that slept, or an operation that
// was resumed, has to read the proof again (DESIGN rule 6).
const proofLasts = time.Minute

// recent wants both clocks to say so: the monotonic one, which is lost with a
// restart, does not count the time that a machine was suspended, and the other
// one may be set.
func (d Deps) recent(at time.Time) bool {
	now := d.Now()
	ticked, shown := now.Sub(at), now.Round(0).Sub(at.Round(0))
	return min(ticked, shown) >= 0 && max(ticked, shown) < proofLasts
}

// proveAgain reads the proof again when it has grown old, as long as it matters:
// fencing a fenced node only verifies it, and a release that needed no fence asks
// the other node.
func (d Deps) proveAgain(ctx context.Context, s *Scribe, o *Operation) error {
	i, err := d.token(o)
	if err != nil || d.recent(o.provenAt()) {
		return err
	}
	if in, err := d.Server.InRecovery(ctx); err != nil || !in {
		return err
	}
	if o.Plan.Fence.Node == "" {
		return d.proveOther(ctx, s, o, o.Plan.Other)
	}
	order := fence.Order{Operation: o.ID, Node: o.Plan.Fence.Node, Issuer: d.Self, Epoch: i.Epoch, By: o.Request.By, IssuedAt: d.Now()}
	out := d.Fencer.Fence(ctx, order, statedBy(o, order.Node))
	if err := s.Fence(out); err != nil {
		return err
	}
	return judgeFence(o, out)
}

// holdsStill is the last look: the token, and a proof that has not grown old
// while this node waited for its own lock.
func (d Deps) holdsStill(o *Operation) error {
	if _, err := d.token(o); err != nil {
		return err
	}
	if !d.recent(o.provenAt()) {
		return fmt.Errorf("prove again that %s cannot write: the proof grew old while this node waited", o.Plan.Fence.Node)
	}
	return nil
}

func (d Deps) verifyStep(o *Operation) Step {
	return Step{Act: func(ctx context.Context, s *Scribe) error {
		i, err := d.token(o)
		if err != nil {
			return err
		}
		tl, err := d.Promoted.Prove(ctx, replication.EpochRow{Number: i.Epoch.Number, ID: i.Epoch.ID, Node: d.Self, Operation: o.ID})
		if err != nil {
			return err
		}
		if err := s.Figure("timeline", int64(tl)); err != nil {
			return err
		}
		return s.Note("writable on timeline %d, epoch row %d written", tl, i.Epoch.Number)
	}}
}

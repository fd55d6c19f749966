package runbooks

import (
	"slices"
	"sync"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// Operation is one plan being carried out, with everything that was journaled
// of it. Its methods may be called while a Runner carries it out.
type Operation struct {
	ID      string
	Plan    Plan
	Request Request

	mu      sync.Mutex
	records []Record
}

// NewOperation gives an operation with what its journal holds, oldest first;
// nothing for a new one.
func NewOperation(id string, p Plan, r Request, journaled []Record) *Operation {
	return &Operation{ID: id, Plan: p, Request: r, records: journaled}
}

// Replay rebuilds an operation from its journal; nil when the journal does not
// begin with a plan. What was accepted when resuming is merged in order.
func Replay(journaled []Record) *Operation {
	if len(journaled) == 0 || journaled[0].Plan == nil || journaled[0].Request == nil {
		return nil
	}
	o := NewOperation(journaled[0].Operation, *journaled[0].Plan, *journaled[0].Request, journaled)
	for _, r := range journaled {
		if r.Type == RecordResumed && r.Request != nil {
			o.Request = o.Request.Merge(*r.Request)
		}
	}
	return o
}

// Merge adds what the operator accepts anew when an operation is resumed.
func (r Request) Merge(now Request) Request {
	if now.AcceptLossBytes != nil {
		r.AcceptLossBytes = now.AcceptLossBytes
	}
	r.AcceptLossUnknown = r.AcceptLossUnknown || now.AcceptLossUnknown
	if now.StatedOff != "" {
		r.StatedOff, r.By = now.StatedOff, now.By
	}
	return r
}

func (o *Operation) add(r Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.records = append(o.records, r)
}

// Len is the number of records so far.
func (o *Operation) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.records)
}

// Records gives copies of the records after the first n.
func (o *Operation) Records(n int) []Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.records[min(n, len(o.records)):])
}

// newest gives the newest record that fits.
func (o *Operation) newest(fits func(Record) bool) (Record, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.records) - 1; i >= 0; i-- {
		if fits(o.records[i]) {
			return o.records[i], true
		}
	}
	return Record{}, false
}

func (o *Operation) began() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.records) == 0 {
		return time.Time{}
	}
	return o.records[0].At
}

// Figure gives the newest journaled figure of that name.
func (o *Operation) Figure(name string) (int64, bool) {
	r, found := o.newest(func(r Record) bool { _, has := r.Figures[name]; return has })
	return r.Figures[name], found
}

// FenceOutcome gives the newest journaled fence that was proven; nil when none.
func (o *Operation) FenceOutcome() *fence.Outcome {
	r, _ := o.newest(func(r Record) bool { return r.Fence != nil && r.Fence.Result == fence.ResultDone })
	return r.Fence
}

// firstFenced is when a fence was first proven: from then on the fenced node
// wrote nothing. Zero when none was.
func (o *Operation) firstFenced() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.records {
		if r.Fence != nil && r.Fence.Result == fence.ResultDone {
			return r.At
		}
	}
	return time.Time{}
}

// figureProven marks the record of an answer by which the other node proved that
// it is no primary.
const figureProven = "other_proven"

// provenAt is when the fence was last proven, or the other node last proved what
// it is, since this run of the operation began; zero when never.
func (o *Operation) provenAt() time.Time {
	r, _ := o.newest(func(r Record) bool {
		_, answered := r.Figures[figureProven]
		return r.Type == RecordResumed || answered || (r.Fence != nil && r.Fence.Result == fence.ResultDone)
	})
	if r.Type == RecordResumed {
		return time.Time{}
	}
	return r.At
}

// Done says whether the step's outcome was journaled as done.
func (o *Operation) Done(step string) bool {
	_, done := o.newest(func(r Record) bool {
		return r.Type == RecordOutcome && r.Step == step && r.Result == fence.ResultDone
	})
	return done
}

// stale says whether the outcome of a fresh step was journaled before the
// operation was last resumed, and still matters: a proof does until the promotion
// is done, and nothing does once the operation began to close.
func (o *Operation) stale(step string) bool {
	r, found := o.newest(func(r Record) bool {
		return r.Type == RecordResumed || (r.Type == RecordOutcome && r.Step == step && r.Result == fence.ResultDone)
	})
	return found && r.Type == RecordResumed && !o.begun(StepClose) && (step == StepPromote || !o.Done(StepPromote))
}

// begun says whether the step was announced in the journal.
func (o *Operation) begun(step string) bool {
	_, begun := o.newest(func(r Record) bool { return r.Type == RecordIntent && r.Step == step })
	return begun
}

// Closed says whether the operation has ended, and how.
func (o *Operation) Closed() (fence.Result, bool) {
	r, closed := o.newest(func(r Record) bool { return r.Type == RecordClosed })
	return r.Result, closed
}

// Last gives the newest record; the zero value when there is none.
func (o *Operation) Last() Record {
	r, _ := o.newest(func(Record) bool { return true })
	return r
}

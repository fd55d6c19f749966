package bench

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// shares tells what the time between the confirmation and the first
// acknowledged write went into.
type shares struct {
	accept, fence, fsync, writes, records, after figure
	update, appended                             figure
	steps                                        []figure
}

// add takes one promotion apart. files is how many state files were replaced
// on both nodes until the first acknowledged write.
func (p *shares) add(b *testing.B, records []runbooks.Record, began, ack time.Time, files int, stateDir string) {
	b.Helper()
	update, appended := fsyncs(b, filepath.Dir(stateDir))
	p.update.took(update)
	p.appended.took(appended)
	n := 0
	var fenced, promoted time.Duration
	for _, r := range records {
		if r.At.Before(ack) {
			n++
		}
		if r.Type != runbooks.RecordOutcome {
			continue
		}
		took := time.Duration(r.TookMS) * time.Millisecond
		switch r.Step {
		case runbooks.StepFence:
			fenced = took
		case runbooks.StepPromote:
			promoted = r.At.Sub(began)
		}
		p.step(r.Step, took)
	}
	p.accept.took(records[0].At.Sub(began))
	p.fence.took(fenced)
	p.writes.add(float64(files))
	p.records.add(float64(n))
	p.fsync.took(update*time.Duration(files) + appended*time.Duration(n))
	p.after.took(ack.Sub(began) - promoted)
}

func (p *shares) step(name string, took time.Duration) {
	i := slices.IndexFunc(p.steps, func(f figure) bool { return f.name == name })
	if i < 0 {
		i = len(p.steps)
		p.steps = append(p.steps, figure{name: name, unit: seconds})
	}
	p.steps[i].took(took)
}

func (p *shares) figures() []figure {
	for _, f := range []struct {
		f    *figure
		name string
		unit unit
	}{
		{&p.accept, "  of it: command typed -> evidence read again, journal opened", seconds},
		{&p.fence, "  of it: fencing (step fence, its own state and journal writes included)", seconds},
		{&p.fsync, "  of it: fsync of state and journal (files and records below, at the costs below)", seconds},
		{&p.after, "  of it: end of step promote -> first acknowledged write (negative: before)", seconds},
		{&p.writes, "  state files replaced on both nodes until then", count},
		{&p.records, "  journal records until then", count},
		{&p.update, "  one state file replaced (fsync of file and folder), same disk, at rest", seconds},
		{&p.appended, "  one record of the journal (fsync), same disk, at rest", seconds},
	} {
		f.f.name, f.f.unit = f.name, f.unit
	}
	return []figure{p.accept, p.fence, p.fsync, p.after, p.writes, p.records, p.update, p.appended}
}

// fsyncs measures one update of a node's state that replaces one file, and one
// record of its journal: medians of 20, in a new folder of dir.
func fsyncs(b *testing.B, dir string) (update, appended time.Duration) {
	b.Helper()
	dir, err := os.MkdirTemp(dir, "fsync-")
	if err != nil {
		b.Fatal(err)
	}
	store, records := state.Open(dir, "db1"), state.OpenJournal(dir)
	var u, a figure
	for i := range 20 {
		began := time.Now()
		err := store.Update(func(d fence.Durable) (fence.Durable, error) {
			d.SystemID, d.Role = 1, replication.RolePrimary
			d.Epoch = fence.Epoch{Number: uint64(i + 1), ID: "bench", Primary: "db1"}
			return d, nil
		})
		if err != nil {
			b.Fatal(err)
		}
		u.took(time.Since(began))
		began = time.Now()
		err = records.Append(runbooks.Record{Format: runbooks.RecordFormat, Seq: i + 1, At: began, Type: runbooks.RecordNote, Operation: "bench", Text: "a line of evidence"})
		if err != nil {
			b.Fatal(err)
		}
		a.took(time.Since(began))
	}
	second := float64(time.Second)
	return time.Duration(u.median() * second), time.Duration(a.median() * second)
}

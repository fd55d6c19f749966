package control_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func following(t *testing.T, f control.Following) *control.Client {
	c, _ := local(t, func(r *control.Router) { control.HandleFollow(r, f) })
	return c
}

func TestFollow_RecordsArriveOneByOneUntilClosed(t *testing.T) {
	next := make(chan struct{})
	c := following(t, func(_ context.Context, _ control.Caller, id string, send func(runbooks.Record) error) error {
		for seq := 1; seq <= 3; seq++ {
			if err := send(runbooks.Record{Seq: seq, Operation: id, Text: "line\nbreak"}); err != nil {
				return err
			}
			<-next // the follower has seen it: nothing sits in a buffer
		}
		return nil
	})
	var seqs []int
	err := c.Follow(within(t, 10*time.Second), "p-1", func(r runbooks.Record) error {
		if r.Operation != "p-1" || r.Text != "line\nbreak" {
			t.Errorf("record = %+v", r)
		}
		seqs = append(seqs, r.Seq)
		next <- struct{}{}
		return nil
	})
	if err != nil || len(seqs) != 3 || seqs[2] != 3 {
		t.Errorf("followed %v, %v", seqs, err)
	}
}

func TestFollow_UnknownOperation_IsARefusal(t *testing.T) {
	want := runbooks.Refusal{Exit: runbooks.ExitUsage, Reason: "no such operation", Hint: "watchdog ops list"}
	c := following(t, func(context.Context, control.Caller, string, func(runbooks.Record) error) error { return &want })
	err := c.Follow(within(t, 5*time.Second), "p-1", func(runbooks.Record) error { return nil })
	var r *runbooks.Refusal
	if !errors.As(err, &r) || *r != want {
		t.Errorf("error = %#v", err)
	}
}

func TestFollow_StreamBreaks_IsNotTheEndOfTheOperation(t *testing.T) {
	c := following(t, func(_ context.Context, _ control.Caller, _ string, send func(runbooks.Record) error) error {
		if err := send(runbooks.Record{Seq: 1}); err != nil {
			return err
		}
		return errors.New("journal cannot be read")
	})
	n := 0
	err := c.Follow(within(t, 5*time.Second), "p-1", func(runbooks.Record) error { n++; return nil })
	var u *control.Unreachable
	if !errors.As(err, &u) || u.Phase != control.PhaseBrokenAnswer || n != 1 {
		t.Errorf("after %d records: %#v", n, err)
	}
}

func TestFollow_NothingToSend_EndsWell(t *testing.T) {
	c := following(t, func(context.Context, control.Caller, string, func(runbooks.Record) error) error { return nil })
	if err := c.Follow(within(t, 5*time.Second), "p-1", func(runbooks.Record) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestFollow_FollowerLeaves_SourceIsTold(t *testing.T) {
	told := make(chan struct{})
	c := following(t, func(ctx context.Context, _ control.Caller, _ string, send func(runbooks.Record) error) error {
		if err := send(runbooks.Record{Seq: 1}); err != nil {
			return err
		}
		<-ctx.Done()
		close(told)
		return ctx.Err()
	})
	enough := errors.New("enough")
	err := c.Follow(within(t, 5*time.Second), "p-1", func(runbooks.Record) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("error = %v", err)
	}
	<-told
}

func TestFollow_ServerStops_EndsTheStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := control.NewRouter(zap.NewNop())
	control.HandleFollow(r, func(ctx context.Context, _ control.Caller, _ string, send func(runbooks.Record) error) error {
		if err := send(runbooks.Record{Seq: 1}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	s, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, r)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s.Run)
	c := control.NewLocalClient(path)
	defer c.Close()
	first := make(chan struct{})
	errs := make(chan error, 1)
	go func() {
		errs <- c.Follow(within(t, time.Minute), "p-1", func(runbooks.Record) error { close(first); return nil })
	}()
	<-first
	stop()
	var u *control.Unreachable
	if err := <-errs; !errors.As(err, &u) {
		t.Errorf("error = %#v", err)
	}
}

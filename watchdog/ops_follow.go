package watchdog

import (
	"context"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// follow sends every record of an operation, and waits for more while it runs.
func (o *ops) follow(ctx context.Context, id string, send func(runbooks.Record) error) error {
	op, err := o.find(id)
	if err != nil {
		return err
	}
	for sent := 0; ; {
		recs, news := o.since(op, sent)
		for _, r := range recs {
			if err := send(r); err != nil {
				return err
			}
		}
		sent += len(recs)
		if news == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-news:
		}
	}
}

// since gives the records after the first n, and what to wait on for more; nil
// when the operation does not run.
func (o *ops) since(op *runbooks.Operation, n int) ([]runbooks.Record, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	recs := op.Records(n)
	if f := o.current; f != nil && f.op == op {
		return recs, f.news
	}
	return recs, nil
}

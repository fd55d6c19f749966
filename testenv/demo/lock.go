package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// patience is how long a lock is waited for in silence.
const patience = time.Second

// flock takes an exclusive lock on a file, which the kernel drops when this
// process ends. The caller closes the file to let go of it earlier. waiting is
// called once when it takes longer than patience; nil: nobody is told.
func flock(ctx context.Context, o Owner, path string, waiting func()) (*os.File, error) {
	var f *os.File
	began := time.Now()
	err := poll(ctx, 20*time.Millisecond, func() (bool, error) {
		var err error
		if f, err = tryFlock(o, path); f == nil && err == nil && waiting != nil && time.Since(began) > patience {
			waiting()
			waiting = nil
		}
		return f != nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// tryFlock returns no file and no error when another process holds the lock.
func tryFlock(o Owner, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := o.give(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, f.Close()
	case err != nil:
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// poll asks again and again until the answer is yes, an error, or the context's end.
func poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

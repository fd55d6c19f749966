package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// LagKeep is how far the lag history reaches back.
const LagKeep = 24 * time.Hour

// maxLagPending bounds what waits for a write that does not succeed: about six
// hours of one standby.
const maxLagPending = 2048

// lagSlack is how far ahead of the clock a stored point may lie. Beyond it the
// clock has been set back since, and the point would lie in other points' future.
const lagSlack = 2 * time.Minute

// LagPoint is the lag of one standby at one moment, for plots. A nil figure was
// not known, which a plot must show as a gap and never as 0.
type LagPoint struct {
	At           time.Time      `json:"at"` // wall clock of this node
	Node         string         `json:"node"`
	ReceiveBytes *uint64        `json:"receive_bytes,omitempty"`
	FlushBytes   *uint64        `json:"flush_bytes,omitempty"`
	ReplayBytes  *uint64        `json:"replay_bytes,omitempty"`
	Time         *time.Duration `json:"time,omitempty"`
	AtLeast      bool           `json:"at_least,omitempty"` // Time is a lower bound
}

// LagHistory keeps the lag of the last LagKeep in a bbolt file, over restarts.
// Points are gathered in memory and written by Flush, one transaction for many:
// each one syncs the disk. A crash loses what was not flushed. Safe for
// concurrent use.
type LagHistory struct {
	db      *bbolt.DB
	mu      sync.Mutex
	pending []LagPoint
}

// NewLagHistory uses db, which stays the caller's. Nothing is written yet.
func NewLagHistory(db *bbolt.DB) *LagHistory { return &LagHistory{db: db} }

var (
	bucketLag       = []byte("lag")
	bucketLagPoints = []byte("points") // keys: time of the first point of a batch
	keyLagFormat    = []byte("format")
	lagFormat       = []byte("1")
)

// Add takes points, oldest first, and writes nothing.
func (h *LagHistory) Add(points ...LagPoint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = append(h.pending, points...)
	if over := len(h.pending) - maxLagPending; over > 0 {
		h.pending = append(h.pending[:0], h.pending[over:]...)
	}
}

// Flush writes what was added and drops what is older than LagKeep, in one
// transaction; without new points it does nothing. On an error the points wait
// for the next call. A file written by a later format is an error each time.
func (h *LagHistory) Flush(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pending) == 0 {
		return nil
	}
	raw, err := json.Marshal(h.pending)
	if err != nil {
		return fmt.Errorf("encode lag history: %w", err)
	}
	err = guarded(func() error {
		return h.db.Update(func(tx *bbolt.Tx) error {
			b, err := lagPoints(tx)
			if err != nil {
				return err
			}
			if err := prune(b, now); err != nil {
				return err
			}
			return b.Put(lagKey(h.pending[0].At), raw)
		})
	})
	if err != nil {
		return fmt.Errorf("write lag history to %s: %w", h.db.Path(), err)
	}
	h.pending = h.pending[:0]
	return nil
}

// lagPoints gives the bucket, made when absent.
func lagPoints(tx *bbolt.Tx) (*bbolt.Bucket, error) {
	top, err := tx.CreateBucketIfNotExists(bucketLag)
	if err != nil {
		return nil, err
	}
	switch format := top.Get(keyLagFormat); {
	case format == nil:
		if err := top.Put(keyLagFormat, lagFormat); err != nil {
			return nil, err
		}
	case !bytes.Equal(format, lagFormat):
		return nil, fmt.Errorf("format is %q, this program writes %q", format, lagFormat)
	}
	return top.CreateBucketIfNotExists(bucketLagPoints)
}

// prune drops batches that are too old, and those from a clock that was set back.
func prune(b *bbolt.Bucket, now time.Time) error {
	var drop [][]byte
	oldest, newest := lagKey(now.Add(-LagKeep)), lagKey(now.Add(lagSlack))
	c := b.Cursor()
	for k, _ := c.First(); k != nil && bytes.Compare(k, oldest) < 0; k, _ = c.Next() {
		drop = append(drop, bytes.Clone(k))
	}
	for k, _ := c.Last(); k != nil && bytes.Compare(k, newest) > 0; k, _ = c.Prev() {
		drop = append(drop, bytes.Clone(k))
	}
	for _, k := range drop {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Since gives the points from a moment on, oldest first, those not yet flushed
// included. A record that cannot be read is left out and named in the error,
// beside all the others.
func (h *LagHistory) Since(from time.Time) ([]LagPoint, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []LagPoint
	var damaged []error
	take := func(points []LagPoint) {
		for _, p := range points {
			if !p.At.Before(from) {
				out = append(out, p)
			}
		}
	}
	err := guarded(func() error {
		return h.db.View(func(tx *bbolt.Tx) error {
			top := tx.Bucket(bucketLag)
			if top == nil || top.Bucket(bucketLagPoints) == nil {
				return nil
			}
			return top.Bucket(bucketLagPoints).ForEach(func(k, v []byte) error {
				var points []LagPoint
				if err := json.Unmarshal(v, &points); err != nil {
					damaged = append(damaged, fmt.Errorf("record %x: %w", k, err))
				}
				take(points)
				return nil
			})
		})
	})
	take(h.pending)
	if err = errors.Join(append(damaged, err)...); err != nil {
		return out, fmt.Errorf("read lag history from %s: %w", h.db.Path(), err)
	}
	return out, nil
}

func lagKey(at time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(max(0, at.UnixNano()))) //nolint:gosec // not negative
}

// guarded turns what bbolt does on damaged pages, a panic or a fault in its
// memory map, into an error: a plot is not worth the service.
func guarded(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

package alerts

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// storeFormat is the version of what stands in the buckets.
const storeFormat = "1"

// ErrStoreCorrupt is returned when what the store holds cannot be read. The
// file is left as it is.
var ErrStoreCorrupt = errors.New("alert store is corrupt")

// store keeps incidents and the spool in one bbolt file. Every write is one
// transaction, and bbolt syncs each of them before it returns.
type store struct {
	db *bbolt.DB
}

var (
	bucketAlerts    = []byte("alerts")
	bucketIncidents = []byte("incidents")
	bucketSpool     = []byte("spool")
	keyFormat       = []byte("format")
)

// load reads everything. It writes only into a file without our bucket.
func (s store) load() (map[string]*Incident, map[string]*entry, error) {
	incidents, spool := map[string]*Incident{}, map[string]*entry{}
	found := false
	err := s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			top := tx.Bucket(bucketAlerts)
			if top == nil {
				return nil
			}
			found = true
			if got := string(top.Get(keyFormat)); got != storeFormat {
				return fmt.Errorf("format is %q, this program reads %q", got, storeFormat)
			}
			return errors.Join(
				readAll(top, bucketIncidents, incidents, (*Incident).identity),
				readAll(top, bucketSpool, spool, (*entry).id),
			)
		})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read alerts from %s: %w: %w; nothing was overwritten: stop the service, "+
			"move the file aside and start again (open incidents are then told once more)", s.db.Path(), ErrStoreCorrupt, err)
	}
	if !found {
		if err := s.create(); err != nil {
			return nil, nil, fmt.Errorf("prepare alerts in %s: %w", s.db.Path(), err)
		}
	}
	return incidents, spool, nil
}

// readAll decodes one bucket; a record that does not belong under its key was
// not written by us.
func readAll[T any](top *bbolt.Bucket, name []byte, into map[string]*T, key func(*T) string) error {
	b := top.Bucket(name)
	if b == nil {
		return fmt.Errorf("bucket %q is missing", name)
	}
	return b.ForEach(func(k, v []byte) error {
		var value T
		if err := json.Unmarshal(v, &value); err != nil {
			return fmt.Errorf("%s record %q: %w", name, k, err)
		}
		if key(&value) != string(k) {
			return fmt.Errorf("%s record %q holds %q", name, k, key(&value))
		}
		into[string(k)] = &value
		return nil
	})
}

// guard turns what bbolt does on damaged pages, a panic or a fault in its
// memory map, into an error.
func (s store) guard(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged page: %v", p)
		}
	}()
	return f()
}

func (s store) create() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		top, err := tx.CreateBucket(bucketAlerts)
		if err != nil {
			return err
		}
		for _, name := range [][]byte{bucketIncidents, bucketSpool} {
			if _, err := top.CreateBucket(name); err != nil {
				return err
			}
		}
		return top.Put(keyFormat, []byte(storeFormat))
	})
}

// changes is what one transaction writes; a nil value deletes the record.
type changes struct {
	incidents map[string]*Incident
	spool     map[string]*entry
}

func (c changes) empty() bool { return len(c.incidents) == 0 && len(c.spool) == 0 }

// write applies all changes or none, durably.
func (s store) write(c changes) error {
	err := s.guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			top := tx.Bucket(bucketAlerts)
			if top == nil {
				return errors.New("bucket is gone")
			}
			return errors.Join(writeAll(top, bucketIncidents, c.incidents), writeAll(top, bucketSpool, c.spool))
		})
	})
	if err != nil {
		return fmt.Errorf("write alerts to %s: %w", s.db.Path(), err)
	}
	return nil
}

func writeAll[T any](top *bbolt.Bucket, name []byte, values map[string]*T) error {
	b := top.Bucket(name)
	if b == nil {
		return fmt.Errorf("bucket %q is gone", name)
	}
	for k, value := range values {
		if value == nil {
			if err := b.Delete([]byte(k)); err != nil {
				return fmt.Errorf("delete %s record: %w", name, err)
			}
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("encode %s record: %w", name, err)
		}
		if err := b.Put([]byte(k), raw); err != nil {
			return fmt.Errorf("put %s record: %w", name, err)
		}
	}
	return nil
}

package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// The files of a state directory.
const (
	EpochFile = "epoch.json"
	FenceFile = "fence.json"
	lockFile  = "lock"
)

// Fault is a state file that cannot be used. Nothing acts while there is one.
type Fault struct {
	File string
	Err  error
}

// Error names the file and what is wrong with it.
func (f *Fault) Error() string { return fmt.Sprintf("%s: %v", f.File, f.Err) }

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// ErrAbsent is returned by Read when the directory holds neither state file.
var ErrAbsent = errors.New("no state yet")

// Store is the state directory of one node. Its methods may be called
// concurrently, and by several processes.
type Store struct {
	dir  string
	node string
	mu   sync.Mutex
	// The contents as they were last read, while their files do not change.
	epochs kept[epochData]
	fences kept[fenceData]
}

// Open gives the store of node in dir. It creates nothing and reads nothing: a
// directory that is missing or damaged shows at Read.
func Open(dir, node string) *Store { return &Store{dir: dir, node: node} }

// Dir gives the state directory.
func (s *Store) Dir() string { return s.dir }

// epochData is the content of epoch.json.
type epochData struct {
	SystemID      replication.SystemID `json:"system_identifier"`
	DataDirectory string               `json:"data_directory"`
	Epoch         fence.Epoch          `json:"epoch"`
	Role          replication.Role     `json:"role"`
	Boot          *fence.BootRecord    `json:"boot,omitempty"`
}

// fenceData is the content of fence.json.
type fenceData struct {
	Marker  *fence.Marker  `json:"marker,omitempty"`
	Orders  []fence.Order  `json:"orders,omitempty"`
	Intents []fence.Intent `json:"intents,omitempty"`
	Lock    *fence.Lock    `json:"lock,omitempty"`
	Closed  []fence.Closed `json:"closed,omitempty"`
}

// rereads bounds how often a reader follows a writer: one change takes two
// fsyncs, and a reader is through in microseconds.
const rereads = 20

// Read gives the durable state. ErrAbsent says that there is certainly none; a
// *Fault names the file that cannot be understood. It takes no lock, so that the
// gate can read a directory that it cannot write: the epoch is read before and
// after fence.json, and both halves belong together when it has not changed.
func (s *Store) Read() (fence.Durable, error) {
	d := fence.Durable{Node: s.node}
	h, err := s.halves()
	for n := 0; err == nil && n < rereads; n++ {
		var again halves
		again, err = s.halves()
		if reflect.DeepEqual(h.epoch, again.epoch) {
			break
		}
		h = again
	}
	switch {
	case err != nil:
		return d, err
	case h.epoch == nil && h.fence == nil:
		return d, ErrAbsent
	case h.fence == nil:
		// fence.json is always written first: alone, epoch.json has lost its half.
		return d, &Fault{File: filepath.Join(s.dir, FenceFile), Err: fmt.Errorf("is missing beside %s", EpochFile)}
	}
	if e := h.epoch; e != nil {
		d.SystemID, d.DataDirectory, d.Epoch, d.Role, d.Boot = e.SystemID, e.DataDirectory, e.Epoch, e.Role, e.Boot
	}
	f := h.fence
	d.Marker, d.Orders, d.Intents, d.Lock, d.Closed = f.Marker, f.Orders, f.Intents, f.Lock, f.Closed
	return owned(d), nil
}

// owned copies what the caller might write into: the halves are kept.
func owned(d fence.Durable) fence.Durable {
	d.Boot, d.Marker, d.Lock = copied(d.Boot), copied(d.Marker), copied(d.Lock)
	d.Orders, d.Intents, d.Closed = slices.Clone(d.Orders), slices.Clone(d.Intents), slices.Clone(d.Closed)
	return d
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// halves are the two files as they were read one after the other; nil for a file
// that is not there.
type halves struct {
	epoch *epochData
	fence *fenceData
}

func (s *Store) halves() (h halves, err error) {
	if h.epoch, err = s.epochs.read(filepath.Join(s.dir, EpochFile)); err == nil {
		h.fence, err = s.fences.read(filepath.Join(s.dir, FenceFile))
	}
	return h, err
}

// Update changes the durable state by one pure function, durably: when it
// returns nil, the change survives a crash. Errors of change are returned as
// they are and nothing is written.
func (s *Store) Update(change func(fence.Durable) (fence.Durable, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := makeDir(s.dir); err != nil {
		return fmt.Errorf("create state directory: %w", err)
	}
	unlock, err := lockDir(filepath.Join(s.dir, lockFile))
	if err != nil {
		return err
	}
	defer unlock()
	s.epochs.forget() // a change rests on what the disk says now
	s.fences.forget()
	was, err := s.Read()
	absent := errors.Is(err, ErrAbsent)
	if err != nil && !absent {
		return err
	}
	// Encoded before the change, which may write into the slices it was given.
	before := encodedHalves(was)
	now, err := change(was)
	if err != nil {
		return err
	}
	return s.write(before, now, absent)
}

// write replaces the files whose content changed. Each notice changes one of
// them, so that a crash leaves the old state or the new one; fence.json comes
// first where both do. What is there already is made durable all the same: an
// earlier write may have failed after its rename.
func (s *Store) write(before [2][]byte, now fence.Durable, absent bool) error {
	after := encodedHalves(now)
	if absent || !bytes.Equal(before[1], after[1]) {
		if err := writeFile(filepath.Join(s.dir, FenceFile), fenceHalf(now)); err != nil {
			return err
		}
	}
	if !now.Epoch.Zero() && !bytes.Equal(before[0], after[0]) {
		return writeFile(filepath.Join(s.dir, EpochFile), epochHalf(now))
	}
	return syncDir(s.dir)
}

func encodedHalves(d fence.Durable) (h [2][]byte) {
	h[0], _ = json.Marshal(epochHalf(d)) // plain values: they encode
	h[1], _ = json.Marshal(fenceHalf(d))
	return h
}

func fenceHalf(d fence.Durable) fenceData {
	return fenceData{Marker: d.Marker, Orders: d.Orders, Intents: d.Intents, Lock: d.Lock, Closed: d.Closed}
}

func epochHalf(d fence.Durable) epochData {
	return epochData{SystemID: d.SystemID, DataDirectory: d.DataDirectory, Epoch: d.Epoch, Role: d.Role, Boot: d.Boot}
}

// Apply applies one notice durably; see fence.Durable.Apply for its rules.
func (s *Store) Apply(n fence.Notice) error {
	return s.Update(func(d fence.Durable) (fence.Durable, error) { return d.Apply(n) })
}

// SetMarker sets the fence marker durably. A marker of another operation is
// replaced: the newest fence is the one that stands.
func (s *Store) SetMarker(m fence.Marker) error {
	return s.Update(func(d fence.Durable) (fence.Durable, error) {
		d.Marker = &m
		return d, nil
	})
}

// Marker gives the fence marker; nil when there is none.
func (s *Store) Marker() (*fence.Marker, error) {
	d, err := s.Read()
	if err != nil && !errors.Is(err, ErrAbsent) {
		return nil, err
	}
	return d.Marker, nil
}

// BindData records which data directory the epoch belongs to, and the boot of
// the host at an allowed start.
func (s *Store) BindData(dir string, boot fence.BootRecord) error {
	return s.Update(func(d fence.Durable) (fence.Durable, error) {
		if dir != "" {
			d.DataDirectory = dir
		}
		d.Boot = &boot
		return d, nil
	})
}

// lockDir takes the file lock that orders the writes of two processes. It
// waits at most 5 s: a holder only ever writes two small files.
func lockDir(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open state lock: %w", err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			_ = f.Close()
			return nil, fmt.Errorf("lock state directory: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

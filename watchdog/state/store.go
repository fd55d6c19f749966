package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// Read gives the durable state. ErrAbsent says that there is certainly none; a
// *Fault names the file that cannot be understood.
func (s *Store) Read() (fence.Durable, error) {
	d := fence.Durable{Node: s.node}
	var e epochData
	var f fenceData
	haveEpoch, err := readFile(filepath.Join(s.dir, EpochFile), &e)
	if err != nil {
		return d, err
	}
	haveFence, err := readFile(filepath.Join(s.dir, FenceFile), &f)
	if err != nil {
		return d, err
	}
	switch {
	case !haveEpoch && !haveFence:
		return d, ErrAbsent
	case haveEpoch && !haveFence:
		// fence.json is always written first: alone, epoch.json has lost its half.
		return d, &Fault{File: filepath.Join(s.dir, FenceFile), Err: fmt.Errorf("is missing beside %s", EpochFile)}
	}
	d.SystemID, d.DataDirectory, d.Epoch, d.Role, d.Boot = e.SystemID, e.DataDirectory, e.Epoch, e.Role, e.Boot
	d.Marker, d.Orders, d.Intents, d.Lock, d.Closed = f.Marker, f.Orders, f.Intents, f.Lock, f.Closed
	return d, nil
}

// Update changes the durable state by one pure function, durably: when it
// returns nil, the change survives a crash. Errors of change are returned as
// they are and nothing is written.
func (s *Store) Update(change func(fence.Durable) (fence.Durable, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return fmt.Errorf("create state directory: %w", err)
	}
	unlock, err := lockDir(filepath.Join(s.dir, lockFile))
	if err != nil {
		return err
	}
	defer unlock()
	was, err := s.Read()
	if err != nil && !errors.Is(err, ErrAbsent) {
		return err
	}
	now, err := change(was)
	if err != nil {
		return err
	}
	return s.write(now)
}

func (s *Store) write(d fence.Durable) error {
	f := fenceData{Marker: d.Marker, Orders: d.Orders, Intents: d.Intents, Lock: d.Lock, Closed: d.Closed}
	if err := writeFile(filepath.Join(s.dir, FenceFile), f); err != nil {
		return err
	}
	if d.Epoch.Zero() {
		return nil
	}
	e := epochData{SystemID: d.SystemID, DataDirectory: d.DataDirectory, Epoch: d.Epoch, Role: d.Role, Boot: d.Boot}
	return writeFile(filepath.Join(s.dir, EpochFile), e)
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

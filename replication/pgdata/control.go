package pgdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// PG_CONTROL_VERSION of the releases whose layout is known here. Version 1700
// put a wal_level into what was padding in the checkpoint's copy: everything that
// is read here stayed where it was.
const (
	controlVersion   = 1300 // PostgreSQL 13 to 16
	controlVersion17 = 1700 // PostgreSQL 17
)

// Offsets in ControlFileData (src/include/catalog/pg_control.h) on machines with
// 8-byte alignment.
const (
	offSystemID       = 0
	offVersion        = 8
	offState          = 16
	offTime           = 24
	offCheckpoint     = 32
	offRedo           = 40
	offTimeline       = 48
	offPrevTimeline   = 52
	offMinRecovery    = 136
	offMinRecoveryTLI = 144
	offWALLogHints    = 176
	offBlockSize      = 216
	offWALBlockSize   = 224
	offWALSegmentSize = 228
	offChecksums      = 252
	offCRC            = 288
	controlSize       = offCRC + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Control is what the control file says. On a running server it lags: its
// timeline is that of the last checkpoint, which after a promotion is still the
// old one (see also NewestHistory).
type Control struct {
	SystemID            replication.SystemID
	Version             uint32 // pg_control_version
	State               State
	Checkpoint          replication.LSN // where the latest checkpoint record starts
	Redo                replication.LSN // where recovery from it begins
	Timeline            replication.Timeline
	PrevTimeline        replication.Timeline
	MinRecovery         replication.LSN // a standby is inconsistent before this; 0 on a primary
	MinRecoveryTimeline replication.Timeline
	Time                time.Time // last change of the control file, server's clock, seconds
	WALSegmentSize      int       // bytes
	WALBlockSize        int       // bytes
	Checksums           bool      // data_checksums
	WALLogHints         bool      // wal_log_hints (pg_rewind needs it or Checksums)
}

// ReadControl reads and checks global/pg_control of the data directory. A CRC
// mismatch is read once more, since a running server may be writing just now.
// Errors: ErrNoControl, ErrUnknownFormat, ErrCorruptControl, or that of the
// operating system.
func ReadControl(dir string) (Control, error) {
	path := filepath.Join(dir, "global", "pg_control")
	c, err := readControl(func() ([]byte, error) { return readHead(path, controlSize) })
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoControl
	}
	if err != nil {
		return Control{}, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

func readControl(read func() ([]byte, error)) (Control, error) {
	for again := true; ; again = false {
		b, err := read()
		if err != nil {
			return Control{}, err
		}
		c, err := ParseControl(b)
		if errors.Is(err, ErrCorruptControl) && again {
			continue
		}
		return c, err
	}
}

// readHead reads at most n bytes from the start of the file: the files that
// this package reads are small, whatever somebody put in their place.
func readHead(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// ParseControl decodes and checks the bytes of a control file.
func ParseControl(b []byte) (Control, error) {
	if len(b) < controlSize {
		return Control{}, fmt.Errorf("%w: %d bytes, want at least %d", ErrCorruptControl, len(b), controlSize)
	}
	le := binary.LittleEndian
	version := le.Uint32(b[offVersion:])
	if version != controlVersion && version != controlVersion17 {
		return Control{}, &FormatError{Version: version}
	}
	if want, got := le.Uint32(b[offCRC:]), crc32.Checksum(b[:offCRC], castagnoli); want != got {
		return Control{}, fmt.Errorf("%w: CRC %08X, computed %08X", ErrCorruptControl, want, got)
	}
	c := Control{
		SystemID:            replication.SystemID(le.Uint64(b[offSystemID:])),
		Version:             version,
		State:               stateFrom(le.Uint32(b[offState:])),
		Checkpoint:          replication.LSN(le.Uint64(b[offCheckpoint:])),
		Redo:                replication.LSN(le.Uint64(b[offRedo:])),
		Timeline:            replication.Timeline(le.Uint32(b[offTimeline:])),
		PrevTimeline:        replication.Timeline(le.Uint32(b[offPrevTimeline:])),
		MinRecovery:         replication.LSN(le.Uint64(b[offMinRecovery:])),
		MinRecoveryTimeline: replication.Timeline(le.Uint32(b[offMinRecoveryTLI:])),
		Time:                time.Unix(int64(le.Uint64(b[offTime:])), 0),
		WALSegmentSize:      int(le.Uint32(b[offWALSegmentSize:])),
		WALBlockSize:        int(le.Uint32(b[offWALBlockSize:])),
		Checksums:           le.Uint32(b[offChecksums:]) != 0,
		WALLogHints:         b[offWALLogHints] != 0,
	}
	return c, c.check()
}

// check refuses values that no server writes although the CRC is right: a
// layout that differs from ours would show here.
func (c Control) check() error {
	switch {
	case c.State == StateUnknown:
		return fmt.Errorf("%w: unknown state", ErrCorruptControl)
	case !validSegmentSize(c.WALSegmentSize):
		return fmt.Errorf("%w: WAL segment size %d", ErrCorruptControl, c.WALSegmentSize)
	case !powerOfTwo(c.WALBlockSize) || c.WALBlockSize < 1<<10 || c.WALBlockSize > 1<<16:
		return fmt.Errorf("%w: WAL block size %d", ErrCorruptControl, c.WALBlockSize)
	case c.Timeline == 0 || c.Checkpoint < c.Redo:
		return fmt.Errorf("%w: checkpoint %s with redo %s on timeline %d", ErrCorruptControl, c.Checkpoint, c.Redo, c.Timeline)
	}
	return nil
}

// validSegmentSize: initdb --wal-segsize takes powers of two from 1 MB to 1 GB.
func validSegmentSize(n int) bool { return powerOfTwo(n) && n >= 1<<20 && n <= 1<<30 }

func powerOfTwo(n int) bool { return n > 0 && n&(n-1) == 0 }

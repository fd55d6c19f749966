package pgdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Page headers (XLogPageHeaderData, src/include/access/xlog_internal.h).
const (
	shortPageHeader = 24
	longPageHeader  = 40 // the first page of a segment

	pageContinues   = 0x0001 // the page begins inside a record
	pageLong        = 0x0002
	pageOverwritten = 0x0008 // the record that ran into this page was given up after a crash
	pageFlags       = 0x000F

	// walMagicFamily is the upper byte of XLOG_PAGE_MAGIC in all releases from
	// 9.6 on; the lower byte names the release and only has to stay the same.
	walMagicFamily = 0xD1
)

// errEnd wraps the reason why WAL ends at some point. It is no failure.
var errEnd = errors.New("end of valid WAL")

func endf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errEnd, fmt.Sprintf(format, args...))
}

// segment is one open WAL file.
type segment struct {
	io.ReaderAt
	close    func() error
	timeline replication.Timeline
	// limit is where the timeline of the file ends because a later one of the
	// same history left it there; 0: nowhere.
	limit replication.LSN
}

// pages reads WAL one checked page at a time, so that memory stays bounded by
// one page whatever length a record claims.
type pages struct {
	open      func(number uint64) (segment, error) // fs.ErrNotExist: no such segment
	segSize   uint64
	blockSize uint64
	sysID     replication.SystemID // 0: not compared
	known     func(replication.Timeline) bool

	seg       segment
	number    uint64
	haveSeg   bool
	buf       []byte
	at        replication.LSN // where the page in buf starts
	havePage  bool
	magic     uint16
	timeline  replication.Timeline // highest page timeline so far: it never falls
	info      uint16
	remaining uint32 // xlp_rem_len
}

func (p *pages) pageOf(l replication.LSN) replication.LSN {
	return l - l%replication.LSN(p.blockSize)
}

// headerSize is that of the page which starts at l.
func (p *pages) headerSize(l replication.LSN) replication.LSN {
	if uint64(l)%p.segSize == 0 {
		return longPageHeader
	}
	return shortPageHeader
}

// load makes the page that starts at l the current one. An errEnd says that no
// valid page is there; any other error is one of reading.
func (p *pages) load(l replication.LSN) error {
	if p.havePage && p.at == l {
		return nil
	}
	p.havePage = false
	if err := p.openFor(l); err != nil {
		return err
	}
	if p.buf == nil {
		p.buf = make([]byte, p.blockSize)
	}
	n, err := p.seg.ReadAt(p.buf, int64(uint64(l)%p.segSize))
	if n < len(p.buf) {
		if err == nil || errors.Is(err, io.EOF) {
			return endf("segment is too short at %s", l)
		}
		return fmt.Errorf("read WAL at %s: %w", l, err)
	}
	if err := p.check(l); err != nil {
		return err
	}
	p.at, p.havePage = l, true
	return nil
}

func (p *pages) openFor(l replication.LSN) error {
	number := uint64(l) / p.segSize
	if p.haveSeg && p.number == number {
		return nil
	}
	seg, err := p.open(number)
	if errors.Is(err, fs.ErrNotExist) {
		return endf("no segment holds %s", l)
	}
	if err != nil {
		return fmt.Errorf("open WAL segment of %s: %w", l, err)
	}
	p.close()
	p.seg, p.number, p.haveSeg = seg, number, true
	return nil
}

func (p *pages) close() {
	if p.haveSeg && p.seg.close != nil {
		_ = p.seg.close() // read only: nothing can be lost
	}
	p.haveSeg, p.havePage = false, false
}

// check judges the header of the page in buf, which should start at l. A
// recycled segment shows by its old address.
func (p *pages) check(l replication.LSN) error {
	le := binary.LittleEndian
	magic, info := le.Uint16(p.buf), le.Uint16(p.buf[2:])
	timeline := replication.Timeline(le.Uint32(p.buf[4:]))
	address := replication.LSN(le.Uint64(p.buf[8:]))
	long := p.headerSize(l) == longPageHeader
	switch {
	case magic>>8 != walMagicFamily || (p.magic != 0 && magic != p.magic):
		return endf("page at %s has magic number %04X", l, magic)
	case info&^pageFlags != 0 || (info&pageLong != 0) != long:
		return endf("page at %s has flags %04X", l, info)
	case address != l:
		return endf("page at %s is an old one of %s", l, address)
	case timeline < p.timeline || timeline > p.seg.timeline || !p.known(timeline):
		return endf("page at %s is of timeline %d", l, timeline)
	}
	if long {
		if id := replication.SystemID(le.Uint64(p.buf[24:])); p.sysID != 0 && id != p.sysID {
			return endf("segment at %s is of system identifier %s", l, id)
		}
		if n := le.Uint32(p.buf[32:]); uint64(n) != p.segSize {
			return endf("segment at %s says segment size %d", l, n)
		}
	}
	p.magic, p.timeline, p.info, p.remaining = magic, timeline, info, le.Uint32(p.buf[16:])
	return nil
}

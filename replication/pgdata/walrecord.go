package pgdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Records (XLogRecord, src/include/access/xlogrecord.h; kinds from
// catalog/pg_control.h and access/xact.h).
const (
	recordHeader = 24
	recordMax    = 1020 << 20 // XLogRecordMaxSize
	recordAlign  = 8

	rmgrXLOG = 0
	rmgrXact = 1

	xlogShutdownCheckpoint = 0x00
	xlogSwitch             = 0x40
	xlogEndOfRecovery      = 0x90
	xlogOverwrite          = 0xD0

	xactKind           = 0x70
	xactCommit         = 0x00
	xactAbort          = 0x20
	xactCommitPrepared = 0x30
	xactAbortPrepared  = 0x40
)

// record is what is kept of one WAL record: never its data, only the first
// bytes of it.
type record struct {
	start, end replication.LSN
	length     uint32
	prev       replication.LSN
	info       uint8 // the resource manager's four bits
	rmgr       uint8
	head       []byte // first bytes after the header
}

// headKept is enough for the block ids before the main data of a transaction or
// checkpoint record, and the first 8 bytes of that data.
const headKept = 32

// overwritten says that the record at start was given up after a crash, and
// that WAL goes on with the page at next.
type overwritten struct{ start, next replication.LSN }

func (o *overwritten) Error() string {
	return fmt.Sprintf("record at %s was given up; WAL goes on at %s", o.start, o.next)
}

// first skips the page header when l is a page start, and refuses a position
// inside of one.
func (p *pages) first(l replication.LSN) (replication.LSN, error) {
	page := p.pageOf(l)
	if err := p.load(page); err != nil {
		return 0, err
	}
	switch header := p.headerSize(page); {
	case l == page && p.info&pageContinues != 0:
		return 0, endf("page at %s begins inside a record", l)
	case l == page:
		return page + header, nil
	case l < page+header:
		return 0, endf("%s lies inside a page header", l)
	case l == page+header && p.info&pageContinues != 0:
		return 0, endf("page at %s begins inside a record", page)
	}
	return l, nil
}

// read decodes the record at l (or after the page header at l). prev is where
// the record before it starts; 0: not known.
func (p *pages) read(l, prev replication.LSN) (record, error) {
	start, err := p.first(l)
	if err != nil {
		return record{}, err
	}
	if start%recordAlign != 0 {
		return record{}, endf("%s is not aligned", start)
	}
	if limit := p.seg.limit; limit != 0 && start >= limit {
		return record{}, endf("timeline %d was left at %s", p.seg.timeline, limit)
	}
	in := stream{pages: p, at: start, start: start}
	var h [recordHeader]byte
	if err := in.fill(h[:4]); err != nil { // aligned, so never split by a page
		return record{}, err
	}
	r := record{start: start, length: binary.LittleEndian.Uint32(h[:])}
	if r.length < recordHeader || r.length > recordMax {
		return record{}, endf("record at %s has length %d", start, r.length)
	}
	in.total = uint64(r.length)
	if err := in.fill(h[4:]); err != nil {
		return record{}, err
	}
	r.prev = replication.LSN(binary.LittleEndian.Uint64(h[8:]))
	r.info, r.rmgr = h[16]&0xF0, h[17]
	if r.prev >= start || (prev != 0 && r.prev != prev) {
		return record{}, endf("record at %s names %s as the one before", start, r.prev)
	}
	return in.finish(r, h)
}

// finish runs the rest of the record through the CRC, which covers the data
// first and then the header up to the CRC itself.
func (s *stream) finish(r record, h [recordHeader]byte) (record, error) {
	sum, err := s.sum(int(r.length)-recordHeader, &r.head)
	if err != nil {
		return record{}, err
	}
	sum = crc32.Update(sum, castagnoli, h[:recordHeader-4])
	if want := binary.LittleEndian.Uint32(h[recordHeader-4:]); want != sum {
		return record{}, endf("record at %s fails its CRC", r.start)
	}
	r.end = (s.at + recordAlign - 1) &^ (recordAlign - 1)
	if size := replication.LSN(s.pages.segSize); r.rmgr == rmgrXLOG && r.info == xlogSwitch {
		r.end = (r.end + size - 1) / size * size // the rest of the segment is unused
	}
	return r, nil
}

// stream reads the bytes of one record across pages.
type stream struct {
	pages *pages
	start replication.LSN // of the record
	at    replication.LSN
	got   uint64
	total uint64 // length of the record; 0 until known
}

// next gives what is left of the current page, at most n bytes, and steps over it.
func (s *stream) next(n int) ([]byte, error) {
	p := s.pages
	page := p.pageOf(s.at)
	if s.at == page {
		if err := s.cross(page); err != nil {
			return nil, err
		}
	}
	off := int(s.at - page)
	b := p.buf[off:min(off+n, len(p.buf))]
	s.at += replication.LSN(len(b))
	s.got += uint64(len(b))
	return b, nil
}

// cross goes on with the record on the page that starts at l.
func (s *stream) cross(l replication.LSN) error {
	p := s.pages
	if err := p.load(l); err != nil {
		return err
	}
	if p.info&pageOverwritten != 0 {
		return &overwritten{start: s.start, next: l}
	}
	if p.info&pageContinues == 0 || uint64(p.remaining) != s.total-s.got {
		return endf("page at %s does not continue the record at %s", l, s.start)
	}
	s.at += p.headerSize(l)
	return nil
}

func (s *stream) fill(b []byte) error {
	for len(b) > 0 {
		part, err := s.next(len(b))
		if err != nil {
			return err
		}
		b = b[copy(b, part):]
	}
	return nil
}

// sum gives the CRC of the next n bytes and keeps the first of them.
func (s *stream) sum(n int, head *[]byte) (uint32, error) {
	var sum uint32
	for n > 0 {
		part, err := s.next(n)
		if err != nil {
			return 0, err
		}
		if keep := headKept - len(*head); keep > 0 {
			*head = append(*head, part[:min(keep, len(part))]...)
		}
		sum = crc32.Update(sum, castagnoli, part)
		n -= len(part)
	}
	return sum, nil
}

// main gives the record's own data where no block comes before it (block ids of
// xlogrecord.h: 255 short length, 254 long length, 253 origin, 252 top-level xid).
func (r record) main() []byte {
	b := r.head
	for len(b) > 0 {
		skip := map[byte]int{255: 2, 254: 5, 253: 3, 252: 5}[b[0]]
		if skip == 0 || skip > len(b) {
			return nil
		}
		last := b[0] >= 254
		if b = b[skip:]; last {
			return b
		}
	}
	return nil
}

// pgEpoch is where PostgreSQL's timestamps begin, in Unix seconds (2000-01-01).
const pgEpoch = 946684800

// time is the first field of transaction-end and end-of-recovery records:
// microseconds since 2000-01-01 of the server's clock.
func (r record) time() time.Time {
	b := r.main()
	if len(b) < 8 {
		return time.Time{}
	}
	us := int64(binary.LittleEndian.Uint64(b))
	return time.UnixMicro(us).Add(pgEpoch * time.Second)
}

func (r record) is(rmgr, info uint8) bool { return r.rmgr == rmgr && r.info == info }

// replaces reports that r is the record which the server wrote in place of the
// one it gave up at start.
func (r record) replaces(start replication.LSN) bool {
	b := r.main()
	return r.is(rmgrXLOG, xlogOverwrite) && len(b) >= 8 &&
		replication.LSN(binary.LittleEndian.Uint64(b)) == start
}

func isEnd(err error) bool { return errors.Is(err, errEnd) }

package pgdata

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io/fs"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
)

const (
	testSegment = 1 << 20
	testBlock   = 8192
	testStart   = replication.LSN(testSegment) // segment 1
)

// wal writes records as a server does, from the start of segment 1.
type wal struct {
	bytes  []byte
	prev   replication.LSN
	starts []replication.LSN
}

func (w *wal) at() replication.LSN { return testStart + replication.LSN(len(w.bytes)) }

// page begins one when the last is full; rest is what a record still needs.
func (w *wal) page(rest int) {
	if len(w.bytes)%testBlock != 0 {
		return
	}
	size, flags := shortPageHeader, uint16(0)
	if len(w.bytes)%testSegment == 0 {
		size, flags = longPageHeader, pageLong
	}
	if rest > 0 {
		flags |= pageContinues
	}
	h, le := make([]byte, size), binary.LittleEndian
	le.PutUint16(h, 0xD110)
	le.PutUint16(h[2:], flags)
	le.PutUint32(h[4:], 1)
	le.PutUint64(h[8:], uint64(w.at()))
	le.PutUint32(h[16:], uint32(rest))
	if size == longPageHeader {
		le.PutUint64(h[24:], 42)
		le.PutUint32(h[32:], testSegment)
		le.PutUint32(h[36:], testBlock)
	}
	w.bytes = append(w.bytes, h...)
}

func (w *wal) record(rmgr, info uint8, data []byte) {
	w.page(0)
	start, le := w.at(), binary.LittleEndian
	r := make([]byte, recordHeader, recordHeader+len(data))
	le.PutUint32(r, uint32(recordHeader+len(data)))
	le.PutUint64(r[8:], uint64(w.prev))
	r[16], r[17] = info, rmgr
	sum := crc32.Update(crc32.Checksum(data, castagnoli), castagnoli, r[:20])
	le.PutUint32(r[20:], sum)
	for r = append(r, data...); len(r) > 0; {
		if w.at() != start {
			w.page(len(r))
		}
		n := min(len(r), testBlock-len(w.bytes)%testBlock)
		w.bytes, r = append(w.bytes, r[:n]...), r[n:]
	}
	for len(w.bytes)%recordAlign != 0 {
		w.bytes = append(w.bytes, 0)
	}
	w.prev, w.starts = start, append(w.starts, start)
}

func walkBytes(t *testing.T, b []byte, from replication.LSN) End {
	t.Helper()
	p := pages{
		segSize: testSegment, blockSize: testBlock, sysID: 42,
		known: func(tli replication.Timeline) bool { return tli == 1 },
		open: func(number uint64) (segment, error) {
			begin := (number - 1) * testSegment
			if number == 0 || begin >= uint64(len(b)) {
				return segment{}, fs.ErrNotExist
			}
			part := make([]byte, testSegment) // a server writes zeroes first
			copy(part, b[begin:])
			return segment{ReaderAt: bytes.NewReader(part), timeline: 1}, nil
		},
	}
	defer p.close()
	e, err := walk(&p, from)
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	return e
}

// FuzzWalk writes records of the lengths in data, reads them all back, then
// changes one byte and expects to lose nothing before it.
func FuzzWalk(f *testing.F) {
	f.Add([]byte{0, 1, 255, 7}, uint32(100), byte(1))
	f.Add([]byte{250, 250, 250, 250, 250, 250}, uint32(8192), byte(0x80))
	f.Add([]byte{3, 3, 3}, uint32(24), byte(0xFF))
	f.Fuzz(func(t *testing.T, data []byte, at uint32, flip byte) {
		w := wal{}
		for i, n := range data[:min(len(data), 200)] {
			w.record(rmgrXact, xactCommit, bytes.Repeat([]byte{byte(i)}, int(n)*int(n)/3))
		}
		whole := walkBytes(t, w.bytes, testStart)
		if whole.Records != len(w.starts) || whole.Commits != whole.Records || (len(w.starts) > 0 && whole.LSN != w.at()) {
			t.Fatalf("wrote %d records up to %s, read %+v", len(w.starts), w.at(), whole)
		}
		if len(w.bytes) == 0 || flip == 0 {
			return
		}
		broken := bytes.Clone(w.bytes)
		broken[int(at)%len(broken)] ^= flip
		before := 0
		for before < len(w.starts) && w.endOf(before) <= testStart+replication.LSN(int(at)%len(broken)) {
			before++
		}
		e := walkBytes(t, broken, testStart)
		// A page header lies before the records of its page, and a flipped pad
		// byte harms nothing.
		if e.Records < before && !inHeaderPage(int(at)%len(broken)) || e.Records > whole.Records {
			t.Fatalf("byte %d changed after %d whole records: %+v", int(at)%len(broken), before, e)
		}
	})
}

func (w *wal) endOf(i int) replication.LSN {
	if i+1 < len(w.starts) {
		return w.starts[i+1]
	}
	return w.at()
}

// inHeaderPage: the page header is read before any record of the page.
func inHeaderPage(off int) bool { return off%testBlock < longPageHeader }

// FuzzWalkRaw reads what nobody wrote: it must end, and never before its start.
func FuzzWalkRaw(f *testing.F) {
	w := wal{}
	w.record(rmgrXLOG, xlogShutdownCheckpoint, make([]byte, 90))
	f.Add(w.bytes, uint16(0))
	w.record(rmgrXLOG, xlogSwitch, nil)
	f.Add(w.bytes, uint16(40))
	w.record(rmgrXLOG, xlogOverwrite, make([]byte, 18))
	f.Add(bytes.Clone(w.bytes[:50]), uint16(48))
	f.Fuzz(func(t *testing.T, b []byte, off uint16) {
		from := testStart + replication.LSN(off)
		if e := walkBytes(t, b, from); e.LSN < from || e.Commits+e.Aborts > e.Records || (e.Records == 0) != (e.LSN == from) {
			t.Fatalf("%+v from %s", e, from)
		}
	})
}

func TestWalk_PagesThatAreNotOfThisWAL_EndIt(t *testing.T) {
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		change func(page []byte)
		want   int // records
	}{
		"untouched":                {func([]byte) {}, 3},
		"another release's magic":  {func(p []byte) { le.PutUint16(p, 0xD113) }, 1},
		"no magic of any release":  {func(p []byte) { le.PutUint16(p, 0x1234) }, 1},
		"recycled":                 {func(p []byte) { le.PutUint64(p[8:], 0x5000) }, 1},
		"unknown timeline":         {func(p []byte) { le.PutUint32(p[4:], 2) }, 1},
		"unknown flag":             {func(p []byte) { p[2] |= 0x10 }, 1},
		"long in mid-segment":      {func(p []byte) { p[2] |= pageLong }, 1},
		"no continuation":          {func(p []byte) { p[2] &^= pageContinues }, 1},
		"another remaining length": {func(p []byte) { p[16]++ }, 1},
	} {
		w := wal{}
		w.record(rmgrXact, xactCommit, make([]byte, 1000))
		w.record(rmgrXact, xactAbort, make([]byte, 10000)) // into the second page
		w.record(rmgrXact, xactCommitPrepared, nil)
		c.change(w.bytes[testBlock:])
		if e := walkBytes(t, w.bytes, testStart); e.Records != c.want {
			t.Errorf("%s: %+v, want %d records", name, e, c.want)
		}
	}
}

func TestWalk_FirstPageOfAForeignCluster_HoldsNothing(t *testing.T) {
	w := wal{}
	w.record(rmgrXact, xactCommit, nil)
	binary.LittleEndian.PutUint64(w.bytes[24:], 43)
	if e := walkBytes(t, w.bytes, testStart); e.Records != 0 || e.LSN != testStart {
		t.Errorf("%+v; want nothing of another system identifier", e)
	}
}

func TestWalk_StaleRecordAfterTheEnd_IsNotCounted(t *testing.T) {
	w := wal{}
	w.record(rmgrXact, xactCommit, nil)
	w.prev += 8 // as one left over from before a recovery: CRC right, chain broken
	w.record(rmgrXact, xactCommit, nil)
	if e := walkBytes(t, w.bytes, testStart); e.Records != 1 || e.LSN != w.starts[1] {
		t.Errorf("%+v; want one record up to %s", e, w.starts[1])
	}
}

package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// frameVersion is the version of the envelope around a report. A reader drops
// and counts other versions.
const frameVersion = 1

const (
	maxNameBytes = 128
	maxAddrBytes = 64
	// maxFrameBytes is the largest envelope that can hold an allowed report.
	maxFrameBytes = 1 + 8 + 8 + 1 + maxNameBytes + 1 + maxAddrBytes + MaxReportBytes
)

// frame is one report with what says whose it is and which is newer. Sender and
// address are claims, checked against the configuration as a pair, so that a
// clone under a true name but another address is noticed.
type frame struct {
	boot uint64 // random per run of the sender
	seq  uint64 // grows by one per report of one boot
	from string
	addr netip.AddrPort // what the sender advertises
	body []byte
}

var (
	errOversize = fmt.Errorf("report is larger than %d bytes", MaxReportBytes)
	errVersion  = errors.New("envelope has another version")
	errFrame    = errors.New("envelope is malformed")
)

// encode gives: version, boot, seq, length and name, length and address, body.
func (f frame) encode() []byte {
	addr := f.addr.String()
	b := make([]byte, 0, 19+len(f.from)+len(addr)+len(f.body))
	b = append(b, frameVersion)
	b = binary.BigEndian.AppendUint64(b, f.boot)
	b = binary.BigEndian.AppendUint64(b, f.seq)
	b = append(b, byte(len(f.from)))
	b = append(b, f.from...)
	b = append(b, byte(len(addr)))
	b = append(b, addr...)
	return append(b, f.body...)
}

// decodeFrame reads an envelope. The body is a part of b, not a copy.
func decodeFrame(b []byte) (frame, error) {
	if len(b) > maxFrameBytes {
		return frame{}, errOversize
	}
	if len(b) == 0 {
		return frame{}, errFrame
	}
	if b[0] != frameVersion {
		return frame{}, errVersion
	}
	if len(b) < 18 {
		return frame{}, errFrame
	}
	f := frame{boot: binary.BigEndian.Uint64(b[1:]), seq: binary.BigEndian.Uint64(b[9:])}
	name, rest, ok := cutText(b[17:], maxNameBytes)
	if !ok {
		return frame{}, errFrame
	}
	addr, body, ok := cutText(rest, maxAddrBytes)
	if !ok {
		return frame{}, errFrame
	}
	var err error
	if f.addr, err = netip.ParseAddrPort(addr); err != nil {
		return frame{}, errFrame
	}
	if len(body) > MaxReportBytes {
		return frame{}, errOversize
	}
	f.from, f.body = name, body
	return f, nil
}

func cutText(b []byte, limit int) (text string, rest []byte, ok bool) {
	if len(b) == 0 {
		return "", nil, false
	}
	n := int(b[0])
	if n == 0 || n > limit || n > len(b)-1 {
		return "", nil, false
	}
	return string(b[1 : 1+n]), b[1+n:], true
}

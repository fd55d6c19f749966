package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Body limits in bytes. A request is a command or a small value; an answer may
// be a whole journal.
const (
	maxRequestBytes = 1 << 20
	maxAnswerBytes  = 16 << 20
)

var errTooLarge = errors.New("body is larger than allowed")

// decodeJSON decodes exactly one value. Unknown fields are ignored, since the
// other node may run a newer version during an upgrade; data after the value is
// refused, since it means that the two ends disagree about where a message ends.
func decodeJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("body is empty")
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("data after the value at byte %d", d.InputOffset())
	}
	return nil
}

// decodeInto decodes a body of type T; None carries nothing, so that its body
// may be absent.
func decodeInto[T any](b []byte) (T, error) {
	var v T
	if _, nothing := any(v).(None); nothing && len(bytes.TrimSpace(b)) == 0 {
		return v, nil
	}
	err := decodeJSON(b, &v)
	return v, err
}

// encodeBody gives the body for v, or nil when v carries nothing.
func encodeBody[T any](v T) ([]byte, error) {
	if _, nothing := any(v).(None); nothing {
		return nil, nil
	}
	return json.Marshal(v)
}

// readLimited reads r to its end, refusing more than limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: limit %d bytes", errTooLarge, limit)
	}
	return b, nil
}

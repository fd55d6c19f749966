package pgctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The helper's protocol: one JSON line asked, one answered, one request per
// connection on a unix socket.

// lineLimit bounds a request line; a request is about 80 bytes.
const lineLimit = 4 << 10

// answerLimit bounds an answer: the output of `systemctl show` is a few hundred
// bytes, and errors carry 4 KiB of last words.
const answerLimit = 64 << 10

type helperRequest struct {
	Version int    `json:"v"`
	Verb    Verb   `json:"verb"`
	Unit    string `json:"unit"`
}

type helperAnswer struct {
	Version int    `json:"v"`
	Output  string `json:"output,omitempty"`
	Error   string `json:"error,omitempty"`
	Refused bool   `json:"refused,omitempty"`
}

// HelperClient asks pg-watchdog-helper, which runs as root.
type HelperClient struct {
	Socket string
}

var _ Privileged = HelperClient{}

// callLimit bounds a call whose context has no end.
const callLimit = 2 * time.Minute

// Do implements Privileged. Errors: ErrRefused, or what the helper said.
func (c HelperClient) Do(ctx context.Context, verb Verb, unit string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	a, err := c.call(ctx, helperRequest{Version: 1, Verb: verb, Unit: unit})
	switch {
	case err != nil:
		return "", fmt.Errorf("ask helper on %s: %w; compare with systemctl status pg-watchdog-helper.socket", c.Socket, causeOf(ctx, err))
	case a.Refused:
		return "", fmt.Errorf("%w: %s", ErrRefused, a.Error)
	case a.Error != "":
		return "", fmt.Errorf("helper: %s", a.Error)
	}
	return a.Output, nil
}

func (c HelperClient) call(ctx context.Context, r helperRequest) (helperAnswer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return helperAnswer{}, err
	}
	defer conn.Close() //nolint:errcheck // the answer is complete or the call failed already
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// A write error is kept for later: a helper that does not serve this user
	// says so and closes without reading.
	werr := writeLine(conn, r)
	var a helperAnswer
	if err := readLine(conn, answerLimit, &a); err != nil {
		return helperAnswer{}, errors.Join(err, werr)
	}
	if a.Version != 1 {
		return helperAnswer{}, fmt.Errorf("answer of version %d, want 1", a.Version)
	}
	return a, nil
}

func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// readLine reads one line of at most limit bytes and decodes it strictly enough:
// one value, nothing after it.
func readLine(r io.Reader, limit int64, v any) error {
	line, err := bufio.NewReader(io.LimitReader(r, limit)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read line: %w", err)
	}
	return json.Unmarshal(line, v)
}

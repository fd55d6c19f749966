package bench

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// stateWatch notes, by inotify(7), when state files of several nodes are
// replaced: each is one fsync of a file and one of its folder.
type stateWatch struct {
	file  *os.File
	done  chan struct{}
	times []time.Time // read after done
}

func watchState(b *testing.B, nodes []*demo.SiteNode) *stateWatch {
	b.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		b.Fatalf("make inotify: %v", err)
	}
	w := &stateWatch{file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{})}
	for _, n := range nodes {
		if _, err := unix.InotifyAddWatch(fd, n.StateDir, unix.IN_MOVED_TO); err != nil {
			b.Fatalf("watch %s: %v", n.StateDir, err)
		}
	}
	go w.run()
	return w
}

func (w *stateWatch) run() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return // closed by until
		}
		now := time.Now()
		for _, name := range eventNames(buf[:n]) {
			if strings.HasSuffix(name, ".json") {
				w.times = append(w.times, now)
			}
		}
	}
}

// until ends the watch and counts the files that were replaced before at.
func (w *stateWatch) until(b *testing.B, at time.Time) int {
	b.Helper()
	if err := w.file.Close(); err != nil {
		b.Fatal(err)
	}
	<-w.done
	n := 0
	for _, t := range w.times {
		if t.Before(at) {
			n++
		}
	}
	return n
}

// eventNames reads struct inotify_event: watch, mask, cookie and length of the
// name, 4 bytes each, then the name, padded with zero bytes.
func eventNames(b []byte) []string {
	var names []string
	for len(b) >= unix.SizeofInotifyEvent {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:16]))
		names = append(names, string(bytes.TrimRight(b[unix.SizeofInotifyEvent:end], "\x00")))
		b = b[end:]
	}
	return names
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Ports are taken below the range that Linux gives to outgoing connections
// (from 32768), so that no client of anybody occupies one while a killed
// server is down.
const (
	lowPort  = 20000
	highPort = 32000
)

// portHold keeps a port for this process: tests of several packages run at
// once, and a killed server's port must still be its own when it restarts.
type portHold struct {
	port int
	lock *os.File
}

func (h portHold) close() error { return h.lock.Close() }

// takePort holds a free port; base 0 means any.
func takePort(ctx context.Context, o Owner, base int) (portHold, error) {
	root, err := o.keepRoot()
	if err != nil {
		return portHold{}, err
	}
	dir := filepath.Join(root, "ports")
	if err := o.Mkdir(dir); err != nil {
		return portHold{}, err
	}
	if base != 0 {
		h, ok, err := tryPort(ctx, o, dir, base)
		if err == nil && !ok {
			err = fmt.Errorf("port %d of 127.0.0.1 is taken; choose another", base)
		}
		return h, err
	}
	for range 200 {
		h, ok, err := tryPort(ctx, o, dir, lowPort+rand.IntN(highPort-lowPort))
		if ok || err != nil {
			return h, err
		}
	}
	return portHold{}, errors.New("no free port between 20000 and 32000 on 127.0.0.1 in 200 tries")
}

func tryPort(ctx context.Context, o Owner, dir string, port int) (portHold, bool, error) {
	lock, err := tryFlock(o, filepath.Join(dir, strconv.Itoa(port)))
	if err != nil || lock == nil {
		return portHold{}, false, err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return portHold{}, false, lock.Close()
	}
	if err := l.Close(); err != nil {
		return portHold{}, false, errors.Join(err, lock.Close())
	}
	return portHold{port: port, lock: lock}, true, nil
}

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
)

// Problem is a reason for which there can be no lab here, and what to do about it.
type Problem struct {
	What, Remedy string
	// Is is the sentinel that it stands for, if any.
	Is error
}

// Error implements error.
func (p *Problem) Error() string { return p.What + "; " + p.Remedy }

// Unwrap gives the sentinel.
func (p *Problem) Unwrap() error { return p.Is }

// ErrNoEngine is returned when no container engine answers.
var ErrNoEngine = errors.New("no container engine answers")

// roomBytes is what images, volumes and the containers' own layers need.
const roomBytes = 3 << 30

// checkEngine says in one sentence why the engine cannot be used.
func (l *Lab) checkEngine(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return &Problem{"the program docker is not installed", "apt-get install docker.io docker-compose", ErrNoEngine}
	}
	out, err := l.docker(ctx, "info", "--format", "{{.DockerRootDir}}")
	switch {
	case err != nil && strings.Contains(err.Error(), "permission denied"):
		return &Problem{"this user may not use the container engine", "run it as root, or as a member of the group docker", ErrNoEngine}
	case err != nil:
		return &Problem{"no container engine answers", "start it: systemctl start docker", ErrNoEngine}
	}
	dir := strings.TrimSpace(out)
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil {
		return nil // the engine may be on another machine; it will say so itself
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < roomBytes { //nolint:gosec // a block size is positive
		return &Problem{fmt.Sprintf("%s has %d MB free, the lab needs %d MB", dir, free>>20, roomBytes>>20), "make room: docker system df tells what takes it", nil}
	}
	return nil
}

// explain puts a remedy to the failures that administrators meet.
func explain(err error, port string) error {
	text := err.Error()
	for _, known := range []struct{ sign, what, remedy string }{
		{"port is already allocated", "port " + port + " on loopback is taken", "choose another one: make lab LAB_PORT=8481"},
		{"address already in use", "port " + port + " on loopback is taken", "choose another one: make lab LAB_PORT=8481"},
		{"no space left on device", "there is no room left on the engine's disk", "make room (docker system df), then make lab-down and make lab"},
		{"Pool overlaps with other one", "the network of the lab overlaps with another one of this machine", "choose another one: make lab LAB_LAN=10.213.78"},
		{"permission denied while trying to connect", "this user may not use the container engine", "run it as root, or as a member of the group docker"},
		{"Cannot connect to the Docker daemon", "the container engine went away", "start it (systemctl start docker), then make lab-down and make lab"},
	} {
		if strings.Contains(text, known.sign) {
			return errors.Join(&Problem{known.what, known.remedy, nil}, err)
		}
	}
	return err
}

// checkPort says beforehand that the proxy's port is taken: the older compose says
// nothing when a container cannot be started for that.
func (l *Lab) checkPort(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", l.o.Port))
	if err != nil {
		return &Problem{"port " + l.o.Port + " on loopback cannot be had: " + err.Error(), "choose another one: make lab LAB_PORT=8481", nil}
	}
	return listener.Close()
}

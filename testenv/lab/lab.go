package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Project is the compose project of the lab.
const Project = "pg-watchdog-lab"

// LabelLab marks containers and volumes that were made without compose.
const LabelLab = "org.pg-watchdog.lab"

// composeFile lies at the top of the repository.
const composeFile = "docker-compose.test.yml"

// Options say which lab. The zero value is PostgreSQL 15 with docker-compose or
// docker compose, whichever is there.
type Options struct {
	Postgres string // "15" or "17"
	Root     string // the repository; empty: found from the working directory
	Subnet   string // first three numbers of lan, default 10.213.77
	Port     string // on loopback, where the proxy answers; default 8480
	Compose  []string
	Say      func(format string, a ...any) // progress; nil: silent
}

// Lab is one lab on this machine's engine. Its methods may be called from one
// goroutine at a time.
type Lab struct {
	o    Options
	node string // the image of servers and services
	uid  string // PostgreSQL's user in it
}

// New finds the repository, the engine and compose. Nothing is started.
// Errors: a *Problem with its remedy.
func New(ctx context.Context, o Options) (*Lab, error) {
	setDefault(&o.Postgres, "15")
	setDefault(&o.Subnet, "10.213.77")
	setDefault(&o.Port, "8480")
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	if o.Postgres != "15" && o.Postgres != "17" {
		return nil, &Problem{"there is no lab for PostgreSQL " + o.Postgres, "choose 15 (Debian 12) or 17 (Debian 13)", nil}
	}
	if o.Root == "" {
		root, err := findRoot()
		if err != nil {
			return nil, err
		}
		o.Root = root
	}
	l := &Lab{o: o, node: "pg-watchdog-lab/node:" + o.Postgres}
	if err := l.checkEngine(ctx); err != nil {
		return nil, err
	}
	if len(l.o.Compose) == 0 {
		argv, err := findCompose(ctx)
		if err != nil {
			return nil, err
		}
		l.o.Compose = argv
	}
	return l, nil
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// findRoot walks up to the folder that holds the compose file.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, composeFile)); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", &Problem{composeFile + " is not found above the present folder", "run it inside the repository", nil}
		}
		dir = up
	}
}

// findCompose prefers the plugin, which has replaced the older program.
func findCompose(ctx context.Context) ([]string, error) {
	for _, argv := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if exec.CommandContext(ctx, argv[0], append(argv[1:], "version")...).Run() == nil {
			return argv, nil
		}
	}
	return nil, &Problem{"neither `docker compose` nor `docker-compose` is installed", "apt-get install docker-compose", nil}
}

// tailBytes is how much of a program's output an error carries.
const tailBytes = 3 << 10

// run runs a program to its end and gives its standard output. Its own process
// group keeps a Ctrl-C at the terminal from reaching it before we have decided
// what to do.
func (l *Lab) run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = l.o.Root, stdin
	cmd.Env = append(os.Environ(), "LC_ALL=C", "LAB_PG="+l.o.Postgres, "LAB_LAN="+l.o.Subnet, "LAB_PORT="+l.o.Port,
		"LAB_UID="+l.uid, "COMPOSE_PROJECT_NAME="+Project, "COMPOSE_IGNORE_ORPHANS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A build that is interrupted cleans up behind itself, given the time.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = errors.Join(cause, err)
		}
		said := strings.TrimSpace(errs.String() + "\n" + out.String())
		return out.String(), explain(fmt.Errorf("run %s: %w: %s", strings.Join(argv[:min(len(argv), 6)], " "), err, said[max(0, len(said)-tailBytes):]), l.o.Port)
	}
	return out.String(), nil
}

func (l *Lab) docker(ctx context.Context, args ...string) (string, error) {
	return l.run(ctx, nil, append([]string{"docker"}, args...)...)
}

// Compose runs a compose command on the lab's file, as an administrator types it.
func (l *Lab) Compose(ctx context.Context, args ...string) (string, error) {
	return l.run(ctx, nil, append(append([]string{}, l.o.Compose...), append([]string{"-p", Project, "-f", composeFile}, args...)...)...)
}

// Container gives the id of a service's container.
func (l *Lab) Container(ctx context.Context, service string) (string, error) {
	out, err := l.docker(ctx, "ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project="+Project,
		"--filter", "label=com.docker.compose.service="+service, "--filter", "label=com.docker.compose.oneoff=False")
	ids := strings.Fields(out)
	if err == nil && len(ids) != 1 {
		err = fmt.Errorf("service %s has %d containers, want one", service, len(ids))
	}
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// lastWords tells the end of the log of every container that has ended or is not
// well; nil when all are.
func (l *Lab) lastWords(ctx context.Context) error {
	out, err := l.docker(ctx, "ps", "-a", "--filter", "label=com.docker.compose.project="+Project, "--format", "{{.ID}} {{.Names}} {{.Status}}")
	if err != nil {
		return nil //nolint:nilerr // it only adds to an error that is told already
	}
	var errs []error
	for line := range strings.Lines(out) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.Contains(rest, "Exited") && !strings.Contains(rest, "unhealthy") && !strings.Contains(rest, "Restarting") {
			continue
		}
		cmd := exec.CommandContext(ctx, "docker", "logs", "--tail", "15", id)
		said, _ := cmd.CombinedOutput()
		errs = append(errs, fmt.Errorf("%s, its last words:\n%s", rest, said))
	}
	return errors.Join(errs...)
}

// Exec runs a program in a service's container.
func (l *Lab) Exec(ctx context.Context, service string, argv ...string) (string, error) {
	id, err := l.Container(ctx, service)
	if err != nil {
		return "", err
	}
	return l.docker(ctx, append([]string{"exec", id}, argv...)...)
}

// SQL runs statements on a server as its superuser, over its own socket.
func (l *Lab) SQL(ctx context.Context, server, database, text string) (string, error) {
	id, err := l.Container(ctx, server)
	if err != nil {
		return "", err
	}
	out, err := l.run(ctx, strings.NewReader(text), "docker", "exec", "-i", id, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database)
	return strings.TrimSpace(out), err
}

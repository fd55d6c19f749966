package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// readyVolume is made last: a lab without it was not finished.
const readyVolume = Project + "_ready"

// Ready says whether a whole lab is there, and for which PostgreSQL.
func (l *Lab) Ready(ctx context.Context) (string, bool) {
	out, err := l.docker(ctx, "volume", "inspect", "--format", `{{index .Labels "`+LabelLab+`.postgres"}}`, readyVolume)
	return strings.TrimSpace(out), err == nil
}

// Up makes the images that are missing and starts the lab; it returns when the
// pair is healthy and the application answers through the proxy. What an earlier
// lab left half-made is removed first. When it fails or ctx ends, nothing is left.
func (l *Lab) Up(ctx context.Context) error {
	if err := l.Build(ctx); err != nil {
		return err
	}
	left, err := l.Left(ctx)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		l.o.Say("removing what an earlier lab left (%d pieces)", len(left))
		if err := l.Down(ctx); err != nil {
			return err
		}
	}
	if err := l.checkPort(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := l.start(ctx); err != nil {
		// Not bound to ctx: an interrupt must leave no orphan.
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		if ctx.Err() == nil {
			err = errors.Join(err, l.lastWords(cctx))
		}
		return errors.Join(err, l.Down(cctx))
	}
	l.o.Say("healthy after %s", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// Build makes the images; quick when nothing changed.
func (l *Lab) Build(ctx context.Context) error {
	l.o.Say("images for PostgreSQL %s", l.o.Postgres)
	if _, err := l.run(ctx, nil, filepath.Join("testenv", "docker", "build"), l.o.Postgres); err != nil {
		return fmt.Errorf("build images: %w", err)
	}
	out, err := l.docker(ctx, "run", "--rm", "--network", "none", l.node, "id", "-u")
	l.uid = strings.TrimSpace(out)
	return err
}

func (l *Lab) start(ctx context.Context) error {
	s, err := newSecrets()
	if err != nil {
		return err
	}
	files, err := l.files(s)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		say string
		do  func() error
	}{
		{"networks, volumes and containers", func() error { return l.compose(ctx, "up", "--no-start") }},
		{"keys and configuration", func() error { return l.fill(ctx, files) }},
		{"data directory of db1", func() error { return l.makePrimary(ctx) }},
		{"PostgreSQL on db1, through the gate", func() error { return errors.Join(l.compose(ctx, "start", "db1", "mail"), l.awaitServer(ctx, "db1")) }},
		{"roles, and the application's database", func() error { return l.installRoles(ctx, s) }},
		{"data directory of db2, cloned", func() error { return l.makeStandby(ctx) }},
		// app2 stays stopped: the application runs beside the primary alone.
		{"everything else", func() error {
			return l.compose(ctx, "start", "db2", "helper1", "helper2", "wd1", "wd2", "witness", "power", "app1", "proxy", "client")
		}},
		{"adoption of db1: both gates become active", func() error { return l.adopt(ctx) }},
		{"health of the pair and of the application", func() error { return l.awaitHealthy(ctx, "db1") }},
	} {
		l.o.Say("%s", step.say)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.say, err)
		}
	}
	_, err = l.docker(ctx, "volume", "create", "--label", LabelLab+"="+Project, "--label", LabelLab+".postgres="+l.o.Postgres, readyVolume)
	return err
}

func (l *Lab) compose(ctx context.Context, args ...string) error {
	_, err := l.Compose(ctx, args...)
	return err
}

// Await asks done a few times a second until it says yes, or fails with the last
// state seen.
func Await(ctx context.Context, limit time.Duration, what string, done func(ctx context.Context) (bool, string)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	last := "nothing yet"
	for {
		ok, state := done(ctx)
		if ok {
			return nil
		}
		if ctx.Err() == nil { // what the end of the context cut short says nothing
			last = state
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; last seen: %s", what, context.Cause(ctx), last)
		case <-t.C:
		}
	}
}

func (l *Lab) awaitServer(ctx context.Context, server string) error {
	return Await(ctx, time.Minute, server+" answers", func(ctx context.Context) (bool, string) {
		_, err := l.Exec(ctx, server, "pg_isready", "-q")
		return err == nil, fmt.Sprint(err)
	})
}

// Watchdog types a command at a host's service.
func (l *Lab) Watchdog(ctx context.Context, service string, args ...string) (string, error) {
	return l.Exec(ctx, service, append([]string{"watchdog"}, args...)...)
}

func (l *Lab) adopt(ctx context.Context) error {
	err := Await(ctx, time.Minute, "both services see a healthy pair", func(ctx context.Context) (bool, string) {
		_, err := l.Watchdog(ctx, "wd1", "adopt", "db1", "--no-input")
		return err == nil, fmt.Sprint(err)
	})
	if err == nil {
		_, err = l.Watchdog(ctx, "wd1", "adopt", "db1", "--confirm=db1", "--no-input", "--reason", "the lab begins")
	}
	return err
}

// Status gives what a host's service sees.
func (l *Lab) Status(ctx context.Context, service string) (view.Status, error) {
	var st view.Status
	out, err := l.Watchdog(ctx, service, "status", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

// HealthURL is the application's health endpoint, through the proxy.
func (l *Lab) HealthURL() string { return "http://127.0.0.1:" + l.o.Port + "/api/health" }

// Health asks the application through the proxy and gives its answer.
func (l *Lab) Health(ctx context.Context) (status int, database string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.HealthURL(), nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var body struct{ Database string }
	_ = json.NewDecoder(resp.Body).Decode(&body) // the proxy's own answers are no JSON
	return resp.StatusCode, body.Database, nil
}

// awaitHealthy waits until both services are content and the application answers
// from the database of primary.
func (l *Lab) awaitHealthy(ctx context.Context, primary string) error {
	for _, service := range []string{"wd1", "wd2"} {
		err := Await(ctx, time.Minute, service+" sees a healthy pair", func(ctx context.Context) (bool, string) {
			st, err := l.Status(ctx, service)
			return err == nil && st.State == view.StateHealthy, fmt.Sprintf("%s %s, open %+v, %v", st.State, st.Summary, st.Open, err)
		})
		if err != nil {
			return err
		}
	}
	return l.AwaitApp(ctx, primary)
}

// AwaitApp waits until the application answers from the database of a node.
func (l *Lab) AwaitApp(ctx context.Context, node string) error {
	return Await(ctx, 30*time.Second, "the application answers through the proxy from "+node, func(ctx context.Context) (bool, string) {
		status, database, err := l.Health(ctx)
		return status == http.StatusOK && database == node, fmt.Sprintf("status %d from %q, %v", status, database, err)
	})
}

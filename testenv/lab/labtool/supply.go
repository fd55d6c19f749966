package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// supply is the power supply of the lab's hosts. A host is a set of compose
// services; whether it is on is asked of the engine, each time.
type supply struct {
	engine  engine
	project string
	hosts   map[string][]string // services of a host
	state   string              // file of before; empty: memory only

	mu     sync.Mutex // one change of power at a time
	before map[string]found

	lieMu sync.Mutex // its own, so that power can be read while it changes
	lying map[string]bool
}

// found is what the power cut found of a container.
type found struct {
	Policy  policy `json:"policy"`
	Running bool   `json:"running"`
}

func newSupply(e engine, project string, hosts map[string][]string, state string) (*supply, error) {
	s := &supply{engine: e, project: project, hosts: hosts, state: state, before: map[string]found{}, lying: map[string]bool{}}
	if state == "" {
		return s, nil
	}
	data, err := os.ReadFile(state)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s.before)
	}
	if err != nil {
		return nil, fmt.Errorf("read state of the power supply: %w", err)
	}
	return s, nil
}

// containers are those of a host, running or not, with those of `compose run`.
func (s *supply) containers(ctx context.Context, host string) ([]container, error) {
	all, err := s.engine.list(ctx, s.project)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c container) bool { return !slices.Contains(s.hosts[host], c.service) }), nil
}

// on is true while any container of the host runs.
func (s *supply) on(ctx context.Context, host string) (bool, error) {
	if s.lies(host) {
		return false, nil
	}
	all, err := s.containers(ctx, host)
	return slices.ContainsFunc(all, func(c container) bool { return c.running }), err
}

func (s *supply) lies(host string) bool {
	s.lieMu.Lock()
	defer s.lieMu.Unlock()
	return s.lying[host]
}

func (s *supply) lie(host string, lie bool) {
	s.lieMu.Lock()
	defer s.lieMu.Unlock()
	s.lying[host] = lie
}

// cut switches a host off. It looks again until nothing runs, since something
// on the host may have been about to start a container; ctx bounds that.
func (s *supply) cut(ctx context.Context, host string) error {
	if s.lies(host) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		all, err := s.containers(ctx, host)
		if err != nil {
			return err
		}
		if err := s.remember(all); err != nil {
			return err
		}
		// The policy first, of all of them: else the engine revives one while the
		// next is killed.
		err = together(all, func(c container) error {
			if !c.policy.automatic() {
				return nil
			}
			return s.engine.keep(ctx, c.id, policy{Name: "no"})
		})
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(c container) bool { return !c.running })
		if len(all) == 0 {
			return nil
		}
		// At once, as power goes: no service shall see another one go first.
		if err := together(all, func(c container) error { return s.engine.kill(ctx, c.id) }); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until nothing runs on %s: %w", host, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// remember keeps what a later look at the dead containers could not tell.
func (s *supply) remember(all []container) error {
	for _, c := range all {
		old, known := s.before[c.id]
		if !known || c.policy.automatic() {
			old.Policy = c.policy
		}
		old.Running = old.Running || c.running
		s.before[c.id] = old
	}
	return s.save()
}

func (s *supply) save() error {
	if s.state == "" {
		return nil
	}
	data, err := json.Marshal(s.before)
	if err == nil {
		err = renameio.WriteFile(s.state, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write state of the power supply: %w", err)
	}
	return nil
}

// restore switches a host on: policies come back, and containers start as they
// do when a machine boots with its engine: "always" in any case,
// "unless-stopped" when it ran, the others not
// (https://docs.docker.com/engine/containers/start-containers-automatically/).
func (s *supply) restore(ctx context.Context, host string) error {
	if s.lies(host) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.containers(ctx, host)
	if err != nil {
		return err
	}
	err = together(all, func(c container) error {
		old, known := s.before[c.id]
		if !known {
			old = found{Policy: c.policy}
		}
		if known && old.Policy.automatic() {
			if err := s.engine.keep(ctx, c.id, old.Policy); err != nil {
				return err
			}
		}
		if old.Policy.Name == "always" || old.Policy.Name == "unless-stopped" && old.Running {
			return s.engine.start(ctx, c.id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range all {
		delete(s.before, c.id)
	}
	return s.save()
}

// together does the same to all containers at once.
func together(all []container, do func(container) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			if err := do(c); err != nil {
				errs[i] = fmt.Errorf("container %s: %w", c.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

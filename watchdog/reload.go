package watchdog

import (
	"fmt"
	"strings"

	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

// Reload applies a configuration that was read anew, all or nothing: when
// anything in it needs a restart, nothing is changed and the error names it.
func (s *Service) Reload(next *config.Config) error {
	changes := config.Diff(s.cfg, next)
	if need := config.NeedsRestart(changes); len(need) > 0 {
		var names []string
		for _, c := range need {
			names = append(names, c.String())
		}
		return fmt.Errorf("these need a restart of the service: %s", strings.Join(names, "; "))
	}
	limits := next.Limits()
	s.limits.Store(&limits)
	s.goLive(next)
	s.reloaded(s.now())
	return nil
}

func (s *Service) goLive(c *config.Config) {
	s.live.Store(c)
	hash := c.SharedHash()
	s.shared.Store(&hash)
}

// ReloadFailed remembers that the running configuration is not the file's.
func (s *Service) ReloadFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloadErr = err
}

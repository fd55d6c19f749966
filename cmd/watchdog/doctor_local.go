package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gestionale-fullstack/watchdog/watchdog"
	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

// localChecks are those that need no service. node is the one that was asked,
// empty when none answered; valid is false for a configuration that is not.
func (a *app) localChecks(node string) (checks []audit.Check, valid bool) {
	c, valid := a.checkConfig()
	checks = append(checks, c)
	if self, err := os.Executable(); err == nil {
		checks = append(checks, pathCheck(a.env("PATH"), self))
	}
	if unit, ok := unitCheck("/"); ok {
		checks = append(checks, unit)
	}
	if node != "" {
		if synced, known := watchdog.ClockSynced(); known {
			checks = append(checks, audit.LocalNTP(node, synced))
		}
	}
	return checks, valid
}

// checkConfig reads the configuration as a service would, save for the secrets,
// which are not for everybody. One that is not there was not meant.
func (a *app) checkConfig() (audit.Check, bool) {
	c := audit.Check{Name: "configuration_file", Group: audit.GroupCommand, Level: audit.OK}
	path, named := a.configPath()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !named {
		c.Text = "there is no " + path + ", and none was named"
		return c, true
	}
	_, err := config.LoadWith(path, config.Options{SkipSecrets: true})
	var broken *config.Error
	switch {
	case err == nil:
		c.Text = path + " is valid"
	case errors.As(err, &broken):
		c.Level, c.Text, c.Hint = audit.Fail, err.Error(), "watchdog config check"
		return c, false
	default:
		c.Level, c.Text, c.Hint = audit.Unknown, err.Error(), "ask to be put into the group of "+path+", or use sudo"
	}
	return c, true
}

// pathCheck says which program starts where somebody types `watchdog`. Debian's
// package of that name brings a daemon that resets the machine.
func pathCheck(path, self string) audit.Check {
	c := audit.Check{Name: "watchdog_in_path", Group: audit.GroupCommand, Level: audit.OK}
	for _, dir := range filepath.SplitList(path) {
		found := filepath.Join(dir, "watchdog")
		info, err := os.Stat(found)
		if err != nil || info.IsDir() || info.Mode().Perm()&0o111 == 0 {
			continue
		}
		if own, err := os.Stat(self); err == nil && os.SameFile(own, info) {
			c.Text = found + " is this program"
			return c
		}
		c.Level, c.Hint = audit.Warn, "type pg-watchdog, or put this program's folder first in PATH"
		c.Text = fmt.Sprintf("another program comes first in PATH: who types watchdog starts %s, not %s", found, self)
		return c
	}
	c.Text = "no other program is called watchdog"
	return c
}

// Where the packaged unit lies, and what systemctl enable makes of it.
const (
	unitFile    = "usr/lib/systemd/system/pg-watchdog.service"
	unitEnabled = "etc/systemd/system/multi-user.target.wants/pg-watchdog.service"
)

// unitCheck says whether the service starts with the machine, where its unit is
// installed below root.
func unitCheck(root string) (audit.Check, bool) {
	c := audit.Check{Name: "service_enabled", Group: audit.GroupBoot, Level: audit.OK, Text: "pg-watchdog starts with this machine"}
	if _, err := os.Stat(filepath.Join(root, unitFile)); err != nil {
		return c, false
	}
	if _, err := os.Lstat(filepath.Join(root, unitEnabled)); err != nil {
		c.Level, c.Hint = audit.Fail, "systemctl enable pg-watchdog"
		c.Text = "pg-watchdog does not start with this machine: after a reboot nobody watches, and the gate's peer gets no answer"
	}
	return c, true
}

// indented puts the lines of a text under each other.
func indented(text, by string) string {
	return strings.ReplaceAll(strings.TrimRight(cleanLines(text), "\n"), "\n", "\n"+by)
}

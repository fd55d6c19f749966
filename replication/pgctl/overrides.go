package pgctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// Setting is one configuration parameter handed to the server at its start,
// where it wins over every configuration file.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// IsolatedStandby is what keeps a former primary where it stopped: it gets WAL
// from nobody and follows no other timeline. Without it an old restore_command
// sent a sealed node onto the new timeline with diverged rows when it was tried.
// The targets of a restore of long ago, which stay in postgresql.auto.conf, would
// end the start with an error or, with recovery_target_action=promote, the
// recovery. An ordinary standby must never be started so: it would never stream.
func IsolatedStandby() []Setting {
	return []Setting{
		{Name: "primary_conninfo"},
		{Name: "restore_command"},
		{Name: "recovery_target_timeline", Value: "current"},
		{Name: "recovery_target"},
		{Name: "recovery_target_lsn"},
		{Name: "recovery_target_name"},
		{Name: "recovery_target_time"},
		{Name: "recovery_target_xid"},
	}
}

// lastTriggerFile is the last major version that has promote_trigger_file; a
// newer one does not start when it is given.
const lastTriggerFile = 15

// IsolatedStandbyIn is IsolatedStandby for the server version of a data
// directory: up to PostgreSQL 15, a configured promote_trigger_file that lies
// about would make the sealed server writable at once.
func IsolatedStandbyIn(dir string) ([]Setting, error) {
	s, err := pgdata.ReadSignals(dir)
	if err != nil && !errors.Is(err, pgdata.ErrBadPIDFile) {
		return nil, err
	}
	major, err := strconv.Atoi(s.Version)
	if err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", pgdata.VersionFile, dir, err)
	}
	settings := IsolatedStandby()
	if major <= lastTriggerFile {
		settings = append(settings, Setting{Name: "promote_trigger_file"})
	}
	return settings, nil
}

var settingName = regexp.MustCompile(`^[a-z_][a-z0-9_.]*$`)

func (s Setting) check() error {
	if !settingName.MatchString(s.Name) || strings.ContainsAny(s.Value, "\x00\n\r") {
		return fmt.Errorf("%w: %q", ErrBadSetting, s.Name+"="+s.Value)
	}
	return nil
}

// Arguments are the settings as arguments of postgres: -c name=value.
func Arguments(settings []Setting) []string {
	var args []string
	for _, s := range settings {
		args = append(args, "-c", s.Name+"="+s.Value)
	}
	return args
}

// ApplyOverrides adds settings to a start command. pg_ctl and Debian's
// pg_ctlcluster take them as one -o, quoted, since they put it into a shell's
// command line; anything else (postgres, a container's entrypoint) takes them as
// further arguments. A command that hands a text to a shell takes neither:
// ErrShellCommand, for a sealed server must not start without them.
func ApplyOverrides(cmd []string, overrides []Setting) ([]string, error) {
	for _, s := range overrides {
		if err := s.check(); err != nil {
			return nil, err
		}
	}
	if len(overrides) == 0 {
		return slices.Clone(cmd), nil
	}
	args := Arguments(overrides)
	if slices.ContainsFunc(cmd, isPgCtl) {
		for i, a := range args {
			args[i] = shellQuote(a)
		}
		return append(slices.Clone(cmd), "-o", strings.Join(args, " ")), nil
	}
	if len(cmd) == 0 || (isShell(cmd[0]) && slices.ContainsFunc(cmd[1:], shellText)) {
		return nil, fmt.Errorf("add settings to %q: %w: name the program and its arguments instead", cmd, ErrShellCommand)
	}
	return append(slices.Clone(cmd), args...), nil
}

// isPgCtl is asked of every word: sudo or gosu may stand before it.
func isPgCtl(word string) bool {
	base := filepath.Base(word)
	return base == "pg_ctl" || base == "pg_ctlcluster"
}

func isShell(word string) bool {
	return slices.Contains([]string{"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"}, filepath.Base(word))
}

// shellText is -c, alone or in a cluster of short options such as -ec.
func shellText(word string) bool {
	return len(word) > 1 && word[0] == '-' && word[1] != '-' && strings.Contains(word, "c")
}

// shellQuote makes one word of s for /bin/sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// overridesFile is the runtime file in which the gate leaves settings for a unit
// that cannot be handed arguments.
type overridesFile struct {
	Version  int       `json:"v"`
	Settings []Setting `json:"settings"`
}

// WriteOverrides leaves settings in a file, durably and all or nothing. No
// settings remove it: an ordinary start must not find those of an earlier one.
func WriteOverrides(path string, settings []Setting) error {
	for _, s := range settings {
		if err := s.check(); err != nil {
			return err
		}
	}
	if len(settings) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove overrides: %w", err)
		}
		return syncDir(filepath.Dir(path))
	}
	b, err := json.Marshal(overridesFile{Version: 1, Settings: settings})
	if err != nil {
		return fmt.Errorf("encode overrides: %w", err)
	}
	if err := renameio.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write overrides: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// ReadOverrides reads them back; none without an error when there is no file.
func ReadOverrides(path string) ([]Setting, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read overrides: %w", err)
	}
	var f overridesFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("read overrides %s: %w", path, err)
	}
	if f.Version != 1 || len(f.Settings) == 0 {
		return nil, fmt.Errorf("read overrides %s: version %d with %d settings, want version 1", path, f.Version, len(f.Settings))
	}
	for _, s := range f.Settings {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("read overrides %s: %w", path, err)
		}
	}
	return f.Settings, nil
}

package testenv

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// ShamMode is how a sham power switch behaves.
type ShamMode string

// The modes. A switch answers `status` with exit status 0 for on and 2 for
// off, and `off` with 0, as Debian's fence-agents do.
const (
	ShamOK      ShamMode = "ok"      // cuts the power and says so
	ShamLie     ShamMode = "lie"     // says it cut the power; status still reads on
	ShamSlow    ShamMode = "slow"    // says so at once, cuts at the third status request
	ShamHang    ShamMode = "hang"    // never answers
	ShamFail    ShamMode = "fail"    // exit status 1 for everything
	ShamBlind   ShamMode = "blind"   // cuts the power, cannot read the state back (exit status 8)
	ShamMissing ShamMode = "missing" // the program is not there
)

// slowPolls is how many status requests a slow switch answers with on.
const slowPolls = 2

// shamCommand is the agent among the commands of a test binary.
const shamCommand = "shampower"

// shamDirVariable tells the agent where its settings and its state are.
const shamDirVariable = "WATCHDOG_SHAM_DIR"

// ShamPower is a power switch for nodes that are only processes: a real
// program that speaks the stdin protocol of Debian's fence-agents and kills a
// node's processes instead of its power.
type ShamPower struct {
	t   testing.TB
	dir string
}

// shamSettings is what the agent reads at each call.
type shamSettings struct {
	Mode  ShamMode             `json:"mode"`
	Plugs map[string]shamNodes `json:"plugs"`
}

// shamNodes is what goes dark with a plug.
type shamNodes struct {
	DataDirs []string `json:"data_dirs"`
	Pids     []int    `json:"pids"`
}

// ShamCall is one call of the agent.
type ShamCall struct {
	At      time.Time         `json:"at"`
	Options map[string]string `json:"options"`
}

// NewShamPower makes a switch with a plug per server of the pair, named as the
// node. The pair may be nil: the plugs are then added with Plug. The package's
// TestMain must call Main, for the agent is the test binary itself.
func NewShamPower(t testing.TB, mode ShamMode, pair *demo.Pair) *ShamPower {
	t.Helper()
	s := &ShamPower{t: t, dir: t.TempDir()}
	settings := shamSettings{Mode: mode, Plugs: map[string]shamNodes{}}
	if pair != nil {
		for _, server := range pair.Servers {
			settings.Plugs[server.Name] = shamNodes{DataDirs: []string{server.DataDir}}
		}
	}
	s.write(settings)
	if err := writeCommand(s.program(), shamCommand, shamDirVariable+"="+s.dir); err != nil {
		t.Fatalf("make sham power switch: %v", err)
	}
	return s
}

// Path is the agent's program. In the mode missing there is no such file.
func (s *ShamPower) Path() string {
	if s.read().Mode == ShamMissing {
		return s.program() + "-missing"
	}
	return s.program()
}

func (s *ShamPower) program() string { return filepath.Join(s.dir, "fence_sham") }

// SetMode changes the behaviour from the next call on.
func (s *ShamPower) SetMode(mode ShamMode) {
	settings := s.read()
	settings.Mode = mode
	s.write(settings)
}

// Plug sets what goes dark with a plug: every process of these data
// directories, and these processes.
func (s *ShamPower) Plug(name string, dataDirs []string, pids ...int) {
	settings := s.read()
	settings.Plugs[name] = shamNodes{DataDirs: dataDirs, Pids: pids}
	s.write(settings)
}

// IsOff is the true state of the plug, whatever the agent says.
func (s *ShamPower) IsOff(plug string) bool {
	_, err := os.Stat(offFile(s.dir, plug))
	return err == nil
}

// Calls is every call so far, oldest first.
func (s *ShamPower) Calls() []ShamCall {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "calls"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatalf("read calls of the sham power switch: %v", err)
	}
	var calls []ShamCall
	for line := range strings.Lines(string(data)) {
		var c ShamCall
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			s.t.Fatalf("read call %q: %v", line, err)
		}
		calls = append(calls, c)
	}
	return calls
}

func (s *ShamPower) read() shamSettings {
	s.t.Helper()
	settings, err := readSham(s.dir)
	if err != nil {
		s.t.Fatalf("read sham power switch: %v", err)
	}
	return settings
}

// write replaces the file in one step: an agent may be reading it.
func (s *ShamPower) write(settings shamSettings) {
	s.t.Helper()
	data, err := json.Marshal(settings)
	if err == nil {
		err = os.WriteFile(shamFile(s.dir)+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(shamFile(s.dir)+".new", shamFile(s.dir))
	}
	if err != nil {
		s.t.Fatalf("write sham power switch: %v", err)
	}
}

func shamFile(dir string) string      { return filepath.Join(dir, "sham.json") }
func offFile(dir, plug string) string { return filepath.Join(dir, "off-"+plug) }

func readSham(dir string) (shamSettings, error) {
	var settings shamSettings
	data, err := os.ReadFile(shamFile(dir))
	if err != nil {
		return settings, err
	}
	return settings, json.Unmarshal(data, &settings)
}

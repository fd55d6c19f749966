package pgctl

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// debianFolders is where Debian keeps one folder per major version, off PATH.
const debianFolders = "/usr/lib/postgresql/*/bin"

// askLimit bounds a program that is only asked for a word about itself.
const askLimit = 5 * time.Second

// Binaries is an installed PostgreSQL server.
type Binaries struct {
	Dir   string // folder of pg_ctl and postgres, links resolved
	Major int    // 15
}

// Path is the full path of one of its programs.
func (b Binaries) Path(program string) string { return filepath.Join(b.Dir, program) }

// FindBinaries looks on PATH, where pg_config points, and in Debian's folders,
// newest first. Error: ErrNoBinaries.
func FindBinaries() (Binaries, error) { return findBinaries(0) }

// FindBinariesFor gives the programs of the major version that made the data
// directory; others would refuse to start it.
func FindBinariesFor(dir string) (Binaries, error) {
	s, err := pgdata.ReadSignals(dir)
	if s.Version == "" {
		if err == nil {
			err = fmt.Errorf("no %s in %s", pgdata.VersionFile, dir)
		}
		return Binaries{}, fmt.Errorf("find server programs: %w", err)
	}
	major, err := strconv.Atoi(s.Version)
	if err != nil {
		return Binaries{}, fmt.Errorf("find server programs: version %q of %s", s.Version, dir)
	}
	return findBinaries(major)
}

// findBinaries takes any version for major 0.
func findBinaries(major int) (Binaries, error) {
	for _, dir := range folders() {
		if !executable(filepath.Join(dir, "pg_ctl")) || !executable(filepath.Join(dir, "postgres")) {
			continue
		}
		b := Binaries{Dir: dir, Major: majorOf(filepath.Join(dir, "postgres"))}
		if b.Major != 0 && (major == 0 || b.Major == major) {
			return b, nil
		}
	}
	if major != 0 {
		return Binaries{}, fmt.Errorf("find server programs of version %d: %w", major, ErrNoBinaries)
	}
	return Binaries{}, fmt.Errorf("find server programs: %w", ErrNoBinaries)
}

func folders() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil { // a link to one program is no folder of all
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	if dir, err := ask("pg_config", "--bindir"); err == nil {
		dirs = append(dirs, dir)
	}
	debian, _ := filepath.Glob(debianFolders) // the pattern is constant and right
	slices.SortFunc(debian, func(a, b string) int { return folderMajor(b) - folderMajor(a) })
	return append(dirs, debian...)
}

// folderMajor reads 15 out of /usr/lib/postgresql/15/bin.
func folderMajor(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // 0 sorts last
	return n
}

// majorOf asks the server program; 0 when it does not say.
func majorOf(postgres string) int {
	out, err := ask(postgres, "--version") // postgres (PostgreSQL) 15.18 (Debian ...), or 18beta1
	if err != nil {
		return 0
	}
	_, version, _ := strings.Cut(out, ") ")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	n, _ := strconv.Atoi(version[:end]) // 0: not said
	return n
}

func ask(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environ()
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// environ is ours in the C locale: what children say is shown, never judged, but
// it should look alike everywhere.
func environ() []string { return append(os.Environ(), "LC_ALL=C") }

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// ErrNoPostgres is returned when no PostgreSQL server binaries are found.
var ErrNoPostgres = errors.New("no PostgreSQL server binaries on PATH, through pg_config or under /usr/lib/postgresql; install them: apt-get install --no-install-recommends postgresql")

// Binaries is an installed PostgreSQL.
type Binaries struct {
	Dir     string // folder that holds initdb, postgres, pg_basebackup, ...
	Version string // as the server prints it, for instance 15.18
}

// needed are the programs that a pair cannot be made without.
var needed = []string{"initdb", "postgres", "pg_ctl", "pg_basebackup"}

// FindBinaries looks on PATH, then where pg_config points, then in Debian's
// folders, where the newest major version wins. A PATH entry may be a link to
// a single program (as some images have it), so links are resolved and a
// folder counts only when it holds every program needed.
func FindBinaries(ctx context.Context) (Binaries, error) {
	for _, dir := range binaryFolders(ctx) {
		if !holdsAll(dir) {
			continue
		}
		version, err := serverVersion(ctx, dir)
		if err != nil {
			return Binaries{}, err
		}
		return Binaries{Dir: dir, Version: version}, nil
	}
	return Binaries{}, ErrNoPostgres
}

// Path is the full path of one program.
func (b Binaries) Path(program string) string { return filepath.Join(b.Dir, program) }

func binaryFolders(ctx context.Context) []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	if out, err := output(ctx, "pg_config", "--bindir"); err == nil {
		dirs = append(dirs, out)
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	sort.Slice(debian, func(i, j int) bool { return major(debian[i]) > major(debian[j]) })
	return append(dirs, debian...)
}

// major reads the version out of /usr/lib/postgresql/15/bin; 0 when there is none.
func major(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

func holdsAll(dir string) bool {
	for _, program := range needed {
		info, err := os.Stat(filepath.Join(dir, program))
		if err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

func serverVersion(ctx context.Context, dir string) (string, error) {
	out, err := output(ctx, filepath.Join(dir, "postgres"), "--version")
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", dir, err)
	}
	fields := strings.Fields(out) // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
	if len(fields) < 3 {
		return "", fmt.Errorf("read server version from %q", out)
	}
	return fields[2], nil
}

// output runs a program for at most ten seconds and gives its trimmed answer.
func output(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w", program, err)
	}
	return strings.TrimSpace(string(out)), nil
}

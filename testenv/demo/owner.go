package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Owner is the OS user that runs the servers and owns their files. initdb and
// postgres refuse root, so root hands over to the user postgres.
type Owner struct {
	User   string
	UID    int
	GID    int
	Groups []uint32
	Home   string
	// Switch is true when this process is root and every child has to take
	// another identity.
	Switch bool
}

// FindOwner decides as whom servers run: the calling user, or postgres when
// the caller is root.
func FindOwner() (Owner, error) {
	if os.Geteuid() != 0 {
		return owner(strconv.Itoa(os.Geteuid()), user.LookupId)
	}
	o, err := owner("postgres", user.Lookup)
	if err != nil {
		return Owner{}, fmt.Errorf("%w; PostgreSQL refuses to run as root: install the package postgresql, or call this as an ordinary user", err)
	}
	if o.UID == 0 {
		return Owner{}, errors.New("the OS user postgres is root; PostgreSQL refuses to run as root")
	}
	o.Switch = true
	return o, nil
}

func owner(key string, lookup func(string) (*user.User, error)) (Owner, error) {
	u, err := lookup(key)
	if err != nil {
		return Owner{}, fmt.Errorf("look up OS user %s: %w", key, err)
	}
	o := Owner{User: u.Username, Home: u.HomeDir}
	if o.UID, err = strconv.Atoi(u.Uid); err != nil {
		return Owner{}, fmt.Errorf("read user id %q: %w", u.Uid, err)
	}
	if o.GID, err = strconv.Atoi(u.Gid); err != nil {
		return Owner{}, fmt.Errorf("read group id %q: %w", u.Gid, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return Owner{}, fmt.Errorf("list groups of OS user %s: %w", o.User, err)
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			o.Groups = append(o.Groups, uint32(n))
		}
	}
	return o, nil
}

// Credential is what a child needs to become the owner; nil when it is already.
func (o Owner) Credential() *syscall.Credential {
	if !o.Switch {
		return nil
	}
	return &syscall.Credential{Uid: uint32(o.UID), Gid: uint32(o.GID), Groups: o.Groups}
}

// Command prepares a child that runs as the owner, in the C locale, without
// the caller's PG* variables (which would redirect psql and libpq), and in the
// root folder, because the caller's own may be closed to the owner.
func (o Owner) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = o.Environ()
	cmd.Dir = "/"
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.Credential()}
	return cmd
}

// Environ is the caller's environment with the owner's identity, the C locale
// and no PG* variable.
func (o Owner) Environ() []string {
	env := make([]string, 0, len(os.Environ())+4)
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(key, "PG"), strings.HasPrefix(key, "LC_"), key == "LANG", key == "LANGUAGE":
		case o.Switch && (key == "HOME" || key == "USER" || key == "LOGNAME"):
		default:
			env = append(env, kv)
		}
	}
	env = append(env, "LC_ALL=C")
	if o.Switch {
		env = append(env, "HOME="+o.Home, "USER="+o.User, "LOGNAME="+o.User)
	}
	return env
}

// TempDir makes a new folder of the owner's that the owner can reach: a
// temporary folder, or a clone, below a closed home is not.
func (o Owner) TempDir(prefix string) (string, error) {
	base := os.TempDir()
	if o.Switch && !reachable(base) {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return "", fmt.Errorf("make temporary folder: %w", err)
	}
	return dir, o.give(dir)
}

// reachable is true when every folder on the way may be entered by everybody.
func reachable(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// Mkdir makes a folder, with its parents, that belongs to the owner alone.
func (o Owner) Mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return o.give(dir)
}

// WriteFile writes a file that belongs to the owner alone.
func (o Owner) WriteFile(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return o.give(path)
}

func (o Owner) give(path string) error {
	if !o.Switch {
		return nil
	}
	if err := os.Chown(path, o.UID, o.GID); err != nil {
		return fmt.Errorf("give %s to %s: %w", path, o.User, err)
	}
	return nil
}

// keepRoot is the folder for what outlives a run: prepared data directories,
// port locks and the register of pairs. It lies in the world-reachable
// /var/tmp under a fixed name, so it is used only when it really belongs to
// the owner and to nobody else.
func (o Owner) keepRoot() (string, error) {
	dir := filepath.Join("/var/tmp", "pg-watchdog-"+strconv.Itoa(o.UID))
	if err := os.Mkdir(dir, 0o700); err == nil {
		if err := o.give(dir); err != nil {
			return "", err
		}
	} else if !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("look at cache folder: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != o.UID || info.Mode().Perm()&0o077 != 0 {
		// Another process of ours may sit between its mkdir and its chown.
		if ok && info.IsDir() && stat.Uid == 0 && o.Switch {
			return dir, o.give(dir)
		}
		return "", fmt.Errorf("cache folder %s does not belong to %s alone; remove it", dir, o.User)
	}
	return dir, nil
}

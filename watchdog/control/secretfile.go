package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// SecretFileError is why a file with a secret is not used. It never quotes the
// file's content.
type SecretFileError struct {
	Path    string
	Problem string
	Hint    string // next command
	Err     error
}

// Error names the file and what is wrong with it.
func (e *SecretFileError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("secret file %s: %s: %v", e.Path, e.Problem, e.Err)
	}
	return fmt.Sprintf("secret file %s: %s", e.Path, e.Problem)
}

// Unwrap gives the cause.
func (e *SecretFileError) Unwrap() error { return e.Err }

// maxSecretBytes is far above any key file of ours.
const maxSecretBytes = 64 << 10

// readSecret reads a file that only we and root may read. The checks are made on
// the open file, so that nobody swaps it in between.
func readSecret(path string) ([]byte, error) {
	// A fifo must not block the start of the service.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &SecretFileError{Path: path, Problem: "open", Err: err}
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, &SecretFileError{Path: path, Problem: "read mode", Err: err}
	}
	if err := checkSecretMode(path, fi, uint32(os.Geteuid())); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return nil, &SecretFileError{Path: path, Problem: "read", Err: err}
	}
	if len(b) > maxSecretBytes {
		return nil, &SecretFileError{Path: path, Problem: "is too large for a key"}
	}
	return b, nil
}

// checkSecretMode refuses what others may read or change. Group read is let pass
// on root:root files: systemd shows the access list of a credential
// (systemd.exec(5), LoadCredential=) as group permission.
func checkSecretMode(path string, fi fs.FileInfo, own uint32) error {
	if !fi.Mode().IsRegular() {
		return &SecretFileError{Path: path, Problem: "is not a regular file"}
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return &SecretFileError{Path: path, Problem: "has no known owner"}
	}
	if st.Uid != own && st.Uid != 0 {
		return &SecretFileError{
			Path: path, Problem: fmt.Sprintf("belongs to uid %d, want uid %d or root", st.Uid, own),
			Hint: fmt.Sprintf("chown %d %s", own, path),
		}
	}
	open := fi.Mode().Perm() & 0o077
	if st.Uid == 0 && st.Gid == 0 {
		open &^= 0o040
	}
	if open != 0 {
		return &SecretFileError{
			Path: path, Problem: fmt.Sprintf("mode %#o lets others in", fi.Mode().Perm()),
			Hint: "chmod 600 " + path,
		}
	}
	return nil
}

// WriteSecret makes a new file with mode 0600, durable when it returns. It never
// overwrites: a key that is gone cannot be had back.
func WriteSecret(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return &SecretFileError{Path: path, Problem: "make", Err: err}
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return &SecretFileError{Path: path, Problem: "write", Err: err}
	}
	// A link fails when the name is taken, where a rename would overwrite.
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &SecretFileError{
				Path: path, Problem: "exists; it is not overwritten", Err: fs.ErrExist,
				Hint: "mv " + path + " " + path + ".old",
			}
		}
		return &SecretFileError{Path: path, Problem: "make", Err: err}
	}
	if err := syncDir(dir); err != nil {
		return &SecretFileError{Path: path, Problem: "make durable", Err: err}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

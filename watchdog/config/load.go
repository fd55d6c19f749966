package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Options change how a file is loaded.
type Options struct {
	// CredentialsDir is where relative names of secrets are looked up before
	// the configuration's own folder.
	CredentialsDir string
	// SkipSecrets leaves secret files unopened, for commands of operators who
	// may not read them.
	SkipSecrets bool
	// OnlyNodeKey looks at no other file than the node's own key. The boot gate
	// asks its peers with that key and needs nothing else: a lost mail password,
	// or one that systemd hands to the service's unit alone, must not keep
	// PostgreSQL from starting.
	OnlyNodeKey bool
}

// Load reads, checks and completes the configuration. The error is *Error, or
// Errors when there are several findings; errors.As finds *Error in both.
func Load(path string) (*Config, error) {
	return LoadWith(path, Options{CredentialsDir: os.Getenv(credentialsEnv)})
}

// LoadWith is Load with options.
func LoadWith(path string, o Options) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text, o)
}

// Parse is LoadWith for a text already read; path is used in findings and to
// find secrets beside it.
func Parse(path string, text []byte, o Options) (*Config, error) {
	d := newDecoder(path, text)
	root := d.parse(text)
	if root == nil && len(d.errs) == 0 {
		d.fail(position{}, "", "the file is empty", "watchdog config init prints one to start from")
	}
	if len(d.errs) > 0 {
		return nil, d.err()
	}
	c := Defaults()
	c.File = path
	d.fill(root, c)
	if len(d.errs) > 0 {
		// Ranges and relations of half-read values would only add noise.
		return nil, d.err()
	}
	c.complete()
	v := &validator{decoder: d, c: c}
	v.run()
	v.secrets(filepath.Dir(path), o)
	if !o.SkipSecrets && !o.OnlyNodeKey {
		v.authorities()
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fileError(path, err)
	}
	if len(b) > maxFileBytes {
		return nil, &Error{File: path, Reason: fmt.Sprintf("larger than %s: this is no configuration", Size(maxFileBytes))}
	}
	return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), nil
}

func fileError(path string, err error) *Error {
	e := &Error{File: path, Reason: err.Error()}
	var p *fs.PathError
	if errors.As(err, &p) {
		e.Reason = "cannot be read: " + p.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Reason, e.Hint = "the file does not exist", "watchdog config init > "+path
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "run the command as the service's user, or as a member of its group"
	}
	return e
}

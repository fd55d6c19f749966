package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// fileFormat is the version of epoch.json and fence.json.
const fileFormat = 1

// The reasons why a state file is a Fault.
var (
	// ErrDamaged is returned for a file that is no complete document or fails its checksum.
	ErrDamaged = errors.New("is damaged or half-written")
	// ErrNewer is returned for a file of a format that this program does not know.
	ErrNewer = errors.New("has a format that this version does not know")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type envelope struct {
	Format int             `json:"v"`
	Sum    string          `json:"crc32c"`
	Data   json.RawMessage `json:"data"`
}

// readFile decodes one state file into v, says which version of it that was and
// whether there was one.
func readFile(path string, v any) (identity, bool, error) {
	b, file, err := content(path)
	if errors.Is(err, fs.ErrNotExist) {
		// A missing parent is absence too; anything else is not.
		return file, false, nil
	}
	if err != nil {
		return file, false, &Fault{File: path, Err: err}
	}
	if err := decode(b, v); err != nil {
		return file, true, &Fault{File: path, Err: err}
	}
	return file, true, nil
}

func decode(b []byte, v any) error {
	var e envelope
	if err := strict(b, &e); err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err) //nolint:errorlint // the parser's words, not a cause to match
	}
	if e.Format != fileFormat {
		return fmt.Errorf("%w: %d", ErrNewer, e.Format)
	}
	if sum(e.Data) != e.Sum {
		return fmt.Errorf("%w: checksum %s does not fit the content", ErrDamaged, e.Sum)
	}
	if err := strict(e.Data, v); err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err) //nolint:errorlint // as above
	}
	return nil
}

func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

// sum is taken over the compact form, so that a pretty-printed file keeps it.
func sum(data []byte) string {
	var c bytes.Buffer
	if json.Compact(&c, data) != nil {
		return ""
	}
	return fmt.Sprintf("%08x", crc32.Checksum(c.Bytes(), castagnoli))
}

// writeFile replaces path durably: temporary file, fsync, rename (renameio),
// then fsync of the directory, which renameio leaves out.
func writeFile(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	b, err := json.MarshalIndent(envelope{Format: fileFormat, Sum: sum(data), Data: data}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	if err := renameio.WriteFile(path, append(b, '\n'), 0o640, renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// makeDir makes a directory that survives a power loss.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory to fsync it: %w", err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("fsync directory %s: %w", dir, err)
	}
	return nil
}

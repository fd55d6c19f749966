package control_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func TestNodeKey_FileRoundTrip(t *testing.T) {
	key := newKey(t)
	b, err := control.EncodeNodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "node.key")
	if err := control.WriteSecret(path, b); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode = %v, %v", fi.Mode(), err)
	}
	got, err := control.LoadNodeKey(path)
	if err != nil || !got.Equal(key) {
		t.Errorf("loaded another key: %v", err)
	}
}

func TestWriteSecret_NeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node.key")
	if err := control.WriteSecret(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	err := control.WriteSecret(path, []byte("second"))
	var se *control.SecretFileError
	if !errors.Is(err, fs.ErrExist) || !errors.As(err, &se) || se.Hint == "" {
		t.Errorf("error = %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "first" {
		t.Errorf("file now holds %q", b)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLoadSecrets_WrongModeOrKind_Refused(t *testing.T) {
	good, err := control.EncodeNodeKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, mode := range []fs.FileMode{0o604, 0o644, 0o620, 0o660, 0o602} {
		path := filepath.Join(dir, mode.String())
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := control.LoadNodeKey(path)
		var se *control.SecretFileError
		if !errors.As(err, &se) || !strings.HasPrefix(se.Hint, "chmod 600 ") {
			t.Errorf("mode %v: %v", mode, err)
		}
		if _, err := control.LoadGossipKeys(path); !errors.As(err, &se) {
			t.Errorf("gossip keys, mode %v: %v", mode, err)
		}
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.LoadNodeKey(fifo); err == nil {
		t.Error("a fifo was taken for a key")
	}
	if _, err := control.LoadNodeKey(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// info is a file as Stat would show it.
type info struct {
	fs.FileInfo
	mode     fs.FileMode
	uid, gid uint32
}

func (i info) Mode() fs.FileMode { return i.mode }
func (i info) Sys() any          { return &syscall.Stat_t{Uid: i.uid, Gid: i.gid} }

func TestCheckSecretMode_Owners(t *testing.T) {
	for _, c := range []struct {
		name string
		info info
		ok   bool
	}{
		{"own", info{mode: 0o600, uid: 26, gid: 26}, true},
		{"own, read only", info{mode: 0o400, uid: 26, gid: 26}, true},
		{"root's, readable by its group root: a systemd credential", info{mode: 0o440, uid: 0, gid: 0}, true},
		{"root's, readable by our group", info{mode: 0o440, uid: 0, gid: 26}, false},
		{"root's, writable by group root", info{mode: 0o660, uid: 0, gid: 0}, false},
		{"a stranger's", info{mode: 0o600, uid: 1000, gid: 1000}, false},
		{"own, readable by group", info{mode: 0o640, uid: 26, gid: 26}, false},
		{"a directory", info{mode: fs.ModeDir | 0o700, uid: 26, gid: 26}, false},
	} {
		if err := control.CheckSecretMode("/key", c.info, 26); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestDecodeNodeKey_Others_Refused(t *testing.T) {
	good, err := control.EncodeNodeKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":         nil,
		"text":          []byte("hello"),
		"another kind":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"a certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"two keys":      append(bytes.Clone(good), good...),
		"broken":        pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1, 2, 3}}),
	} {
		if _, err := control.DecodeNodeKey(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPublicKey_OneLineForm(t *testing.T) {
	k := control.PublicOf(newKey(t))
	s := k.String()
	if !strings.HasPrefix(s, "wdpub-ed25519:") || strings.ContainsAny(s, "\n ") {
		t.Errorf("form = %q", s)
	}
	if got, err := control.ParsePublicKey(s); err != nil || got != k {
		t.Errorf("round trip: %v, %v", got, err)
	}
	for _, bad := range []string{
		"", s + " ", " " + s, s + "\n", s[:len(s)-1], s[len("wdpub-"):], strings.ToUpper(s[:6]) + s[6:],
		"wdpub-ed25519:AAAA", "wdpub-ed25519:" + strings.Repeat("A", 43) + "=", s[:20] + "\n" + s[20:],
	} {
		if _, err := control.ParsePublicKey(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestGossipKeys_FirstIsForSending(t *testing.T) {
	a, err := control.GenerateGossipKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := control.GenerateGossipKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "gossip.key")
	file := append([]byte("# rotated in spring\n\n"), control.EncodeGossipKeys(b, a)...)
	if err := control.WriteSecret(path, file); err != nil {
		t.Fatal(err)
	}
	keys, err := control.LoadGossipKeys(path)
	if err != nil || len(keys) != 2 || !bytes.Equal(keys[0], b) || !bytes.Equal(keys[1], a) {
		t.Errorf("keys = %x, %v", keys, err)
	}
	for name, bad := range map[string]string{
		"none": "# only a comment\n", "short": "AAAA\n", "not base64": "hello world\n",
		"twice": string(control.EncodeGossipKeys(a, a)), "nine": strings.Repeat("x", 9),
	} {
		if _, err := control.DecodeGossipKeys([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

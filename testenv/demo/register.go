package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// pairFile describes a pair in its own folder, for OpenPair.
const pairFile = "pair.json"

// entry is a pair in the register, by which a later run finds and removes what
// a killed one left behind.
type entry struct {
	Dir      string   `json:"dir"`
	DataDirs []string `json:"data_dirs"`
	Pid      int      `json:"pid"`
	Started  string   `json:"started"` // of Pid, see startTime
}

// register writes pair.json, and, unless the pair is meant to outlive this
// process, an entry for sweep.
func (p *Pair) register(detached bool) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode pair: %w", err)
	}
	if err := p.owner.WriteFile(filepath.Join(p.Dir, pairFile), append(data, '\n')); err != nil {
		return err
	}
	if detached {
		return nil
	}
	dir, err := registerDir(p.owner)
	if err != nil {
		return err
	}
	e := entry{Dir: p.Dir, Pid: os.Getpid(), Started: startTime(os.Getpid())}
	for _, s := range p.Servers {
		e.DataDirs = append(e.DataDirs, s.DataDir)
	}
	if data, err = json.Marshal(e); err != nil {
		return fmt.Errorf("encode register entry: %w", err)
	}
	p.entry = filepath.Join(dir, fmt.Sprintf("%d-%d.json", os.Getpid(), p.Servers[0].Port))
	return p.owner.WriteFile(p.entry, data)
}

func (p *Pair) deregister() error {
	if p.entry == "" {
		return nil
	}
	if err := os.Remove(p.entry); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("take pair out of the register: %w", err)
	}
	return nil
}

func registerDir(o Owner) (string, error) {
	root, err := o.keepRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "pairs")
	return dir, o.Mkdir(dir)
}

// sweep ends the servers of pairs whose maker is gone and removes their folders.
// What cannot be removed keeps its entry for a later run, and is no reason to
// refuse a new pair: another process may be sweeping the same folder, or it
// lies where this user may not write.
func sweep(ctx context.Context, o Owner) error {
	dir, err := registerDir(o)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return fmt.Errorf("list register: %w", err)
	}
	for _, file := range files {
		var e entry
		data, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(data, &e) != nil {
			continue // just being written, or just removed by its owner
		}
		if started := startTime(e.Pid); started != "" && started == e.Started {
			continue
		}
		if e.clear(ctx, o) == nil {
			_ = os.Remove(file) // gone already when two swept
		}
	}
	return nil
}

// clear ends what still runs of an orphaned pair and removes its folder.
func (e entry) clear(ctx context.Context, o Owner) error {
	for _, data := range e.DataDirs {
		orphan := &Server{Name: filepath.Base(filepath.Dir(data)), DataDir: data, owner: o}
		if err := orphan.wipe(ctx); err != nil {
			return err
		}
	}
	return os.RemoveAll(e.Dir)
}

// OpenPair reaches a pair that another process made in dir.
func OpenPair(ctx context.Context, dir string) (*Pair, error) {
	data, err := os.ReadFile(filepath.Join(dir, pairFile))
	if err != nil {
		return nil, fmt.Errorf("find pair: %w", err)
	}
	var p Pair
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("read %s: %w", pairFile, err)
	}
	binaries, err := FindBinaries(ctx)
	if err != nil {
		return nil, err
	}
	if p.owner, err = FindOwner(); err != nil {
		return nil, err
	}
	for _, s := range p.Servers {
		if s == nil {
			return nil, fmt.Errorf("read %s: a server is missing", pairFile)
		}
		s.binaries, s.owner, s.detached = binaries, p.owner, true
	}
	return &p, nil
}

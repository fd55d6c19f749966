package demo

import (
	"context"
	"fmt"
	"path/filepath"
)

// AddStandby makes a further standby that no node looks after, streaming from
// upstream (of this pair, or added before: a cascade) through a slot, and starts
// it. Close ends it with the pair.
func (p *Pair) AddStandby(ctx context.Context, name string, upstream *Server) (*Server, error) {
	s, err := p.addServer(ctx, Options{Network: p.network}, 0, name)
	if err != nil {
		return nil, err
	}
	s.binaries = upstream.binaries
	p.further = append(p.further, s)
	conf := filepath.Join(filepath.Dir(s.DataDir), "node.conf")
	if err := p.owner.WriteFile(conf, []byte(s.nodeConf(upstream, false))); err != nil {
		return nil, err
	}
	if err := p.MakeStandby(ctx, s, upstream); err != nil {
		return nil, fmt.Errorf("add standby %s: %w", name, err)
	}
	return s, nil
}

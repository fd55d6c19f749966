package watchdog

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// resolveLimit bounds finding the addresses of one node's server at the start.
const resolveLimit = 2 * time.Second

// nodeInfos gives every configured node as the view knows it.
func (s *Service) nodeInfos() []view.NodeInfo {
	var out []view.NodeInfo
	for _, name := range s.cfg.NodeNames() {
		n := s.cfg.Nodes[name]
		info := view.NodeInfo{Name: name, Witness: n.Witness}
		if !n.Witness {
			info.Addresses, info.Port, info.Slot = addressesOf(n.Postgres.Host), n.Postgres.Port, s.cfg.SlotFor(name)
		}
		out = append(out, info)
	}
	return out
}

// addressesOf gives a host as it is configured, and its addresses, by which
// other servers list it. A name that does not resolve now stays a name: it is
// for showing only.
func addressesOf(host string) []string {
	out := []string{host}
	ctx, cancel := context.WithTimeout(context.Background(), resolveLimit)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return out
	}
	for _, a := range found {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

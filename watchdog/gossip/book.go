package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Member is one configured peer as gossip sees it: a hint, not a verdict.
type Member struct {
	Name  string
	Addr  string
	Alive bool
	Since time.Time // of the last change; of New when there was none
}

// book keeps the liveness of the configured peers.
type book struct {
	mu      sync.Mutex
	members map[string]Member
}

func newBook(peers map[string]netip.AddrPort, now time.Time) *book {
	b := &book{members: make(map[string]Member, len(peers))}
	for name, addr := range peers {
		b.members[name] = Member{Name: name, Addr: addr.String(), Since: now}
	}
	return b
}

// set notes that a peer is alive or not; ok is false when that is not news.
func (b *book) set(name string, alive bool) (m Member, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, known := b.members[name]
	if !known || m.Alive == alive {
		return Member{}, false
	}
	m.Alive, m.Since = alive, time.Now()
	b.members[name] = m
	return m, true
}

func (b *book) alive(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.members[name].Alive
}

func (b *book) list() []Member {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.members), func(x, y Member) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
}

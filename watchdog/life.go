package watchdog

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// connectLimit bounds one TCP connection to a node that should be off: with
// factLimit, one look stays under the limit that the chain gives it.
const connectLimit = 500 * time.Millisecond

// stillAnswers looks for life on a node that should be off: its service over
// the control API, its server as the own probe and those of all other nodes see
// it now, and whether either of their ports still takes connections. A frozen
// postmaster answers nothing while its sessions go on committing; but then the
// machine's kernel lives, and a machine without power has none. The others are
// asked because this node may be the only one that is cut off.
func (s *Service) stillAnswers(ctx context.Context, node string) (bool, fence.Evidence) {
	answers := s.askOthers(ctx)
	if a, asked := answers[node]; asked && a.err == nil {
		return true, contradiction(s.cfg.Node, "the service of "+node+" answers", s.now())
	}
	if life := lifeSeen(s.observer.Report(), node); life != "" {
		return true, contradiction(s.cfg.Node, life, s.now())
	}
	for _, observer := range slices.Sorted(maps.Keys(answers)) {
		a := answers[observer]
		if a.err != nil || a.facts.Report == nil {
			continue
		}
		if life := lifeSeen(*a.facts.Report, node); life != "" {
			return true, contradiction(observer, life+", as "+observer+" sees it", s.now())
		}
	}
	n := s.cfg.Nodes[node]
	for what, addr := range map[string]string{
		"the service of ":       net.JoinHostPort(n.Address, strconv.Itoa(n.ControlPort)),
		"PostgreSQL's port on ": net.JoinHostPort(n.Postgres.Host, strconv.Itoa(n.Postgres.Port)),
	} {
		if alive, how := kernelLives(ctx, addr, ownAddress); alive {
			return true, contradiction(s.cfg.Node, what+node+" "+how, s.now())
		}
	}
	return false, contradiction(s.cfg.Node, "neither service nor PostgreSQL of "+node+" answers, and no connection is taken", s.now())
}

// seenNow is how young a look has to be to say that a node lives at this moment.
const seenNow = time.Second

// lifeSeen says which sign of life of a node a report holds that is of this
// moment; empty when none.
func lifeSeen(r view.Report, node string) string {
	for _, sr := range r.Servers {
		if sr.Node == node && sr.Verdict != replication.VerdictUnknown && !lifeless(sr.Verdict) && sr.Age >= 0 && sr.Age < seenNow {
			return "PostgreSQL on " + node + " is " + sr.Verdict.String()
		}
	}
	for _, e := range r.Edges {
		if e.Node == node && e.OK && e.Answered >= 0 && e.Answered < seenNow {
			return "the service of " + node + " answers"
		}
	}
	return ""
}

// kernelLives says whether a machine's kernel still speaks at the address: it
// takes the connection, or refuses it, which no machine without power does. A
// refusal by an address of this very machine says nothing about another one.
func kernelLives(ctx context.Context, addr string, own func(net.IP) bool) (alive bool, how string) {
	d := net.Dialer{Timeout: connectLimit}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = c.Close()
		return true, "still takes connections"
	}
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) {
		return false, ""
	}
	to, isTCP := op.Addr.(*net.TCPAddr)
	if !isTCP || own(to.IP) {
		return false, ""
	}
	return true, "refuses connections: its machine is on"
}

// ownAddress says whether an address is this machine's.
func ownAddress(ip net.IP) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // not known: draw no conclusion
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}

// contradiction is the evidence that a node still lives although it should not.
func contradiction(observer, text string, at time.Time) fence.Evidence {
	return fence.Evidence{Observer: observer, Text: text, At: at}
}

// lifeless lists the verdicts under which a server certainly gives no answer.
func lifeless(v replication.Verdict) bool {
	switch v {
	case replication.VerdictDown, replication.VerdictUnreachable, replication.VerdictHung:
		return true
	}
	return false
}

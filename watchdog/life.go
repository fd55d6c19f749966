package watchdog

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// connectLimit bounds one TCP connection to a node that should be off: with
// factLimit, one look stays under the limit that the chain gives it.
const connectLimit = 500 * time.Millisecond

// stillAnswers looks for life on a node that should be off: its service over
// the control API, its server as the own probe sees it now, and whether either
// of their ports still takes connections. A frozen postmaster answers nothing
// while its sessions go on committing; but then the machine's kernel lives, and
// a machine without power has none.
func (s *Service) stillAnswers(ctx context.Context, node string) (bool, fence.Evidence) {
	if _, err := s.others.facts(ctx, node); err == nil {
		return true, contradiction(s.cfg.Node, "the service of "+node+" answers", s.now())
	}
	for _, sr := range s.observer.Report().Servers {
		if sr.Node == node && sr.Verdict != replication.VerdictUnknown && !lifeless(sr.Verdict) && sr.Age >= 0 && sr.Age < time.Second {
			return true, contradiction(s.cfg.Node, "PostgreSQL on "+node+" is "+sr.Verdict.String(), s.now())
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

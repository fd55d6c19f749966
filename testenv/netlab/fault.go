package netlab

import (
	"context"
	"errors"
	"fmt"
)

// Outside names the test process in faults: clients, application, mail box.
const Outside = "outside"

// Cut drops every packet between two nodes, both ways and without a word, as a
// broken switch does. One of them may be Outside.
func (n *Network) Cut(ctx context.Context, a, b string) error {
	return errors.Join(n.OneWay(ctx, a, b), n.OneWay(ctx, b, a))
}

// OneWay drops what from sends to to, and nothing else.
func (n *Network) OneWay(ctx context.Context, from, to string) error {
	return n.drop(ctx, from, to, "", "")
}

// CutPort drops packets of one protocol (tcp, udp) between two nodes, both ways,
// when either end is the port.
func (n *Network) CutPort(ctx context.Context, a, b, protocol string, port int) error {
	var errs []error
	for _, end := range []string{"dport", "sport"} {
		match := fmt.Sprintf("%s %s %d", protocol, end, port)
		errs = append(errs, n.drop(ctx, a, b, match, ""), n.drop(ctx, b, a, match, ""))
	}
	return errors.Join(errs...)
}

// Lose drops that many of a hundred packets between two nodes, at random.
func (n *Network) Lose(ctx context.Context, a, b string, percent int) error {
	chance := fmt.Sprintf("numgen random mod 100 < %d", percent)
	return errors.Join(n.drop(ctx, a, b, "", chance), n.drop(ctx, b, a, "", chance))
}

// drop adds a rule at the sender, or at the receiver when the sender is outside,
// where the lab sets no rules.
func (n *Network) drop(ctx context.Context, from, to, match, chance string) error {
	at, rule := n.Node(from), fmt.Sprintf("add rule inet lab out ip daddr %s %s %s drop", n.address(to), match, chance)
	if at == nil {
		at, rule = n.Node(to), fmt.Sprintf("add rule inet lab in ip saddr %s %s %s drop", n.address(from), match, chance)
	}
	if at == nil {
		return fmt.Errorf("drop packets from %s to %s: neither is a node", from, to)
	}
	return at.nft(ctx, rule)
}

// Isolate cuts one node off from everybody, outside included.
func (n *Network) Isolate(ctx context.Context, node string) error {
	errs := []error{n.Cut(ctx, node, Outside)}
	for _, d := range n.Nodes {
		if d.Name != node {
			errs = append(errs, n.Cut(ctx, node, d.Name))
		}
	}
	return errors.Join(errs...)
}

// Heal takes every fault back.
func (n *Network) Heal(ctx context.Context) error {
	var errs []error
	for _, d := range n.Nodes {
		errs = append(errs, d.nft(ctx, "flush chain inet lab in", "flush chain inet lab out"))
	}
	return errors.Join(errs...)
}

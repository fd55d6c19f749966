package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// Network is a bridge with one namespace per node. Its faults are set and healed
// by one goroutine.
type Network struct {
	Outside string // address of the test process on the bridge
	Nodes   []*Node

	subnet string
	bridge string
}

// Node is one namespace, with one interface on the bridge.
type Node struct {
	Name    string
	Address string

	port string   // its end of the cable at the bridge
	ns   *os.File // keeps the namespace alive
}

// made counts networks: each has a subnet and names of its own.
var made atomic.Uint32

// New makes a network with the named nodes. It must be called in a process that
// Main put into a namespace of its own. On error nothing is left behind.
func New(ctx context.Context, names ...string) (*Network, error) {
	i := made.Add(1)
	if i > 250 {
		return nil, errors.New("make network: more than 250 in one process")
	}
	n := &Network{Outside: fmt.Sprintf("10.99.%d.254", i), subnet: fmt.Sprintf("10.99.%d.0/24", i), bridge: fmt.Sprintf("lan%d", i)}
	err := ip(ctx, nil, "link add "+n.bridge+" type bridge", "addr add "+n.Outside+"/24 dev "+n.bridge, "link set "+n.bridge+" up")
	for k, name := range names {
		if err != nil {
			break
		}
		err = n.add(ctx, name, fmt.Sprintf("10.99.%d.%d", i, k+1), fmt.Sprintf("lan%d-%d", i, k+1))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make network: %w", err), n.Close())
	}
	return n, nil
}

func (n *Network) add(ctx context.Context, name, address, port string) error {
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	d := &Node{Name: name, Address: address, port: port, ns: ns}
	n.Nodes = append(n.Nodes, d)
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
	if err := ip(ctx, nil, "link add "+port+" type veth peer name eth0 netns "+path, "link set "+port+" master "+n.bridge, "link set "+port+" up"); err != nil {
		return err
	}
	if err := ip(ctx, d, "link set lo up", "addr add "+address+"/24 dev eth0", "link set eth0 up"); err != nil {
		return err
	}
	return d.nft(ctx, "add table inet lab", "add chain inet lab in { type filter hook input priority 0; }", "add chain inet lab out { type filter hook output priority 0; }")
}

// Close removes the network.
func (n *Network) Close() error {
	var errs []error
	for _, d := range n.Nodes {
		errs = append(errs, d.ns.Close())
	}
	// The nodes' cables vanish with their namespaces, once nothing lives in them.
	return errors.Join(append(errs, ip(context.Background(), nil, "link del "+n.bridge))...)
}

// Node gives a node by name; nil when there is none.
func (n *Network) Node(name string) *Node {
	for _, d := range n.Nodes {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// address gives the address of a node or, for "outside", of the test process.
func (n *Network) address(name string) string {
	if d := n.Node(name); d != nil {
		return d.Address
	}
	return n.Outside
}

// Site says to demo where its nodes live.
func (n *Network) Site() demo.Network {
	hosts := map[string]string{}
	for _, d := range n.Nodes {
		hosts[d.Name] = d.Address
	}
	return demo.Network{Hosts: hosts, Outside: n.Outside, Subnet: n.subnet, Enter: func(node string) error {
		d := n.Node(node)
		if d == nil {
			return fmt.Errorf("enter network of %s: no such node", node)
		}
		return d.enter()
	}}
}

// enter moves the calling thread, and what it starts, into the node's namespace.
func (d *Node) enter() error {
	if err := unix.Setns(int(d.ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network of %s: %w", d.Name, err)
	}
	return nil
}

// newNamespace makes a network namespace and gives a file that keeps it alive.
func newNamespace() (*os.File, error) {
	return onThread(func() (*os.File, error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("make network namespace: %w", err)
		}
		return os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	})
}

// onThread runs f on a thread that ends with it, because f moves the thread to
// another namespace.
func onThread[T any](f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is given up
		v, err := f()
		done <- result{v, err}
	}()
	r := <-done
	return r.value, r.err
}

// run runs a program in the node's namespace; in the outside when d is nil.
func run(ctx context.Context, d *Node, program string, args ...string) error {
	_, err := onThread(func() (struct{}, error) {
		if d != nil {
			if err := d.enter(); err != nil {
				return struct{}{}, err
			}
		}
		cmd := exec.CommandContext(ctx, program, args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return struct{}{}, fmt.Errorf("run %s %s: %w: %s", program, strings.Join(args, " "), err, out)
		}
		return struct{}{}, nil
	})
	return err
}

// ip runs commands of iproute2, one after the other.
func ip(ctx context.Context, d *Node, commands ...string) error {
	for _, c := range commands {
		if err := run(ctx, d, "ip", strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

func (d *Node) nft(ctx context.Context, commands ...string) error {
	return run(ctx, d, "nft", strings.Join(commands, "; "))
}

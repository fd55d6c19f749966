package demo

import (
	"os/exec"
	"runtime"
)

// Network says where the nodes of a site live. The zero value has all of them,
// and what stands beside them, on 127.0.0.1.
type Network struct {
	// Hosts gives the address of each node by name.
	Hosts map[string]string
	// Outside is the address of application and mail box.
	Outside string
	// Subnet is what all addresses lie in, as pg_hba.conf writes it.
	Subnet string
	// Enter moves the calling thread to where the processes of a node live; it is
	// called before each of them starts. Nil: nothing to enter.
	Enter func(node string) error
}

// loopback is where a node lives when nothing else is said.
const loopback = "127.0.0.1"

// Host gives the address of a node.
func (n Network) Host(node string) string {
	if h := n.Hosts[node]; h != "" {
		return h
	}
	return loopback
}

// hba lets everybody in the network in, as hba does on the loopback address.
func (n Network) hba() string {
	if n.Subnet == "" {
		return ""
	}
	return "host all all " + n.Subnet + " trust\nhost replication all " + n.Subnet + " trust\n"
}

// entry is Enter for one node; nil when there is nothing to enter.
func (n Network) entry(node string) func() error {
	if n.Enter == nil {
		return nil
	}
	return func() error { return n.Enter(node) }
}

// keepThread keeps the calling thread for the caller: a child's death signal
// hangs on it. One that has entered a node's network is given up with the
// goroutine instead of going back to the others.
func keepThread(enter func() error) (leave func()) {
	runtime.LockOSThread()
	if enter != nil {
		return func() {}
	}
	return runtime.UnlockOSThread
}

func startIn(enter func() error, cmd *exec.Cmd) error {
	if enter != nil {
		if err := enter(); err != nil {
			return err
		}
	}
	return cmd.Start()
}

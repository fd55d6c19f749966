package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func newKey(a *app) *cobra.Command {
	return group(&cobra.Command{Use: "key", Short: "make and show the keys of this node"},
		newKeyNode(a), newKeyGossip(a), newKeyShow(a))
}

func newKeyNode(a *app) *cobra.Command {
	return a.keyMaker("node", "make this node's own key and print its public half", func(path string) error {
		key, err := control.GenerateNodeKey()
		if err != nil {
			return err
		}
		b, err := control.EncodeNodeKey(key)
		if err != nil {
			return err
		}
		if err := control.WriteSecret(path, b); err != nil {
			return err
		}
		return a.printKey(control.PublicOf(key).String())
	})
}

func newKeyGossip(a *app) *cobra.Command {
	return a.keyMaker("gossip", "make the key that all nodes share for gossip", func(path string) error {
		key, err := control.GenerateGossipKey()
		if err != nil {
			return err
		}
		if err := control.WriteSecret(path, control.EncodeGossipKeys(key)); err != nil {
			return err
		}
		a.say("written to %s; copy it to the other nodes\n", path)
		return nil
	})
}

// keyMaker makes a command that writes a secret file where the configuration
// names it. An existing key is never overwritten.
func (a *app) keyMaker(kind, short string, write func(path string) error) *cobra.Command {
	var owner string
	c := &cobra.Command{Use: kind + " [FILE]", Short: short, Args: atMostOne("FILE"), RunE: func(_ *cobra.Command, args []string) error {
		path := a.keyPath(kind, args)
		uid, gid, err := ids(owner) // before anything is written
		if err != nil {
			return err
		}
		if err := write(path); err != nil {
			return err
		}
		return a.giveTo(path, owner, uid, gid)
	}}
	c.Flags().StringVar(&owner, "owner", "", "`USER` that the service runs as, who must be able to read the key")
	return c
}

func newKeyShow(a *app) *cobra.Command {
	return &cobra.Command{Use: "show [FILE]", Short: "print this node's public key", Args: atMostOne("FILE"), RunE: func(_ *cobra.Command, args []string) error {
		key, err := control.LoadNodeKey(a.keyPath("node", args))
		if err != nil {
			return err
		}
		return a.printKey(control.PublicOf(key).String())
	}}
}

func (a *app) printKey(public string) error {
	if a.json {
		return a.printDoc(map[string]any{"v": 1, "key": public})
	}
	a.out("%s\n", public)
	return nil
}

// keyPath is the argument, else what the configuration names, else the name
// that the configuration has by default.
func (a *app) keyPath(kind string, args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	path, _ := a.configPath()
	c, err := config.LoadWith(path, config.Options{SkipSecrets: true})
	if err != nil {
		return filepath.Join(filepath.Dir(path), kind+".key")
	}
	if kind == "node" {
		return c.Keys.NodeKeyFile.Path
	}
	return c.Keys.GossipKeyFile.Path
}

// ids finds the user who shall own a key; none is named, none is found.
func ids(owner string) (uid, gid int, err error) {
	if owner == "" {
		return 0, 0, nil
	}
	u, err := user.Lookup(owner)
	if err != nil {
		return 0, 0, fmt.Errorf("find user %q: %w", owner, err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, fmt.Errorf("read uid of %q: %w", owner, err)
	}
	if gid, err = strconv.Atoi(u.Gid); err != nil {
		return 0, 0, fmt.Errorf("read gid of %q: %w", owner, err)
	}
	return uid, gid, nil
}

func (a *app) giveTo(path, owner string, uid, gid int) error {
	if owner != "" {
		return os.Chown(path, uid, gid)
	}
	if os.Geteuid() == 0 {
		a.say("it belongs to root; the service must be able to read it: chown postgres: %s\n", path)
	}
	return nil
}

func atMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return &usageError{reason: fmt.Sprintf("%s takes one %s", cmd.CommandPath(), name), hint: cmd.UseLine()}
		}
		return nil
	}
}

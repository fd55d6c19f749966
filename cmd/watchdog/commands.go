package main

import "github.com/spf13/cobra"

// commands lists every command of the program. A command exists only when it
// works.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newStatus(a),
		newCheck(a),
		newWhy(a),
		newDoctor(a),
		newHistory(a),
		newOps(a),
		newPromote(a),
		newFence(a),
		newRelease(a),
		newAdopt(a),
		newRun(a),
		newGate(a),
		newHelper(a),
		newConfig(a),
		newKey(a),
		newDemo(a),
		newCompletion(a),
		newVersion(a),
	}
}

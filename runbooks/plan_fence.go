package runbooks

// PlanFence plans to make sure that r.Node cannot write. It promotes nobody.
func PlanFence(f Facts, r Request, id string) Plan {
	p := newPlan(f, KindFence, id)
	p.Target = r.Node
	node, found := f.Node(r.Node)
	if !found || node.Witness {
		p.settle([]check{no("target", ExitUsage, "", "watchdog status", "%q is not a node with PostgreSQL", r.Node)})
		return p
	}
	var fenceable check
	p.Fence, fenceable = planFence(f, r.Node, r)
	p.Phrase = phrase(r.Node, p.Fence.Grade)
	if r.Node == f.Own.Epoch.Primary {
		p.Warnings = append(p.Warnings, r.Node+" is the primary: nobody can write after this")
	}
	p.Steps = number([]StepLine{
		{Name: StepLock, Node: "all", Text: "take the operation lock on every node that answers", Limit: 5, IfFails: "released, nothing changed"},
		{Name: StepIntent, Node: "all", Text: "record the intent durably", Limit: 10, IfFails: "withdrawn, nothing changed"},
		{Name: StepFence, Node: r.Node, Text: fenceText(r.Node, p.Fence), Limit: 120, IfFails: "stop (exit 5; 8 when the outcome is unknown)", Final: true},
		{Name: StepClose, Node: "all", Text: "close the intent everywhere and report", Limit: 10, IfFails: "stop (exit 7)"},
	})
	p.settle([]check{checkState(f), checkAdopted(f), checkEpoch(f), checkOperation(f), fenceable})
	if p.Refusal == nil {
		p.Next = "watchdog fence " + r.Node + " --confirm"
	}
	return p
}

// FenceSteps gives what each line of a fence plan does.
func FenceSteps(d Deps, o *Operation) map[string]Step {
	return map[string]Step{
		StepLock:   d.lockStep(o),
		StepIntent: d.intentStep(o),
		StepFence:  d.fenceStep(o, o.Plan.Target),
		StepClose:  d.closeStep(o),
	}
}

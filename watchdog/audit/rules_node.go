package audit

import (
	"slices"
	"strings"
	"time"
)

// service judges the watchdog of one node.
func (j *judgement) service(n Node) {
	c := j.of(GroupService, "service_answers", n.Name)
	switch {
	case !n.Keyed:
		c.fail("watchdog key show, on "+n.Name+"; then nodes."+n.Name+".key in the configuration of every node", "%s has no key in the configuration: its service is not let in", n.Name)
		return
	case n.Local == nil && n.Refused != "":
		c.unknown("install one version on every node", "the service of %s answers, but tells nothing of itself: %s", n.Name, n.Refused)
		return
	case n.Local == nil:
		c.fail("systemctl status pg-watchdog, on "+n.Name, "the service of %s does not answer: %s", n.Name, orUnknown(n.Silence))
		return
	}
	c.ok("the service of %s answers", n.Name)
	c = j.of(GroupService, "service_version", n.Name)
	if own, found := j.asked(); found && own.Program != n.Local.Program {
		c.warn("install one version on every node", "the service of %s is version %s, that of %s is %s", n.Name, n.Local.Program, j.Asked, own.Program)
	} else {
		c.ok("the service of %s is version %s", n.Name, n.Local.Program)
	}
	c = j.of(GroupService, "state", n.Name)
	if n.Local.StateFault != "" {
		c.fail("look at the file, move it aside only when you know what it said", "%s cannot read its own state: %s", n.Name, n.Local.StateFault)
	} else {
		c.ok("%s reads its own state", n.Name)
	}
	c = j.of(GroupService, "secrets", n.Name)
	switch {
	case len(n.Local.SecretFaults) > 0:
		c.fail("chmod 600 the file, owned by the user that the service runs as", "%s", strings.Join(n.Local.SecretFaults, "; "))
	case n.Local.Secrets == 0:
		c.unknown("", "the secret files of %s were not looked at", n.Name)
	default:
		c.ok("%d secret files of %s are closed to others", n.Local.Secrets, n.Name)
	}
	if len(n.Local.Warnings) > 0 {
		j.of(GroupService, "configuration", n.Name).warn("watchdog config check, on "+n.Name, "%s", strings.Join(n.Local.Warnings, "; "))
	} else {
		j.of(GroupService, "configuration", n.Name).ok("the configuration of %s leaves nothing out", n.Name)
	}
}

func (j *judgement) asked() (Local, bool) {
	for _, n := range j.Nodes {
		if n.Name == j.Asked && n.Local != nil {
			return *n.Local, true
		}
	}
	return Local{}, false
}

// boot judges how PostgreSQL comes up after a reboot: never as primary before
// somebody asked whether it still is.
func (j *judgement) boot(n Node) {
	if n.Local == nil {
		j.of(GroupBoot, "boot_gate", n.Name).unknown("watchdog doctor, on "+n.Name, "how PostgreSQL on %s starts is not known: its service does not answer", n.Name)
		return
	}
	b := n.Local.Boot
	c := j.of(GroupBoot, "boot_gate", n.Name)
	if b.Adopted {
		c.ok("the boot gate of %s is active", n.Name)
	} else {
		c.fail("watchdog adopt NODE, naming the primary", "the boot gate of %s is inactive: the pair was never adopted, so nothing keeps a former primary from starting", n.Name)
	}
	c = j.of(GroupBoot, "boot_start", n.Name)
	switch b.Driver {
	case "systemd":
		j.unit(c, n, b)
	case "compose":
		container(c, n, b)
	default:
		c.warn("let the machine start it by: watchdog gate --exec -- pg_ctl start ...", "who starts PostgreSQL on %s after a reboot is not known with the driver %s: only the boot gate may", n.Name, b.Driver)
	}
}

func (j *judgement) unit(c at, n Node, b Boot) {
	switch {
	case b.Hook == "":
		how := "whoever starts " + b.Unit + " starts it"
		if b.StartsAtBoot {
			how = b.Unit + " starts by itself at boot"
		}
		c.fail("packaging/install --cluster VERSION-NAME, then systemctl daemon-reload", "%s without the boot gate on %s: a former primary would come up as a second one", how, n.Name)
	case !b.Known:
		c.unknown("systemctl show "+b.Unit, "the manager of %s does not tell how %s starts: %s", n.Name, b.Unit, orUnknown(b.Problem))
	case b.RestartsByItself:
		c.warn("Restart=no in "+b.Hook, "%s restarts by itself on %s (%s): it comes back behind a fence", b.Unit, n.Name, b.Restart)
	default:
		c.ok("%s on %s starts through the gate (%s)", b.Unit, n.Name, b.Hook)
	}
}

func container(c at, n Node, b Boot) {
	switch {
	case !b.Known:
		c.unknown("docker inspect, on "+n.Name, "the engine of %s does not tell how the container starts: %s", n.Name, orUnknown(b.Problem))
	case !b.RestartsByItself:
		c.warn("restart: unless-stopped in the compose file, and postgres.container_restart", "nothing starts the container of %s after a reboot (%s)", n.Name, b.Restart)
	default:
		c.ok("the container of %s starts again by itself (%s); its command must be watchdog gate --exec", n.Name, b.Restart)
	}
}

// fence judges what could stop this node from writing.
func (j *judgement) fence(n Node) {
	c := j.of(GroupFence, "fence_device", n.Name)
	set := 0
	for _, o := range j.Nodes {
		if o.Local != nil && o.Name == n.Name {
			set = o.Local.DevicesSet
		}
	}
	answers := j.devices(n.Name)
	for _, d := range answers {
		s := j.of(GroupFence, "fence_status_"+strings.TrimPrefix(d.Name, "agent:"), n.Name)
		if d.Ready {
			s.ok("%s can be fenced by %s: %s", n.Name, d.Name, d.Text)
		} else {
			s.fail("nodes."+n.Name+".fence in the configuration, and the device itself", "%s cannot be fenced by %s now: %s", n.Name, d.Name, d.Text)
		}
	}
	switch {
	case len(answers) > 0 || set > 0:
		c.ok("%s has a fence device", n.Name)
	case j.mute(n.Name):
		c.unknown("", "whether %s has a fence device is not known: no other service answers", n.Name)
	default:
		c.warn("nodes."+n.Name+".fence: a power switch, by a fence agent", "%s has no fence device: when its machine is silent, somebody must switch it off by hand before a promotion", n.Name)
	}
}

// devices gives every configured device of a node as the others see it: each
// once, and as the one who fares worst with it says.
func (j *judgement) devices(node string) []Device {
	var out []Device
	for _, o := range j.Nodes {
		if o.Local == nil || o.Name == node {
			continue
		}
		for _, d := range o.Local.Devices {
			if d.Node != node || d.Name == PeerDevice {
				continue
			}
			d.Text = "asked by " + o.Name + ", " + orUnknown(d.Text)
			i := slices.IndexFunc(out, func(x Device) bool { return x.Name == d.Name })
			switch {
			case i < 0:
				out = append(out, d)
			case !d.Ready:
				out[i] = d
			}
		}
	}
	return out
}

// mute reports whether no service answers that could know of node's devices.
func (j *judgement) mute(node string) bool {
	for _, o := range j.Nodes {
		if o.Local != nil && o.Name != node {
			return false
		}
	}
	return true
}

func (j *judgement) alerts(n Node) {
	if n.Local == nil {
		return // its silence is told already
	}
	c := j.of(GroupAlerts, "alert_recipients", n.Name)
	if n.Local.Alerts.Recipients == 0 {
		c.fail("alerts.email in the configuration", "nobody is told anything by %s: no recipient is configured", n.Name)
	} else {
		c.ok("%s tells %d recipients", n.Name, n.Local.Alerts.Recipients)
	}
	c = j.of(GroupAlerts, "alert_delivery", n.Name)
	if len(n.Local.Alerts.Faults) > 0 {
		c.fail("watchdog why NotificationFailing", "messages do not leave %s: %s", n.Name, strings.Join(n.Local.Alerts.Faults, "; "))
	} else {
		c.ok("no channel of %s is known to fail", n.Name)
	}
}

// clock compares a node's clock with that of the asked node.
func (j *judgement) clock(n Node) {
	if n.Name == j.Asked {
		return
	}
	c := j.of(GroupHost, "clock_skew", n.Name)
	switch {
	case n.Skew == nil:
		c.unknown("", "how far the clock of %s is from that of %s was not measured", n.Name, j.Asked)
	case n.Skew.Abs() > j.SkewLimit:
		c.fail("chronyc makestep, on the node whose clock is wrong", "the clock of %s is %s from that of %s, over %s: times in logs and mails mislead", n.Name, n.Skew.Round(time.Millisecond), j.Asked, j.SkewLimit)
	default:
		c.ok("the clock of %s is %s from that of %s", n.Name, n.Skew.Round(time.Millisecond), j.Asked)
	}
}

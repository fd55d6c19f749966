package audit

import "slices"

// Bounds of the free part of the data directory's file system, in percent.
const (
	spaceWarn = 20
	spaceFail = 10
)

// volatile are file systems that do not survive a reboot; layered ones do not
// survive a container being made anew.
var (
	volatile = []string{"tmpfs", "ramfs"}
	layered  = []string{"overlay"}
)

func (j *judgement) host(n Node) {
	if n.Local == nil {
		return // its silence is told already
	}
	h := n.Local.Host
	j.state(n, h)
	j.ntp(n, h)
	if !n.Witness {
		j.data(n, h)
	}
}

func (j *judgement) state(n Node, h Host) {
	c := j.of(GroupHost, "state_directory", n.Name)
	switch {
	case h.StateFS == "":
		c.unknown("", "the file system of the state directory on %s is not known", n.Name)
	case slices.Contains(volatile, h.StateFS):
		c.fail("state_dir on a real disk", "the state directory of %s is on %s: after a reboot it knows of no fence and no epoch", n.Name, h.StateFS)
	case slices.Contains(layered, h.StateFS):
		c.warn("mount a volume at state_dir", "the state directory of %s is on a container's own layer (%s): a container that is made anew knows of no fence", n.Name, h.StateFS)
	default:
		c.ok("the state directory of %s is durable (%s)", n.Name, h.StateFS)
	}
}

// ntp judges whether the kernel's clock is disciplined. The service's own unit
// may not ask; the command on that machine may.
func (j *judgement) ntp(n Node, h Host) {
	c := j.of(GroupHost, CheckNTP, n.Name)
	switch {
	case !h.ClockKnown && n.Name == j.Asked:
		c.unknown("timedatectl", "whether the clock of %s is synchronised is not known", n.Name)
	case !h.ClockKnown:
		c.warn("watchdog doctor, on "+n.Name, "the service of %s may not ask whether its clock is synchronised", n.Name)
	default:
		ntp(&j.findings, n.Name, h.ClockSynced)
	}
}

// CheckNTP is the name of the check of the kernel's clock, which the command
// may answer for its own machine.
const CheckNTP = "clock_synchronised"

// LocalNTP is the check of the kernel's clock as the command itself found it.
func LocalNTP(node string, synced bool) Check {
	var f findings
	ntp(&f, node, synced)
	return f.all[0]
}

func ntp(f *findings, node string, synced bool) {
	c := f.of(GroupHost, CheckNTP, node)
	if synced {
		c.ok("the clock of %s is synchronised", node)
		return
	}
	c.warn("timedatectl set-ntp true, or install chrony", "the clock of %s is not synchronised by NTP: it drifts", node)
}

func (j *judgement) data(n Node, h Host) {
	c := j.of(GroupHost, "data_space", n.Name)
	free := int64(-1)
	if h.DataTotalBytes > 0 && h.DataFreeBytes >= 0 {
		free = int64(float64(h.DataFreeBytes) / float64(h.DataTotalBytes) * 100)
	}
	switch {
	case free < 0:
		c.unknown("df "+h.DataDir, "the free space for the data directory of %s is not known", n.Name)
	case free < spaceFail:
		c.fail("make room on the file system of "+h.DataDir, "%d%% of the file system of the data directory are free on %s: a full one stops PostgreSQL", free, n.Name)
	case free < spaceWarn:
		c.warn("make room on the file system of "+h.DataDir, "%d%% of the file system of the data directory are free on %s", free, n.Name)
	default:
		c.ok("%d%% of the file system of the data directory are free on %s", free, n.Name)
	}
	c = j.of(GroupHost, "data_directory", n.Name)
	switch h.DataMode {
	case 0:
		c.unknown("ls -ld "+h.DataDir, "the mode of the data directory of %s is not known", n.Name)
	case 0o700, 0o750:
		c.ok("the data directory of %s has mode %04o", n.Name, h.DataMode)
	default:
		c.fail("chmod 700 "+h.DataDir, "the data directory of %s has mode %04o: PostgreSQL refuses to start", n.Name, h.DataMode)
	}
}

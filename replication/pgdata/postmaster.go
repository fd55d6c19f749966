package pgdata

import (
	"fmt"
	"os"
)

// Postmaster gives the living server process that postmaster.pid names, when
// its working directory is indeed dir. This looks at one process and is cheap
// where Holders walks through all of them; but it can only prove that a server
// runs. False proves nothing: ask Holders.
func Postmaster(dir string) (Process, bool) {
	pf, err := ReadPIDFile(dir)
	if err != nil || pf == nil {
		return Process{}, false
	}
	home, err := os.Stat(dir)
	if err != nil {
		return Process{}, false
	}
	cwd, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pf.PID))
	if err != nil || !os.SameFile(home, cwd) {
		return Process{}, false
	}
	p, err := ReadProcess(pf.PID)
	if err != nil || p.Zombie || !p.Server {
		return Process{}, false
	}
	p.IsPostmaster = true
	return p, true
}

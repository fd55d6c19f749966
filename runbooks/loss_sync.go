package runbooks

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// statusLag is how much older than the primary's last sign of life the look at
// its synchronous replication may be: a few periods of the SQL probe. A primary
// that went on answering without being looked at may have released it.
const statusLag = 15 * time.Second

// unseenLife is how long a primary may have lived on without a look at its
// synchronous replication. Cut off from its standby it acknowledges nothing, until
// somebody there gives up waiting and switches that off, which nobody on this
// side of the cut sees: it takes a person, but not for ever.
const unseenLife = time.Minute

// synchronous says whether every commit that the primary acknowledged had to be
// flushed by the standby first. It holds for what was last seen; the text says
// how long ago that was, and what it does not cover.
func synchronous(primary, standby NodeFacts) (string, bool) {
	s := primary.Status
	if s == nil || s.InRecovery || !slices.Contains([]string{"on", "remote_apply"}, s.SynchronousCommit) {
		return "", false
	}
	if s.CommitExceptions > 0 {
		return "", false // ALTER ROLE or ALTER DATABASE: some commits may not have waited
	}
	if !mustWaitFor(s.SynchronousStandbyNames, standby.Node) {
		return "", false
	}
	if last, seen := primary.Last(); !seen || primary.StatusAge-last.Answered > statusLag {
		return "", false
	}
	if unseen(primary) > unseenLife || !isTheOne(s.Standbys, standby) {
		return "", false
	}
	return fmt.Sprintf("%s was the synchronous standby %s before: no row acknowledged under synchronous_commit=%s is lost, "+
		"unless that was switched off on %s since, or by a session for itself", standby.Node, primary.StatusAge.Round(time.Second), s.SynchronousCommit, primary.Node), true
}

// unseen is how long the primary may have lived since that look. Where a host
// that answers has no server any more, it lived no longer than until then.
func unseen(primary NodeFacts) time.Duration {
	if v, seen := primary.Verdict(); v == replication.VerdictDown {
		return primary.StatusAge - seen.Since
	}
	return primary.StatusAge
}

// isTheOne says whether the standby was the synchronous one and the only receiver
// of its name (a copy of its machine would stand in for it unseen), and holds all
// that the primary saw it flush: one that was put back to an older state does not.
func isTheOne(rows []replication.StandbyRow, standby NodeFacts) bool {
	named, sync := 0, false
	for _, row := range rows {
		if strings.EqualFold(row.ApplicationName, standby.Node) {
			named++
			sync = (row.SyncState == "sync" || row.SyncState == "quorum") && row.Flush <= received(standby)
		}
	}
	return named == 1 && sync
}

var (
	syncForm = regexp.MustCompile(`(?is)^\s*(?:(?:(any|first)\s+)?(\d+)\s*\((.*)\)|(.*))\s*$`)
	syncName = regexp.MustCompile(`"(?:[^"]|"")*"|[^\s,"]+`)
)

// mustWaitFor says whether synchronous_standby_names makes every commit wait for
// this standby. Being the synchronous one at the moment is not enough: with a
// second name, or with *, another receiver takes its place as soon as it is cut
// off, and its primary goes on acknowledging.
func mustWaitFor(names, standby string) bool {
	m := syncForm.FindStringSubmatch(names)
	if m == nil {
		return false
	}
	count, list := 1, m[4]
	if m[2] != "" {
		list = m[3]
		var err error
		if count, err = strconv.Atoi(m[2]); err != nil {
			return false
		}
	}
	found := false
	all := syncName.FindAllString(list, -1)
	for _, n := range all {
		if n == "*" {
			return false
		}
		n = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(n, `"`), `"`), `""`, `"`)
		found = found || strings.EqualFold(n, standby)
	}
	return found && count >= len(all)
}

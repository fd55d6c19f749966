package runbooks

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// statusLag is how much older than the primary's last sign of life the look at
// its synchronous replication may be: a few periods of the SQL probe. A primary
// that went on answering without being looked at may have released it.
const statusLag = 15 * time.Second

// synchronous says whether every commit that the primary acknowledged had to be
// flushed by the standby first. It holds for what was last seen; the text says
// how long ago that was, because nobody saw what was changed on a primary that
// could not be reached since.
func synchronous(primary NodeFacts, standby string) (string, bool) {
	s := primary.Status
	if s == nil || s.InRecovery || !slices.Contains([]string{"on", "remote_apply"}, s.SynchronousCommit) {
		return "", false
	}
	if s.CommitExceptions > 0 {
		return "", false // ALTER ROLE or ALTER DATABASE: some commits may not have waited
	}
	if !mustWaitFor(s.SynchronousStandbyNames, standby) {
		return "", false
	}
	if last, seen := primary.Last(); !seen || primary.StatusAge-last.Answered > statusLag {
		return "", false
	}
	for _, row := range s.Standbys {
		if row.ApplicationName == standby && (row.SyncState == "sync" || row.SyncState == "quorum") {
			return fmt.Sprintf("%s was the synchronous standby %s before: no row acknowledged under synchronous_commit=%s is lost, "+
				"unless that was switched off on %s since", standby, primary.StatusAge.Round(time.Second), s.SynchronousCommit, primary.Node), true
		}
	}
	return "", false
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

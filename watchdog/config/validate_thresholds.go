package config

import (
	"fmt"
	"time"
)

// thresholds checks ranges, and that each warning comes before its page.
func (v *validator) thresholds() {
	t, path := v.c.Thresholds, "thresholds."
	const minute, day = time.Minute, 24 * time.Hour
	for _, p := range []struct {
		name string
		n    int
	}{
		{"disk.free_warning", t.Disk.FreeWarning}, {"disk.free_page", t.Disk.FreePage},
		{"slots.warning", t.Slots.Warning}, {"slots.page", t.Slots.Page}, {"slots.of_free", t.Slots.OfFree},
		{"connections.warning", t.Connections.Warning}, {"connections.page", t.Connections.Page},
		{"xid.warning", t.XID.Warning}, {"xid.page", t.XID.Page},
	} {
		v.count(path+p.name, p.n, 1, 100)
	}
	for _, p := range []struct {
		name string
		Percentages
	}{
		{"slots", Percentages{t.Slots.Warning, t.Slots.Page}}, {"connections", t.Connections}, {"xid", t.XID},
	} {
		v.before(path+p.name+".warning", path+p.name+".page", p.Warning < p.Page, fmt.Sprintf("%d is not below", p.Warning), fmt.Sprint(p.Page))
	}
	v.before(path+"disk.free_warning", path+"disk.free_page", t.Disk.FreeWarning > t.Disk.FreePage,
		fmt.Sprintf("%d is not above", t.Disk.FreeWarning), fmt.Sprint(t.Disk.FreePage))
	v.before("probes.clock_skew", path+"clock_skew_page", v.c.Probes.ClockSkew < t.ClockSkewPage,
		fmt.Sprintf("%s is not below", v.c.Probes.ClockSkew), t.ClockSkewPage.String())
	v.count(path+"archiver.ready", t.Archiver.Ready, 1, 1<<20)
	v.count(path+"conflicts", t.Conflicts, 1, 1<<20)
	v.between(path+"archiver.page", t.Archiver.Page, minute, 7*day)
	v.between(path+"disk.full_within", t.Disk.FullWithin, minute, 30*day)
	v.between(path+"sessions.idle_in_transaction", t.Sessions.Idle, time.Second, 30*day)
	v.between(path+"sessions.query", t.Sessions.Query, time.Second, 30*day)
	v.between(path+"clock_skew_page", t.ClockSkewPage, 100*time.Millisecond, day)
	v.between(path+"password_ends", t.PasswordEnds, time.Hour, 30*day)
	v.between(path+"loop_late", t.LoopLate, 100*time.Millisecond, minute)
}

// before holds a warning to come before its page: the other way round the mail
// would come after somebody was woken, or never.
func (v *validator) before(warning, page string, ok bool, reason, than string) {
	if !ok {
		v.clash(warning, page, fmt.Sprintf("%s %s (%s)", reason, page, than), "the warning must come before the page")
	}
}

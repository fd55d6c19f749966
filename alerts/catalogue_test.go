package alerts

import (
	"reflect"
	"strings"
	"testing"
)

func TestEnglish_EveryCode_HasItsOwnWords(t *testing.T) {
	c := English()
	facts := Facts{Cluster: "prod", Subject: "node-a"}
	codes := []string{
		CodeNoPrimary, CodePostgresDown, CodeTwoPrimaries, CodeReplicationDown, CodeSystemIDMismatch,
		CodeCommitsFailing, CodePeerPathPartial, CodeNoSample,
		CodeTimelineDivergence, CodePeerUnreachable, CodeAppHealthFailing, CodeUnexpectedRoleChange,
		CodeOperationStopped, CodeStateUnreadable, CodeSupersededPrimary, CodeNotificationFailing,
		CodeReplicationLagBytes, CodeReplicationLagTime, CodeReplayPaused,
		CodeDiskSpace, CodeSlotLost, CodeSlotInactive, CodeSlotRetentionHigh, CodeArchiverFailing, CodeWalGap,
		CodeSyncStandbyMissing, CodeChecksumFailures, CodeXidWraparound, CodeConnectionSaturation, CodeVersionMismatch,
		CodeConfigDrift, CodeStandbyConflicts, CodeLongTransaction, CodePendingRestart,
		CodeAuthBroken, CodeClockSkew, CodeWatchdogDegraded, CodeWatchdogConfigDrift, CodeWatchdogVersionMismatch,
		CodeFailoverNotReady,
		CodePositionWentBack,
	}
	if fields := phrases(reflect.TypeFor[Catalogue]()); fields != len(codes) {
		t.Errorf("the catalogue has %d conditions, the test knows %d", fields, len(codes))
	}
	meanings := map[string]string{}
	for _, code := range codes {
		text := c.phrase(code)(facts)
		if !strings.HasPrefix(text.Subject, code+": ") {
			t.Errorf("%s has the subject %q: its entry stands in another's place", code, text.Subject)
		}
		if text.Sentence == "" || text.Meaning == "" || !strings.HasPrefix(text.Action, "watchdog ") {
			t.Errorf("%s lacks words: %+v", code, text)
		}
		if other, same := meanings[text.Meaning]; same {
			t.Errorf("%s means the same as %s", code, other)
		}
		meanings[text.Meaning] = code
	}
	if c.Has("Unheard") {
		t.Error("a condition that nobody heard of has words of its own")
	}
	if got := c.phrase("Unheard")(facts); !strings.Contains(got.Subject, "Unheard") {
		t.Errorf("a condition without words gets %+v", got)
	}
}

// phrases counts the conditions of a catalogue, those of its groups included.
func phrases(t reflect.Type) int {
	n := 0
	for i := range t.NumField() {
		switch f := t.Field(i).Type; {
		case f == reflect.TypeFor[Phrase]():
			n++
		case f.Kind() == reflect.Struct && f != reflect.TypeFor[Words]():
			n += phrases(f)
		}
	}
	return n
}

func TestEnglish_NoWordOfTheFrameIsEmpty(t *testing.T) {
	v := reflect.ValueOf(English().Words)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is empty", v.Type().Field(i).Name)
		}
	}
	v = reflect.ValueOf(English())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is empty", v.Type().Field(i).Name)
		}
	}
}

func TestClean_OutsideText_IsOneHarmlessLine(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nBcc: eve@example.org": "a  Bcc: eve@example.org",
		"\x1b[31mred\x1b[0m":        "?[31mred?[0m",
		"abc\u202egnp.exe":          "abc?gnp.exe",
		"  grüße  ":                 "grüße",
		"\xff\xfe":                  "??",
	} {
		if got := clean(in, 100); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := clean(strings.Repeat("ü", 200), 10); got != strings.Repeat("ü", 10)+"…" {
		t.Errorf("long text became %q", got)
	}
}

func TestParseRecipients(t *testing.T) {
	for in, want := range map[string]string{
		"ann@example.org":                                   "ann@example.org",
		" ann@example.org , ,bob@example.org,":              "ann@example.org;bob@example.org",
		`Ann <ann@example.org>, "Doe, J" <doe@example.org>`: "Ann <ann@example.org>;Doe, J <doe@example.org>",
		"ann@example.org,ANN@example.org":                   "ann@example.org",
	} {
		got, err := ParseRecipients(in)
		var names []string
		for _, r := range got {
			names = append(names, r.String())
		}
		if err != nil || strings.Join(names, ";") != want {
			t.Errorf("%q reads as %v (%v), want %s", in, names, err, want)
		}
	}
	for in, names := range map[string]string{
		"":                                   "nobody",
		" , ":                                "nobody",
		"ann@example.org, bob":               `"bob"`,
		"ann@example.org\r\nBcc: e@x.org":    "ann@example.org",
		"ann@example.org bob@example.org":    "bob@example.org",
		`"a` + "\x1b" + `b" <a@example.org>`: "a@example.org",
	} {
		if got, err := ParseRecipients(in); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("%q reads as %v (%v), want an error that names %s", in, got, err, names)
		}
	}
}

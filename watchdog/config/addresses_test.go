package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoad_Recipients_AsOperatorsWriteThem(t *testing.T) {
	for text, want := range map[string]Addresses{
		`"a@example.org, b@example.org"`:                        {"a@example.org", "b@example.org"},
		`" a@example.org ,, b@example.org,"`:                    {"a@example.org", "b@example.org"},
		`'"Doe, Jane" <jane@example.org>, Bob <b@example.org>'`: {"jane@example.org", "b@example.org"},
		`[a@example.org, "Bob <b@example.org>"]`:                {"a@example.org", "b@example.org"},
		`"a@example.org, A@Example.org"`:                        {"a@example.org"},
	} {
		c, err := Load(folder(t, minimal+"alerts: {email: {from: w@example.org, smtp: \"127.0.0.1:25\", to: "+text+"}}\n"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, c.Alerts.Email.To); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

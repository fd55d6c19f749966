package alerts

import (
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// RetryPolicy says when a message that was not delivered is tried again.
type RetryPolicy struct {
	Initial    time.Duration // 1 s
	Max        time.Duration // 30 min: for mails, and after a channel fault
	MaxPage    time.Duration // 2 min: a page must not sleep long after the channel heals
	Multiplier float64       // 1.5
	Jitter     float64       // 0.2 of the wait, both ways; keeps two nodes apart
	GiveUp     time.Duration // 72 h: after this the message is dropped, counted and logged
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	orDuration(&p.Initial, time.Second)
	orDuration(&p.Max, 30*time.Minute)
	if p.MaxPage == 0 {
		p.MaxPage = min(2*time.Minute, p.Max)
	}
	orDuration(&p.GiveUp, 72*time.Hour)
	if p.Multiplier == 0 {
		p.Multiplier = 1.5
	}
	if p.Jitter == 0 {
		p.Jitter = 0.2
	}
	return p
}

func (p RetryPolicy) validate() error {
	if p.Initial <= 0 || p.MaxPage < p.Initial || p.Max < p.MaxPage || p.GiveUp < p.Max {
		return fmt.Errorf("build alert engine: retry needs 0 < initial <= max of pages <= max <= give up, got %v, %v, %v, %v",
			p.Initial, p.MaxPage, p.Max, p.GiveUp)
	}
	if p.Multiplier < 1 || p.Jitter < 0 || p.Jitter >= 1 {
		return fmt.Errorf("build alert engine: retry needs a multiplier of at least 1 and a jitter from 0 up to 1, got %v and %v",
			p.Multiplier, p.Jitter)
	}
	return nil
}

// maxSteps is more than enough to reach any Max from any Initial; it bounds the
// loop that rebuilds the wait from the stored number of attempts.
const maxSteps = 128

// after is the wait that follows the given number of attempts.
func (p RetryPolicy) after(attempts int, s Severity) time.Duration {
	b := &backoff.ExponentialBackOff{
		InitialInterval: p.Initial, Multiplier: p.Multiplier,
		RandomizationFactor: p.Jitter, MaxInterval: p.Max,
	}
	if s >= SeverityPage {
		b.MaxInterval = p.MaxPage
	}
	b.Reset()
	wait := b.NextBackOff()
	for range min(max(attempts-1, 0), maxSteps) {
		wait = b.NextBackOff()
	}
	return wait
}

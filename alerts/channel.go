package alerts

import "time"

// channel is a route at work.
type channel struct {
	route Route
	wake  chan struct{}
	count ChannelMetrics
	claim claim
	fault error // nil while it works, as far as known
	// refused are the recipients that were last refused for good, by target.
	refused map[string]ChannelFault
}

func (c *channel) delivered(target string, now time.Time) {
	c.count.Delivered++
	c.count.LastSuccess = now
	delete(c.refused, target)
}

func (c *channel) refuse(en *entry, err error) {
	if c.refused == nil {
		c.refused = map[string]ChannelFault{}
	}
	c.refused[en.Target] = ChannelFault{Channel: en.Channel, Recipient: en.To.Address, Err: err}
}

func (c *channel) targets() []string {
	out := make([]string, 0, len(c.route.To))
	for _, to := range c.route.To {
		out = append(out, targetOf(c.route.Sink.Name(), to.Address))
	}
	return out
}

// poke makes the channel's loop look again; one pending poke is enough.
func (c *channel) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// ChannelMetrics are one channel's counters since this engine was built.
type ChannelMetrics struct {
	Channel     string
	Delivered   uint64
	Failed      uint64 // attempts that were not a delivery
	Dropped     uint64 // messages given up
	Suppressed  uint64 // messages that a peer delivered first
	Spooled     int    // messages waiting now
	Oldest      time.Duration
	LastSuccess time.Time // zero: never
	Faulty      bool
}

// Metrics gives the counters of every channel, by name.
func (e *Engine) Metrics() []ChannelMetrics {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.opt.Now()
	out := make([]ChannelMetrics, 0, len(e.channels))
	for _, name := range sortedKeys(e.channels) {
		ch := e.channels[name]
		m := ch.count
		m.Channel, m.Faulty = name, ch.fault != nil
		for _, en := range e.spool {
			if en.Channel == name {
				m.Spooled++
				m.Oldest = max(m.Oldest, since(en.Queued, now))
			}
		}
		out = append(out, m)
	}
	return out
}

// ChannelFault is a channel that does not work, or one recipient of a channel
// that does.
type ChannelFault struct {
	Channel   string
	Recipient string // empty: the whole channel
	Err       error
}

// Subject names what does not work, for a condition.
func (f ChannelFault) Subject() string {
	if f.Recipient == "" {
		return f.Channel
	}
	return f.Channel + " to " + f.Recipient
}

// ChannelFaults lists what does not work now: channels, and recipients refused
// for good, until something was delivered to them. The service makes a
// NotificationFailing condition of each, so that somebody else hears of it.
func (e *Engine) ChannelFaults() []ChannelFault {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []ChannelFault
	for _, name := range sortedKeys(e.channels) {
		ch := e.channels[name]
		if ch.fault != nil {
			out = append(out, ChannelFault{Channel: name, Err: ch.fault})
		}
		for _, target := range sortedKeys(ch.refused) {
			out = append(out, ch.refused[target])
		}
	}
	return out
}

package alerts

import "time"

// channel is a route at work.
type channel struct {
	route Route
	wake  chan struct{}
	count ChannelMetrics
	fault error // nil while it works, as far as known
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

// ChannelFault is a channel that does not work.
type ChannelFault struct {
	Channel string
	Err     error
}

// ChannelFaults lists the channels that do not work now. The service makes a
// NotificationFailing condition of each, so that another channel tells of it.
func (e *Engine) ChannelFaults() []ChannelFault {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []ChannelFault
	for _, name := range sortedKeys(e.channels) {
		if err := e.channels[name].fault; err != nil {
			out = append(out, ChannelFault{name, err})
		}
	}
	return out
}

package alerts

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Run delivers until the context ends, and returns after every attempt in
// progress has ended. Each channel has its own loop, so one that hangs holds up
// no other. Nothing is attempted before the first Observe.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	e.mu.Lock()
	channels := make([]*channel, 0, len(e.channels))
	for _, name := range sortedKeys(e.channels) {
		channels = append(channels, e.channels[name])
	}
	e.mu.Unlock()
	for _, ch := range channels {
		wg.Go(func() { e.serve(ctx, ch) })
	}
	<-ctx.Done()
	wg.Wait()
	return nil
}

// idle is how long a channel with nothing to do waits for a poke.
const idle = time.Hour

func (e *Engine) serve(ctx context.Context, ch *channel) {
	for ctx.Err() == nil {
		en, wait := e.next(ch)
		if en != nil {
			e.attempt(ctx, ch, en)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-ch.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next takes the entry whose turn it is and notes the attempt, durably, before
// it is made. It gives the wait until the next one when none is due.
func (e *Engine) next(ch *channel) (*entry, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.start.IsZero() {
		return nil, idle
	}
	now := e.opt.Now()
	best, due := e.pick(ch, now)
	if best == nil {
		ch.claim = claim{}
		return nil, idle
	}
	if wait := e.claimNext(ch, best, due, now); wait > 0 {
		return nil, wait
	}
	ch.claim = claim{best.id(), now}
	best.Attempts++
	if best.FirstTry.IsZero() {
		best.FirstTry = now
	}
	e.dirty.spool[best.id()] = best
	_ = e.flush() // logged there; a disk that refuses must not keep a page back
	copied := *best
	copied.Message.Node = e.peer.Self
	copied.Message.Footer = e.compose.footer(best, e.peer, now)
	return &copied, 0
}

// pick finds the entry to attempt first, and when it is due.
func (e *Engine) pick(ch *channel, now time.Time) (*entry, time.Time) {
	var best *entry
	var bestDue time.Time
	for _, en := range e.spool {
		if en.Channel != ch.route.Sink.Name() || e.blocked(en) || e.claimed(en, now) {
			continue
		}
		if due := e.due(en); best == nil || en.before(best, due, bestDue, now) {
			best, bestDue = en, due
		}
	}
	return best, bestDue
}

// blocked keeps the order of one incident for one recipient: its end is not told
// while its beginning is still under way.
func (e *Engine) blocked(en *entry) bool {
	return en.Stage.event() == EventResolved && e.earlier(en)
}

func (e *Engine) due(en *entry) time.Time {
	if en.Local {
		return laterOf(en.Queued, en.NextTry)
	}
	return laterOf(en.NextTry, e.peer.turn(en.Queued, e.start, e.opt.TakeOver))
}

func (e *Engine) attempt(ctx context.Context, ch *channel, en *entry) {
	sendCtx, cancel := context.WithTimeout(ctx, e.opt.SendTimeout)
	defer cancel()
	d := ch.route.Sink.Send(sendCtx, en.Message, en.To)
	if d.Outcome != OutcomeDelivered && d.Err == nil {
		d.Err = fmt.Errorf("send through %s: outcome %s without a reason", en.Channel, d.Outcome)
	}
	if ctx.Err() != nil && d.Outcome != OutcomeDelivered {
		return // the service stops; the message stays in the spool
	}
	for _, tell := range e.settle(ch, en, d) {
		tell()
	}
}

// settle books the result and gives the hooks to call once the lock is free.
func (e *Engine) settle(ch *channel, en *entry, d Delivery) []func() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.opt.Now()
	id := en.id()
	ch.claim = claim{}
	if d.Outcome == OutcomeDelivered {
		ch.delivered(en.Target, now)
		e.markDelivered(en)
		if ch.fault != nil {
			e.hasten(en.Channel)
		}
		_ = e.flush()
		return e.setFault(ch, nil)
	}
	ch.count.Failed++
	stored := e.spool[id]
	if stored == nil { // a peer told it meanwhile
		return nil
	}
	stored.LastError = clean(d.Err.Error(), maxLine)
	e.logFailure(stored, d)
	switch {
	case since(stored.Queued, now) >= e.opt.Retry.GiveUp:
		e.drop(stored, "it was not delivered in time")
	case d.Outcome == OutcomePermanent && !d.ChannelFault:
		ch.refuse(stored, d.Err)
		e.drop(stored, "it was refused for good")
	default:
		e.reschedule(stored, d, now)
	}
	_ = e.flush()
	if d.ChannelFault || since(stored.FirstTry, now) >= e.opt.FaultAfter {
		return e.setFault(ch, d.Err)
	}
	return nil
}

func (e *Engine) reschedule(en *entry, d Delivery, now time.Time) {
	wait := e.opt.Retry.after(en.Attempts, en.Message.Severity)
	if d.ChannelFault { // hammering a refused login may lock the account
		wait = e.opt.Retry.Max
	}
	en.NextTry = now.Add(max(wait, d.RetryAfter))
	e.dirty.spool[en.id()] = en
}

// hasten makes everything due that waits for a channel which works again.
func (e *Engine) hasten(channel string) {
	for id, en := range e.spool {
		if en.Channel == channel {
			en.NextTry = time.Time{}
			e.dirty.spool[id] = en
		}
	}
}

func (e *Engine) markDelivered(en *entry) {
	e.remove(en.id())
	if in := e.incidents[en.Incident]; in != nil && in.Key == en.Message.Key {
		in.tell(en.Target, en.Stage)
		e.dirty.incidents[en.Incident] = in
	}
	e.log.Info("message delivered",
		zap.String("incident", en.Message.Incident), zap.Stringer("event", en.Message.Event),
		zap.String("channel", en.Channel), zap.Stringer("recipient", en.To), zap.Int("attempts", en.Attempts))
}

// logFailure tells the first failure of a message and every doubling of their
// number, not each of a day of retries.
func (e *Engine) logFailure(en *entry, d Delivery) {
	if en.Attempts&(en.Attempts-1) != 0 {
		return
	}
	e.log.Warn("message not delivered",
		zap.String("incident", en.Message.Incident), zap.Stringer("event", en.Message.Event),
		zap.String("channel", en.Channel), zap.Stringer("recipient", en.To),
		zap.Stringer("outcome", d.Outcome), zap.Int("attempts", en.Attempts), zap.String("err", en.LastError))
}

// setFault changes whether a channel counts as working; a change is logged and
// told to the service.
func (e *Engine) setFault(ch *channel, err error) []func() {
	before, name := ch.fault, ch.route.Sink.Name()
	ch.fault = err
	switch {
	case before == nil && err != nil:
		e.log.Error("channel does not work", zap.String("channel", name), zap.String("err", clean(err.Error(), maxLine)))
	case before != nil && err == nil:
		e.log.Info("channel works again", zap.String("channel", name))
	default:
		return nil
	}
	return []func(){func() { e.opt.OnChannelFault(name, err) }}
}

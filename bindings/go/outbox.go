// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"sync"
	"time"
)

// A SendOption says more about one send.
type SendOption struct {
	flags  uint32
	noWait bool
	ttl    time.Duration
	ids    []uint64
}

const (
	flagLiveOnly = 1
	flagReport   = 2
	flagFirst    = 4
	flagInLimit  = 8
)

// LiveOnly sends only over the connection that is open and ready now: ErrNotConnected if none is. The message is never
// kept for the next connection, so that an order can't be sent late; it goes ahead of a backlog that is being paced.
func LiveOnly() SendOption { return SendOption{flags: flagLiveOnly} }

// Report asks for an event "fate" that tells what became of the message (with WithEvents).
func Report() SendOption { return SendOption{flags: flagReport} }

// First is for login messages: they go before everything else, also during a hold of WithHoldLogin.
func First() SendOption { return SendOption{flags: flagFirst} }

// InLimit waits for room in the rate limits (WithRateLimit) until ctx ends, or with NoWait returns ErrRate at once.
// Without it, and without LiveOnly, the message waits for them in the outbox.
func InLimit() SendOption { return SendOption{flags: flagInLimit} }

// NoWait returns ErrQueueFull or ErrRate at once where the send would wait.
func NoWait() SendOption { return SendOption{noWait: true} }

// TTL is the message's time to live: one that is not written by then expires, unsent. A negative one is for ever;
// without TTL, or with 0, the option WithMessageTTL decides.
func TTL(d time.Duration) SendOption { return SendOption{ttl: d} }

// IDs is for SendBatch: it gets the id of each accepted message, as far as there is room in ids.
func IDs(ids []uint64) SendOption { return SendOption{ids: ids} }

func joined(options []SendOption) SendOption {
	var all SendOption
	for _, option := range options {
		all.flags |= option.flags
		all.noWait = all.noWait || option.noWait
		if option.ttl != 0 {
			all.ttl = option.ttl
		}
		if option.ids != nil {
			all.ids = option.ids
		}
	}
	if all.ttl < 0 {
		all.ttl = -1
	}
	return all
}

// SendWith is Send with options, for texts and binary messages. It returns the message's id: 1, 2, 3 ... in the order
// of acceptance, as events name it.
func (c *Conn) SendWith(ctx context.Context, kind Kind, data []byte, options ...SendOption) (id uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	how := joined(options)
	id, done, err := c.trySend(kind, data, how)
	if done {
		return id, err
	}
	return c.sendPatiently(ctx, kind, data, how)
}

func (c *Conn) sendPatiently(ctx context.Context, kind Kind, data []byte, how SendOption) (id uint64, err error) {
	err = c.poll(ctx, func() (done bool, err error) {
		id, done, err = c.trySend(kind, data, how)
		return done, err
	})
	return id, err
}

func (c *Conn) trySend(kind Kind, data []byte, how SendOption) (id uint64, done bool, err error) {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return 0, true, ErrClosed
	}
	result := c.native.sendWith(kind, data, how.flags, how.ttl)
	if result >= 0 {
		return uint64(result), true, nil
	}
	if how.waits(c, int(result), kind) {
		return 0, false, nil
	}
	return 0, true, c.why(int(result), "")
}

func (how *SendOption) waits(c *Conn, status int, kind Kind) bool {
	return !how.noWait && (c.waitsFor(status, kind) || status == codeRate)
}

var outBatches = sync.Pool{New: func() any { return new(outBatch) }}

// SendBatch sends many texts and binary messages in order; of each only Kind and Data are looked at. It returns how
// many were accepted, from the first on; with fewer than all of them, err says why the next one was not. It waits where
// Send would. The option IDs gives their ids.
func (c *Conn) SendBatch(ctx context.Context, messages []Message, options ...SendOption) (n int, err error) {
	how := joined(options)
	batch := outBatches.Get().(*outBatch)
	defer func() {
		if cap(batch.block) <= 1<<20 {
			outBatches.Put(batch)
		}
	}()
	filled := -1 // the message that batch begins with
	if len(messages) == 0 {
		return 0, ctx.Err()
	}
	err = c.poll(ctx, func() (bool, error) {
		c.alive.RLock()
		defer c.alive.RUnlock()
		if c.freed {
			return true, ErrClosed
		}
		for n < len(messages) {
			if filled != n {
				batch.fill(messages[n:])
				filled = n
			}
			accepted, first := c.native.sendBatch(batch, how.flags, how.ttl)
			if accepted < 0 {
				if how.waits(c, accepted, messages[n].Kind) {
					return false, nil
				}
				return true, c.why(accepted, "")
			}
			if accepted == 0 {
				return false, nil
			}
			for i := n; i < n+accepted && i < len(how.ids); i++ {
				how.ids[i] = first + uint64(i-n)
			}
			n += accepted
		}
		return true, nil
	})
	return n, err
}

// What is copied at once, at most.
const (
	batchBytes = 4 << 20
	batchCount = 1 << 16
)

// fill takes messages as far as they fit, at least one.
func (b *outBatch) fill(messages []Message) {
	b.reset()
	for i := range messages {
		if i > 0 && (len(b.block)+len(messages[i].Data) > batchBytes || i == batchCount) {
			return
		}
		b.add(messages[i].Kind, messages[i].Data)
	}
}

// Flush waits until every message that was accepted before the call has its fate: sent, dropped, expired or failed.
// ErrNotConnected when trying to connect has ended with messages still in the outbox.
func (c *Conn) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.flush(0); err != errLate {
		return err
	}
	return c.patiently(ctx, c.flush)
}

func (c *Conn) flush(wait time.Duration) error {
	c.patient.Add(1)
	defer c.patient.Add(-1)
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return ErrClosed
	}
	switch status := c.native.flush(wait); status {
	case 0:
		return nil
	case codeTimeout:
		return errLate
	default:
		return c.why(status, "")
	}
}

// Purge drops what waits in the outbox and returns how many messages that were.
func (c *Conn) Purge() int {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return 0
	}
	return max(c.native.purge(), 0)
}

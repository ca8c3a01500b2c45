// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Reconnect connects anew at once: it leaves the open connection, skips the delay before the next attempt, leaves the
// state Failed, or brings back what Disconnect has ended. The count of attempts begins again. It does not wait;
// WaitReady does. ErrClosed after Close.
func (c *Conn) Reconnect() error { return c.begin(c.native.reconnect) }

// begin starts, or connects anew.
func (c *Conn) begin(do func() int) error {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.turns++
	return c.call(func() (int, string) { return do(), "" })
}

// Disconnect closes the connection with code 1000, as Close does, but Reconnect can bring it back. Until then Send
// gives ErrClosed, and Recv what had arrived and then ErrClosed. It waits until what was accepted before is sent and
// the peer has answered. When ctx ends before that, the error is ctx.Err(): what still waits in the outbox fails, and the
// close goes on (for at most the option close_timeout). When its deadline left messages that waited for the open
// connection unsent, the error is ErrUnsent.
func (c *Conn) Disconnect(ctx context.Context) error {
	if ctx.Done() == nil {
		return c.disconnect(-1)
	}
	c.turning.Lock()
	turn := c.turns
	if ctx.Err() != nil {
		c.disconnect(0)
		c.turning.Unlock()
		return ctx.Err()
	}
	if c.isClosed() {
		c.turning.Unlock()
		return c.poll(ctx, func() (bool, error) { return c.State() == Disconnected || c.turn() != turn, nil })
	}
	wait := time.Duration(-1)
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(time.Until(deadline), 0)
	}
	result := make(chan error, 1) // the native call waits, so it gets a goroutine
	go func() { result <- c.disconnect(wait) }()
	for len(result) == 0 && !c.isClosed() { // it must not begin late, after a Reconnect that follows this call
		time.Sleep(10 * time.Microsecond)
	}
	c.turning.Unlock()
	select {
	case err := <-result:
		if err != errLate {
			return err
		}
		<-ctx.Done() // its deadline is over, though that may not be noticed yet
	case <-ctx.Done():
		if ctx.Err() == context.DeadlineExceeded {
			// The library's call has the same deadline, and gives up by itself what waits.
			if err := <-result; err != errLate {
				return err
			}
			return ctx.Err()
		}
		c.turning.Lock()
		if c.turns == turn {
			c.disconnect(0)
		}
		c.turning.Unlock()
	}
	return ctx.Err()
}

func (c *Conn) turn() int {
	c.turning.Lock()
	defer c.turning.Unlock()
	return c.turns
}

// isClosed says whether this side has closed the connection, or begun to. Only once it was started.
func (c *Conn) isClosed() bool {
	return c.State() == Disconnected || errors.Is(c.call(c.native.waitReady), ErrClosed)
}

func (c *Conn) disconnect(wait time.Duration) error {
	c.patient.Add(1)
	defer c.patient.Add(-1)
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return nil
	}
	switch status := c.native.disconnect(wait); status {
	case 0, codeClosed:
		return nil
	case codeTimeout:
		return errLate
	default:
		return c.why(status, "")
	}
}

// WaitReady waits until the connection is ready: open, logged in (WithLogin, WithLoginConfirm, WithLoginFunc), the
// subscriptions sent (and confirmed: WithSubscribeConfirm). It waits across failed attempts, and returns why when
// trying has ended; ErrClosed after Close and Disconnect; ctx.Err() when ctx ends.
func (c *Conn) WaitReady(ctx context.Context) error {
	return c.poll(ctx, func() (bool, error) {
		c.alive.RLock()
		defer c.alive.RUnlock()
		if c.freed {
			return true, ErrClosed
		}
		status, why := c.native.waitReady()
		switch status {
		case 0:
			return true, nil
		case codeTimeout:
			return false, nil
		}
		return true, c.why(status, why)
	})
}

// Ready says whether the connection is ready, as WaitReady means it.
func (c *Conn) Ready() bool {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed || State(c.native.state()) != Connected { // which asking could start
		return false
	}
	status, _ := c.native.waitReady()
	return status == 0
}

// SetHeader sets a header of the handshake from the next attempt on, in place of any of that name; see WithHeaderFunc
// for one that must be fresh at each attempt.
func (c *Conn) SetHeader(name, value string) error {
	if err := noNUL("name", name, "value", value); err != nil {
		return err
	}
	return c.call(func() (int, string) { return c.native.setHeader(name, &value) })
}

// RemoveHeader takes a header out of the handshake from the next attempt on.
func (c *Conn) RemoveHeader(name string) error {
	if err := noNUL("name", name); err != nil {
		return err
	}
	return c.call(func() (int, string) { return c.native.setHeader(name, nil) })
}

// SetURL sets the URL of the preferred endpoint from the next attempt on; it must stay with ws or wss as it was. See
// WithURLFunc for one that must be fresh at each attempt.
func (c *Conn) SetURL(url string) error {
	if strings.IndexByte(url, 0) >= 0 {
		return failure(codeURL, fmt.Sprintf("the URL %q holds a NUL byte", url))
	}
	return c.call(func() (int, string) { return c.native.setURL(url) })
}

// Release ends the hold that WithHoldConnect or WithHoldLogin has put on the present attempt (event "hold"): it goes
// on. For a login send its messages before, with First. WithLoginFunc, WithHeaderFunc and WithURLFunc do all of it.
func (c *Conn) Release() error {
	return c.call(func() (int, string) { return c.native.release(), "" })
}

// Subscribe adds a subscription under key (1 to 1024 bytes), or replaces it: it is sent now if the connection is ready,
// and again on every connect, in the order of the first subscribing, before anything queued. WithSubscribeMessage and
// WithUnsubscribeMessage, or a preset, make the texts, many keys in one message; see SubscribeWith for a text of its own.
func (c *Conn) Subscribe(key string) error {
	if err := noNUL("key", key); err != nil {
		return err
	}
	return c.call(func() (int, string) { return c.native.subscribe(key, nil, nil) })
}

// SubscribeWith is Subscribe with texts of the key's own: subscribe is sent to begin, unsubscribe to end it; an empty
// unsubscribe means that none is sent.
func (c *Conn) SubscribeWith(key, subscribe, unsubscribe string) error {
	if err := noNUL("key", key, "subscribe", subscribe, "unsubscribe", unsubscribe); err != nil {
		return err
	}
	if subscribe == "" {
		return invalid("argument subscribe is empty; Subscribe leaves the text to WithSubscribeMessage")
	}
	var end *string
	if unsubscribe != "" {
		end = &unsubscribe
	}
	return c.call(func() (int, string) { return c.native.subscribe(key, &subscribe, end) })
}

// Unsubscribe removes a subscription, and ends it at the server. An unknown key is no error.
func (c *Conn) Unsubscribe(key string) error {
	if err := noNUL("key", key); err != nil {
		return err
	}
	return c.call(func() (int, string) { return c.native.unsubscribe(key), "" })
}

// noNUL checks texts, each behind its name.
func noNUL(texts ...string) error {
	for i := 1; i < len(texts); i += 2 {
		if strings.IndexByte(texts[i], 0) >= 0 {
			return invalid(fmt.Sprintf("argument %s %q holds a NUL byte", texts[i-1], texts[i]))
		}
	}
	return nil
}

// call makes one native call that does not wait, and turns its status into an error.
func (c *Conn) call(do func() (int, string)) error {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return ErrClosed
	}
	status, why := do()
	if status >= 0 {
		return nil
	}
	return c.why(status, why)
}

// errLate says that a native call ran out of time.
var errLate = errors.New("pulsews: late")

// lingering bounds how long a native call goes on that nobody waits for any more.
const lingering = 10 * time.Second

// patiently makes a native call that waits, in a goroutine of its own, and returns ctx.Err() as soon as ctx ends. Close
// ends such calls.
func (c *Conn) patiently(ctx context.Context, call func(wait time.Duration) error) error {
	if ctx.Done() == nil {
		return call(-1)
	}
	result := make(chan error, 1)
	go func() {
		for {
			wait := lingering
			if deadline, ok := ctx.Deadline(); ok {
				wait = max(time.Until(deadline), 0)
			}
			if err := call(wait); err != errLate || ctx.Err() != nil {
				result <- err
				return
			}
		}
	}()
	select {
	case err := <-result:
		if err == errLate {
			return ctx.Err()
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	firstPause   = 100 * time.Microsecond
	longestPause = 10 * time.Millisecond
)

// poll calls try until it is done, or ctx ends. It is for what the wake descriptor does not announce: try is called
// again when that becomes readable, and after pauses that grow.
func (c *Conn) poll(ctx context.Context, try func() (done bool, err error)) error {
	for pause := firstPause; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		generation := c.waker.generation()
		done, err := try()
		if done {
			return err
		}
		short, cancel := context.WithTimeout(ctx, pause)
		err = c.waker.wait(short, generation)
		cancel()
		if err == context.DeadlineExceeded {
			pause = min(2*pause, longestPause)
		} else if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

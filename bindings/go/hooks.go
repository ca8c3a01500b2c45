// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
)

// WithLoginFunc logs in on every connect with what login returns: messages to send before everything else, such as one
// that was signed this moment (WithLogin is for those that are always the same). Its context ends with the attempt, and
// after Close. When it returns an error, or panics, nothing is sent, and the attempt fails after the option
// login_timeout. It runs in a goroutine of its own, whether or not somebody receives, and may be called for a new
// attempt before it has returned for an old one. It turns the option hold_login on. Without WithEvents the events that
// this brings are not delivered, and their sequence numbers left out.
func WithLoginFunc(login func(ctx context.Context) ([]Message, error)) Option {
	return func(s *settings) { s.login = login }
}

// WithHeaderFunc sets headers of the handshake anew before every attempt, such as a token that expires; each in place
// of any of its name. When it fails in Dial without WithWait, Dial returns its error; otherwise the attempt fails after
// the option login_timeout. Otherwise it is as WithLoginFunc. It turns the option hold_connect on.
func WithHeaderFunc(headers func(ctx context.Context) (http.Header, error)) Option {
	return func(s *settings) { s.header = headers }
}

// WithURLFunc sets the URL of the preferred endpoint anew before every attempt, for services with a key in it.
// Otherwise it is as WithHeaderFunc.
func WithURLFunc(url func(ctx context.Context) (string, error)) Option {
	return func(s *settings) { s.url = url }
}

// Where a hold stands, as events tell it.
const (
	holdConnect = "connect"
	holdLogin   = "login"
)

// hooks are the functions of the application that an attempt waits for, and what came of them.
type hooks struct {
	login   func(context.Context) ([]Message, error)
	header  func(context.Context) (http.Header, error)
	url     func(context.Context) (string, error)
	deliver bool // the application asked for events, too

	mu      sync.Mutex
	cancel  context.CancelFunc // of the hold that is being served
	last    error              // why the latest function failed; nil if it did not
	failed  func(at string, err error)
	stopped bool
}

// hooks completes the settings for the functions of the application; nil if there are none.
func (s *settings) hooks() *hooks {
	if s.login == nil && s.header == nil && s.url == nil {
		return nil
	}
	h := &hooks{login: s.login, header: s.header, url: s.url}
	for _, name := range []string{"events", "hold_login", "hold_connect"} {
		h.deliver = h.deliver || isTrue(s.last(name))
	}
	if h.login != nil {
		s.add("hold_login", "true")
	}
	if h.header != nil || h.url != nil {
		s.add("hold_connect", "true")
	}
	return h
}

// isTrue reads a boolean as the library does.
func isTrue(text string) bool {
	switch strings.ToLower(text) {
	case "true", "1", "yes", "on":
		return true
	}
	return false
}

// tell sets who is told about functions that fail, and returns who was told before.
func (h *hooks) tell(failed func(at string, err error)) (before func(at string, err error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, h.failed = h.failed, failed
	return before
}

func (h *hooks) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// interrupt ends the context of the function that runs, if one does: its attempt is over.
func (h *hooks) interrupt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cancel != nil {
		h.cancel()
		h.cancel = nil
	}
}

// end lets no other function begin.
func (h *hooks) end() {
	h.interrupt()
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
}

// What may lie in Go memory, looked through for holds, before watch leaves it to the application to receive.
const (
	aheadMessages = 16384
	aheadBytes    = 8 << 20
)

// watch fetches what arrives, so that holds are seen whether or not the application receives at the moment.
func (c *Conn) watch() {
	for {
		generation := c.waker.generation()
		count := 0
		c.receiving.Lock()
		if c.mayLookAhead() {
			count, _ = c.fetch(prefetchMessages)
		}
		c.receiving.Unlock()
		if count > 0 {
			continue
		}
		c.waker.wait(context.Background(), generation)
		select {
		case <-c.waker.closed:
			return
		default:
		}
	}
}

// mayLookAhead is called with receiving held.
func (c *Conn) mayLookAhead() bool {
	if len(c.ready)-c.position >= aheadMessages {
		return false
	}
	bytes := 0
	for _, message := range c.ready[c.position:] {
		bytes += len(message.Data)
	}
	return bytes < aheadBytes
}

// absorb turns all of pending into ready, serves the holds among it, and takes out events that nobody asked for. It is
// called with receiving held.
func (c *Conn) absorb() {
	if c.position > len(c.ready)/2 {
		rest := copy(c.ready, c.ready[c.position:])
		clear(c.ready[rest:])
		c.ready, c.position = c.ready[:rest], 0
	}
	for len(c.pending) > 0 {
		converted := make([]Message, len(c.pending))
		converted = converted[:convert(converted, c.pending, prefetchBlock)]
		c.pending = c.pending[len(converted):]
		for _, message := range converted {
			if message.Kind == EventMessage {
				switch event, _ := message.Event(); event.Type {
				case "hold":
					c.hooks.serve(c, event.At)
				case "state":
					c.hooks.interrupt()
				}
				if !c.hooks.deliver {
					continue
				}
			}
			c.ready = append(c.ready, message)
		}
	}
	if c.position == len(c.ready) {
		c.drop()
	}
}

// serve begins to do what a hold waits for. What was done for an earlier one is out of date.
func (h *hooks) serve(c *Conn, at string) {
	var do func(context.Context, *Conn) error
	switch {
	case at == holdLogin && h.login != nil:
		do = h.logIn
	case at == holdConnect && (h.header != nil || h.url != nil):
		do = h.prepare
	default:
		return // a hold that the application releases
	}
	h.interrupt()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() {
		defer cancel()
		err := do(ctx, c)
		if err != nil && (ctx.Err() != nil || errors.Is(err, ErrClosed)) {
			return // the attempt is over, and this not the reason
		}
		h.mu.Lock()
		h.last = err
		failed := h.failed
		h.mu.Unlock()
		if err == nil {
			return
		}
		c.report(slog.LevelWarn, err.Error())
		if failed != nil {
			failed(at, err)
		}
	}()
}

func (h *hooks) logIn(ctx context.Context, c *Conn) error {
	messages, err := guarded("WithLoginFunc", func() ([]Message, error) { return h.login(ctx) })
	if err != nil || ctx.Err() != nil {
		return err
	}
	for _, message := range messages {
		if message.Kind == 0 {
			message.Kind = Text
		}
		if _, err := c.SendWith(ctx, message.Kind, message.Data, First()); err != nil {
			return fmt.Errorf("pulsews: a login message can't be sent: %w", err)
		}
	}
	return c.Release()
}

func (h *hooks) prepare(ctx context.Context, c *Conn) error {
	if h.header != nil {
		header, err := guarded("WithHeaderFunc", func() (http.Header, error) { return h.header(ctx) })
		if err != nil || ctx.Err() != nil {
			return err
		}
		for name, values := range header {
			if err := c.SetHeader(name, strings.Join(values, ", ")); err != nil {
				return err
			}
		}
	}
	if h.url != nil {
		url, err := guarded("WithURLFunc", func() (string, error) { return h.url(ctx) })
		if err != nil || ctx.Err() != nil {
			return err
		}
		if err := c.SetURL(url); err != nil {
			return err
		}
	}
	return c.Release()
}

// guarded calls a function of the application; a panic becomes an error.
func guarded[T any](name string, call func() (T, error)) (result T, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Function: name, Value: value, Stack: debug.Stack()}
		}
	}()
	result, err = call()
	if err != nil {
		err = fmt.Errorf("pulsews: the function of %s failed: %w", name, err)
	}
	return result, err
}

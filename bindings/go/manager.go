// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Handlers are what a Manager calls. Each may be nil. They are called one at a time, in the order in which things
// happened; one that takes long makes what follows wait, and in the end the peer. They may call every method of the
// Manager. A panic is survived, and reported to OnError.
type Handlers struct {
	OnMessage     func(Message) // each text and binary message
	OnConnect     func(Event)   // the connection is ready: open, logged in, subscribed; on every connect
	OnDisconnect  func(Event)   // after OnConnect: the connection is lost, or closed by Disconnect or Close
	OnError       func(error)   // a failed attempt, a lost connection, the end of trying, a panic ...
	OnStateChange func(Event)   // each event "state"
	OnEvent       func(Event)   // each event, those above included
}

// A Manager keeps one connection alive and calls Handlers for what happens. Unlike with Dial and Conn, nobody needs to
// receive, and it goes on trying when the first attempt fails. Messages may be sent, and subscriptions made, before it
// connects. All methods may be called from any goroutine at any time, also from the handlers. Close it when it is no
// longer needed.
type Manager struct {
	conn     *Conn
	handlers Handlers
	panics   atomic.Int64

	calling sync.Mutex // held while a handler runs

	mu      sync.Mutex
	begun   bool
	closed  bool
	starts  int // how often Connect and Reconnect began anew
	session *session
	ended   *session // the last one
}

// A session lasts from Connect or Reconnect until Disconnect, Close, or the end of trying. One goroutine receives for
// it.
type session struct {
	done chan struct{}
	err  error // why trying ended, once done is closed; nil after Disconnect and Close

	rest  []Message // fetched, and not yet handed on
	up    bool      // OnConnect was called, and OnDisconnect not yet
	told  bool      // OnError was called for the end of trying
	last  bool      // closed, all is there: what comes now is the rest
	begin int       // Manager.starts when it received last
}

// NewManager makes a Manager, which does not connect yet. The errors are those of Dial for bad arguments: ErrURL,
// ErrOption, ErrValue ..., and *LibraryError. Events are always on.
func NewManager(url string, handlers Handlers, options ...Option) (*Manager, error) {
	options = append(options[:len(options):len(options)], WithEvents(true))
	conn, err := newConn(url, options)
	if err != nil {
		return nil, err
	}
	m := &Manager{conn: conn, handlers: handlers}
	if conn.hooks != nil {
		conn.hooks.tell(func(_ string, err error) { m.fail(err) })
	}
	return m, nil
}

// Conn is the connection below, for all that the Manager has no method for: SendWith, SendBatch, Flush, Statistics ...
// But do not receive from it.
func (m *Manager) Conn() *Conn { return m.conn }

// Connect connects, and waits until the connection is ready. It waits across failed attempts, and returns why when
// trying has ended. When ctx ends it returns ctx.Err(), and trying goes on. Calling it again does no harm; after
// Disconnect and after the end of trying it begins anew.
func (m *Manager) Connect(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.start(false); err != nil {
		return err
	}
	return m.conn.WaitReady(ctx)
}

// Reconnect connects anew at once, from any state, and waits as Connect does. The open connection, if any, is left.
func (m *Manager) Reconnect(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.start(true); err != nil {
		return err
	}
	return m.conn.WaitReady(ctx)
}

func (m *Manager) start(anew bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if anew || !m.begun || m.conn.isOver() {
		err := m.conn.begin(func() int {
			if !m.begun {
				if status := m.conn.native.start(); status != codeClosed { // there may have been a Disconnect
					return status
				}
			}
			return m.conn.native.reconnect()
		})
		if err != nil {
			return err
		}
		m.begun = true
		m.starts++
	}
	if m.session == nil {
		m.session = &session{done: make(chan struct{})}
		go m.receive(m.session)
	}
	return nil
}

// isOver says whether a connection that was started is closed, or closing, or was given up.
func (c *Conn) isOver() bool {
	return c.call(func() (int, string) {
		if status, why := c.native.waitReady(); status != codeTimeout {
			return status, why
		}
		return 0, ""
	}) != nil
}

// Send sends a string or json.RawMessage as text, a []byte as binary, a Message as what it is, and any other value as
// text with its JSON. Errors are those of Conn.Send, or of json.Marshal.
func (m *Manager) Send(ctx context.Context, value any, options ...SendOption) error {
	kind, data := Text, []byte(nil)
	switch v := value.(type) {
	case string:
		data = []byte(v)
	case []byte:
		kind, data = Binary, v
	case json.RawMessage:
		data = v
	case Message:
		kind, data = v.Kind, v.Data
	default:
		var err error
		if data, err = json.Marshal(value); err != nil {
			return err
		}
	}
	if len(options) == 0 {
		return m.conn.Send(ctx, kind, data)
	}
	_, err := m.conn.SendWith(ctx, kind, data, options...)
	return err
}

// Subscribe is Conn.Subscribe.
func (m *Manager) Subscribe(key string) error { return m.conn.Subscribe(key) }

// SubscribeWith is Conn.SubscribeWith.
func (m *Manager) SubscribeWith(key, subscribe, unsubscribe string) error {
	return m.conn.SubscribeWith(key, subscribe, unsubscribe)
}

// Unsubscribe is Conn.Unsubscribe.
func (m *Manager) Unsubscribe(key string) error { return m.conn.Unsubscribe(key) }

// Disconnect is Conn.Disconnect: Connect and Reconnect bring the connection back. Handlers may still be called for what
// had arrived; Wait returns when they are through.
func (m *Manager) Disconnect(ctx context.Context) error { return m.conn.Disconnect(ctx) }

// Wait waits until the connection has ended for good and the handlers are through with it: it returns nil after
// Disconnect and Close, why trying ended otherwise, and ctx.Err() when ctx ends. Before Connect it returns nil. Not for
// handlers.
func (m *Manager) Wait(ctx context.Context) error {
	m.mu.Lock()
	s := m.session
	if s == nil {
		s = m.ended
	}
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the connection with code 1000, for ever, and releases all that belongs to it. It waits for the peer's
// answer, at most for the option close_timeout, but not for a handler that is running; none is called for what had
// arrived and was not yet handed on.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	return m.conn.Close()
}

// State says how far the connection is.
func (m *Manager) State() State { return m.conn.State() }

// IsConnected says whether the connection is ready.
func (m *Manager) IsConnected() bool { return m.conn.Ready() }

// A ManagerStatus is the status of the connection, and what concerns the handlers.
type ManagerStatus struct {
	Status
	HandlerPanics int64 // panics in handlers, all survived
}

// Status reads the state and the statistics; after Close those at its end.
func (m *Manager) Status() (ManagerStatus, error) {
	status, err := m.conn.Status()
	return ManagerStatus{status, m.panics.Load()}, err
}

// ---- The goroutine of a session

const managerBatch = 256

func (m *Manager) receive(s *session) {
	finished := false
	defer func() {
		if !finished { // a handler has ended the goroutine (runtime.Goexit)
			go m.receive(s)
		}
	}()
	for {
		for len(s.rest) > 0 {
			message := s.rest[0]
			s.rest = s.rest[1:]
			m.hand(s, message)
		}
		m.mu.Lock()
		before := s.begin
		s.begin = m.starts
		m.mu.Unlock()
		batch, err := m.conn.RecvBatch(context.Background(), managerBatch)
		if err == nil {
			s.rest, s.last = batch, false
			continue
		}
		if errors.Is(err, ErrClosed) && !s.last {
			m.conn.awaitClosed() // the events of the end are still to come
			s.last = true
			continue
		}
		s.last = false
		if before != s.begin && !errors.Is(err, ErrClosed) {
			// Connect or Reconnect came in between, perhaps after this end: then there is more to receive.
			continue
		}
		m.finish(s, err)
		m.mu.Lock()
		if m.starts == s.begin || m.closed {
			m.session, m.ended = nil, s
			finished = true
		} else { // begun anew meanwhile, perhaps by a handler
			m.session = &session{done: make(chan struct{})}
		}
		next := m.session
		if !errors.Is(err, ErrClosed) {
			s.err = err
		}
		close(s.done)
		m.mu.Unlock()
		if s = next; s == nil {
			return
		}
	}
}

// awaitClosed waits while a close is on its way.
func (c *Conn) awaitClosed() {
	c.poll(context.Background(), func() (bool, error) { return c.State() == Disconnected || !c.isClosed(), nil })
}

// hand calls the handlers for one message or event.
func (m *Manager) hand(s *session, message Message) {
	h := &m.handlers
	if message.Kind != EventMessage {
		if h.OnMessage != nil {
			m.guard("OnMessage", func() { h.OnMessage(message) })
		}
		return
	}
	event, err := message.Event()
	if err != nil {
		m.fail(err)
		return
	}
	if h.OnEvent != nil {
		m.guard("OnEvent", func() { h.OnEvent(event) })
	}
	switch event.Type {
	case "ready":
		if !s.up {
			s.up = true
			if h.OnConnect != nil {
				m.guard("OnConnect", func() { h.OnConnect(event) })
			}
		}
	case "state":
		s.told = false
		if h.OnStateChange != nil {
			m.guard("OnStateChange", func() { h.OnStateChange(event) })
		}
		if event.State != Connected.String() {
			m.down(s, event)
		}
		switch {
		case event.State == Failed.String():
			s.told = true
			m.fail(m.conn.lastError(event.Err))
		case event.State == Reconnecting.String() && event.Trigger == "retry" && event.Err != nil:
			m.fail(event.Err)
		}
	}
}

func (m *Manager) down(s *session, event Event) {
	if !s.up {
		return
	}
	s.up = false
	if m.handlers.OnDisconnect != nil {
		m.guard("OnDisconnect", func() { m.handlers.OnDisconnect(event) })
	}
}

// finish tells what no event has told: whatever got lost, no end is silent.
func (m *Manager) finish(s *session, err error) {
	closed := errors.Is(err, ErrClosed)
	if s.up {
		event := Event{Type: "state", State: Failed.String(), Previous: Connected.String(), Cause: err.Error(), Err: err}
		if closed {
			event.State, event.Trigger = Disconnected.String(), "disconnect"
		}
		m.down(s, event)
	}
	if !closed && !s.told {
		m.fail(err)
	}
}

// lastError is why the connection ended, which says more than the error of an event; that is the answer if another one
// has taken its place.
func (c *Conn) lastError(of error) error {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if !c.freed {
		if status, why := c.native.lastError(); status != 0 {
			if err := c.why(status, why); of == nil || errors.Is(err, of) {
				return err
			}
		}
	}
	if of == nil {
		return ErrNotConnected
	}
	return of
}

// guard calls a handler. A panic in it is survived and reported.
func (m *Manager) guard(name string, call func()) {
	if err := m.survive(name, call); err != nil {
		m.fail(err)
	}
}

func (m *Manager) survive(name string, call func()) (err error) {
	m.calling.Lock()
	defer m.calling.Unlock()
	defer func() {
		if value := recover(); value != nil {
			m.panics.Add(1)
			failure := &PanicError{Function: name, Value: value, Stack: debug.Stack()}
			about := []slog.Attr{slog.String("function", name), slog.String("stack", string(failure.Stack))}
			if !m.conn.report(slog.LevelError, failure.Error(), about...) && m.handlers.OnError == nil {
				slog.LogAttrs(context.Background(), slog.LevelError, failure.Error(), about...) // it must not pass unseen
			}
			err = failure
		}
	}()
	call()
	return nil
}

// fail reports to OnError. What that panics with is not reported to itself.
func (m *Manager) fail(err error) {
	if m.handlers.OnError != nil {
		m.survive("OnError", func() { m.handlers.OnError(err) })
	}
}

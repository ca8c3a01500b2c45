// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is one WebSocket connection that is made again whenever it is lost (option WithReconnect), so that receiving
// just goes on. All methods may be called from any goroutine at any time. Close it when it is no longer needed: one
// that is merely forgotten is ended by the garbage collector, late and without a close frame, unless it has a function
// of WithLoginFunc, WithHeaderFunc or WithURLFunc, which is needed as long as it lives.
type Conn struct {
	name   string // option name; empty if none
	waits  bool   // WithWait
	waker  *waker
	blocks bool   // Send waits for room in a full outbox
	hooks  *hooks // the functions of the application that holds wait for; nil without

	// alive guards the native client: calls hold it for reading, the free for writing. Native calls never wait, so it
	// is never held for long.
	alive  sync.RWMutex
	native native
	freed  bool
	last   snapshot // what is told after the free

	freeing sync.Once
	patient atomic.Int32 // native calls that wait, and hold alive meanwhile

	turning sync.Mutex // held while a connect or a Disconnect begins
	turns   int        // how often it began to connect

	// receiving guards what was fetched and not yet handed out: first ready, then pending.
	receiving sync.Mutex
	ready     []Message // in Go memory; the next one is ready[position]
	position  int
	buffer    []Message // the room for ready
	pending   []pendingMessage
	events    []Message // those that were handed out, for Events
	handed    uint64    // the sequence of the last message that was handed out
	taken     uint64    // the same, when the application asked for more
}

type snapshot struct {
	state       State
	subprotocol string
	headers     []byte
	status      []byte
	statistics  []float64
}

// A State says how far a connection is.
type State int

const (
	Disconnected State = 0 // not started, or closed by this side
	Connecting   State = 1 // the first attempt
	Connected    State = 2
	Reconnecting State = 3 // waiting for, or making, a later attempt
	Failed       State = 4 // stopped trying; Recv says why, Reconnect tries anew
)

func (s State) String() string {
	switch s {
	case Disconnected:
		return "disconnected"
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Reconnecting:
		return "reconnecting"
	case Failed:
		return "error"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Dial connects to a ws:// or wss:// URL and returns when the connection is open. It makes one attempt (one for each of
// WithEndpoints): when that fails, nothing is left behind. With WithWait it goes on trying, as a Manager does. When ctx
// ends first, trying is given up and the error is ctx.Err(). Otherwise the error is a *LibraryError, a *HandshakeError
// if the server refused, or an *Error: ErrURL, ErrOption, ErrValue, ErrResolve, ErrRefused, ErrOpenTimeout,
// ErrCertificate ...
func Dial(ctx context.Context, url string, options ...Option) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := newConn(url, options)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx); err != nil {
		if !c.waits && ctx.Err() == nil {
			// The library's own line announced another attempt.
			c.report(slog.LevelWarn, "Dial gives up after its first attempt; WithWait makes it go on")
		}
		c.free()
		return nil, err
	}
	return c, nil
}

// newConn makes a connection that has not begun to connect.
func newConn(url string, options []Option) (*Conn, error) {
	if err := load(); err != nil {
		return nil, err
	}
	var s settings
	for _, option := range options {
		if option != nil {
			option(&s)
		}
	}
	hooks := s.hooks()
	if s.err != nil {
		return nil, s.err
	}
	if strings.IndexByte(url, 0) >= 0 {
		return nil, failure(codeURL, fmt.Sprintf("the URL %q holds a NUL byte", url))
	}
	n, descriptor, err := createNative(url, s.list)
	if err != nil {
		return nil, err
	}
	c := &Conn{name: s.last("name"), waits: s.wait, native: n, waker: newWaker(descriptor), hooks: hooks,
		blocks: s.last("message_queue_policy") == string(Block)}
	// The finalizer can't run while a method runs, since that holds c.
	runtime.SetFinalizer(c, func(c *Conn) { go c.free() })
	if hooks != nil {
		if hooks.deliver {
			c.native.acknowledge(0) // watch reads ahead of the application
		}
		go c.watch()
	}
	return c, nil
}

// open starts, and waits for the end of the first attempt of each endpoint; with WithWait for a connection, or the end
// of trying.
func (c *Conn) open(ctx context.Context) error {
	attempt := ctx
	if c.hooks != nil && !c.waits {
		var fail context.CancelCauseFunc
		attempt, fail = context.WithCancelCause(ctx)
		defer fail(nil)
		defer c.hooks.tell(c.hooks.tell(func(at string, err error) {
			if at == holdConnect {
				fail(err)
			}
		}))
	}
	for {
		generation := c.waker.generation()
		status, why := c.native.open()
		switch {
		case status == 0 || c.wasOpen():
			return nil
		case status != codeTimeout && (!c.waits || State(c.native.state()) == Failed):
			return c.why(status, why)
		}
		if err := c.waker.wait(attempt, generation); err != nil {
			if ctx.Err() == nil && attempt.Err() != nil {
				return context.Cause(attempt)
			}
			return err
		}
	}
}

// wasOpen says whether the connection was open, and was lost before open looked: what had arrived can then be received,
// and with option reconnect it comes back.
func (c *Conn) wasOpen() bool { return c.statistic("connections") > 0 }

// Send sends one message. nil means that it is accepted: written, next in line to be, or, while there is no connection,
// in the outbox. Data may be used again as soon as Send returns. What a full outbox does says WithMessageQueuePolicy:
// by default the oldest message is dropped; with Block Send waits for room until ctx ends, and the message is then not
// sent; with Reject it returns ErrQueueFull. Pings and pongs are for the open connection only. Errors: ErrUTF8 for text
// that is not UTF-8, ErrInvalid for a wrong kind or a ping over 125 bytes, ErrClosed after Close and Disconnect,
// ErrNotConnected when trying to connect has ended.
func (c *Conn) Send(ctx context.Context, kind Kind, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		generation := c.waker.generation()
		c.alive.RLock()
		if c.freed {
			c.alive.RUnlock()
			return ErrClosed
		}
		status := c.native.send(kind, data)
		var err error
		if status != 0 && !c.waitsFor(status, kind) {
			err = c.why(status, "")
		}
		c.alive.RUnlock()
		if status == 0 || err != nil {
			return err
		}
		if err := c.waker.wait(ctx, generation); err != nil {
			return err
		}
	}
}

// waitsFor says whether a send that came back with status waits for room.
func (c *Conn) waitsFor(status int, kind Kind) bool {
	return status == codeTimeout || status == codeQueueFull && c.blocks && kind != Ping && kind != Pong
}

// Close closes the connection with code 1000 and releases all that belongs to it. It waits for the peer's answer, at
// most for the option close_timeout. Whoever waits in another call gets ErrClosed. ErrUnsent says that messages which
// waited for the open connection were not sent by then. Closing again does nothing.
func (c *Conn) Close() error { return c.CloseWith(context.Background(), 1000, "") }

// CloseWith closes the connection with a code (1000 to 1003, 1007 to 1014, or 3000 to 4999; 0 sends no close frame) and
// a reason (UTF-8, at most 123 bytes). When ctx ends before the peer has answered, the connection is cut and the error
// is ctx.Err(). With ErrInvalid and ErrUTF8 nothing was done; in every other case the connection is closed and released
// afterwards.
func (c *Conn) CloseWith(ctx context.Context, code int, reason string) error {
	if strings.IndexByte(reason, 0) >= 0 {
		return invalid(fmt.Sprintf("argument reason %q holds a NUL byte", reason))
	}
	if code != int(int32(code)) {
		return invalid(fmt.Sprintf("argument code is %d; allowed: 0, 1000 to 1003, 1007 to 1014, 3000 to 4999", code))
	}
	for {
		generation := c.waker.generation()
		c.alive.RLock()
		if c.freed {
			c.alive.RUnlock()
			return nil
		}
		status := c.native.close(code, reason)
		var err error
		if status != 0 && status != codeTimeout && status != codeClosed {
			err = c.why(status, "")
		}
		c.alive.RUnlock()
		if status <= codeInvalid && status > codeInvalid-100 { // the call was wrong
			return err
		}
		if status != codeTimeout {
			c.free()
			return err
		}
		if err := c.waker.wait(ctx, generation); err != nil {
			c.abandon()
			return err
		}
	}
}

// abandon cuts the connection and frees without waiting. A native call that waits, of a Disconnect or Flush elsewhere,
// ends with the cut, and comes first.
func (c *Conn) abandon() {
	c.call(func() (int, string) { return c.native.close(0, ""), "" })
	if c.patient.Load() == 0 {
		c.free()
		return
	}
	go func() {
		c.disconnect(0) // nothing more is sent for it
		for c.patient.Load() > 0 {
			time.Sleep(time.Millisecond)
		}
		c.free()
	}()
}

// free ends the native client. Who comes second waits until the first is done.
func (c *Conn) free() {
	c.freeing.Do(func() {
		runtime.SetFinalizer(c, nil)
		c.alive.Lock()
		c.last = snapshot{Disconnected, string(c.native.subprotocol()), c.native.handshakeHeaders(), c.native.status(),
			c.readStatistics()}
		c.freed = true
		c.alive.Unlock()
		c.waker.close()
		if c.hooks != nil {
			c.hooks.end()
		}
		c.native.freeClient()
		c.receiving.Lock()
		c.drop()
		c.buffer, c.pending = nil, nil
		c.native.free()
		c.receiving.Unlock()
	})
}

// State says how far the connection is.
func (c *Conn) State() State {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return c.last.state
	}
	return State(c.native.state())
}

// Subprotocol is the one that the server chose of those offered; empty if none.
func (c *Conn) Subprotocol() string {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return c.last.subprotocol
	}
	return string(c.native.subprotocol())
}

// ResponseHeader gives the headers of the server's answer to the upgrade request.
func (c *Conn) ResponseHeader() http.Header {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return parseHeader(c.last.headers)
	}
	return parseHeader(c.native.handshakeHeaders())
}

func parseHeader(lines []byte) http.Header {
	header := http.Header{}
	for _, line := range strings.Split(string(lines), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			header.Add(name, strings.TrimSpace(value))
		}
	}
	return header
}

func invalid(text string) error {
	return failure(codeInvalid, text)
}

// why makes the error for a status of the native client, which the caller keeps from being freed.
func (c *Conn) why(status int, text string) error {
	switch status {
	case codeClosed:
		return ErrClosed
	case codePeerClosed:
		if text == "" {
			_, text = c.native.lastError()
		}
		return &CloseError{Code: c.native.closeCode(), Reason: string(c.native.closeReason()), Text: text}
	}
	last, sentence := c.native.lastError()
	judged := byCode
	if last == status {
		judged = gives
		if c.native.retryable() {
			judged = retries
		}
	}
	if text == "" {
		switch {
		case last == status:
			text = sentence
		case status == codeNotConnected && last != 0 && State(c.native.state()) == Failed:
			text = "trying to connect has ended: " + sentence
		}
	}
	if status == codeHandshake {
		if text == "" {
			text = nativeErrorText(status)
		}
		is := errorOf(status, text)
		is.verdict = judged
		return &HandshakeError{Status: c.native.handshakeStatus(), Header: parseHeader(c.native.handshakeHeaders()),
			Body: c.native.handshakeBody(), Text: text, is: is}
	}
	err := errorOf(status, text)
	err.verdict = judged
	if status == codeLogin || status == codeSubscribe {
		err.ServerMessage = string(c.native.serverMessage())
	}
	if c.hooks != nil && status == codeLogin {
		if err.cause = c.hooks.failure(); err.cause != nil {
			err.Text += ": " + strings.TrimPrefix(err.cause.Error(), "pulsews: ")
		}
	}
	return err
}

// ---- The messages fetched ahead; the caller holds receiving

// fetch asks the client for up to max messages, which then lie in pending. 0 means that there are none now.
func (c *Conn) fetch(max int) (int, error) {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return 0, ErrClosed
	}
	count := c.native.receive(max)
	switch {
	case count > 0:
		c.pending = c.native.fetched(count)
		if c.hooks != nil {
			c.absorb()
		}
		return count, nil
	case count == codeTimeout || count == 0:
		return 0, nil
	}
	return 0, c.why(count, "")
}

// refill turns some of pending into ready, which is empty. False if nothing is pending.
func (c *Conn) refill() bool {
	if len(c.pending) == 0 {
		return false
	}
	if c.buffer == nil {
		c.buffer = make([]Message, prefetchMessages)
	}
	count := convert(c.buffer, c.pending, prefetchBlock)
	c.pending = c.pending[count:]
	c.ready, c.position = c.buffer[:count], 0
	return true
}

// asked says that the application asks for more: it has taken what was handed out. Only who reads ahead has to say so.
func (c *Conn) asked() {
	if c.handed == c.taken || c.hooks == nil || !c.hooks.deliver {
		return
	}
	c.alive.RLock()
	defer c.alive.RUnlock()
	if !c.freed {
		c.taken = c.handed
		c.native.acknowledge(c.taken)
	}
}

// drop lets go of what ready holds, so that its memory can be collected.
func (c *Conn) drop() {
	for i := range c.ready {
		c.ready[i] = Message{}
	}
	c.ready, c.position = nil, 0
}

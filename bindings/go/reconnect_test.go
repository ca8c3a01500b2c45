// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestComesBack(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly()...)
	texts := make(chan string)
	go func() { // receiving just goes on
		defer close(texts)
		for {
			msg, err := c.Recv(context.Background())
			if err != nil {
				if !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				return
			}
			texts <- msg.Text() + " " + strconv.FormatUint(msg.Sequence, 10)
		}
	}()
	for round := 1; round <= 3; round++ {
		e.connections(round)
		e.say(fmt.Sprint("round ", round))
		if text := <-texts; text != fmt.Sprint("round ", round, " ", round) {
			t.Errorf("round %d: %q", round, text)
		}
		if err := c.Send(within(t, soon), Text, []byte("thanks")); err != nil {
			t.Fatal(err)
		}
		e.got(fmt.Sprint(round, ":thanks"))
		e.kill()
		e.start()
	}
	e.connections(4)
	if err := c.WaitReady(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	s := balanced(t, c)
	if s["reconnections"] != 3 || s["connections"] != 4 || s["messages_sent"] != 3 || s["messages_received"] != 3 {
		t.Errorf("%v", s)
	}
	if !c.Ready() || c.State() != Connected {
		t.Errorf("%v, %v", c.Ready(), c.State())
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for text := range texts {
		t.Errorf("%q", text)
	}
}

func TestTransitionsAreEvents(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithEvents(true), WithMaxReconnectAttempts(2))...)
	ready := nextEvent(t, c, "ready", nil)
	if ready.Attempt != 1 || ready.Endpoint != e.url() {
		t.Errorf("%+v", ready)
	}
	e.kill()
	lost := nextEvent(t, c, "state", nil)
	if lost.State != "reconnecting" || lost.Previous != "connected" || lost.Trigger != "retry" || lost.Attempt < 1 ||
		lost.NextDelay != 5*time.Millisecond || lost.Cause == "" || lost.Endpoint != e.url() {
		t.Errorf("%+v", lost)
	}
	if !errors.Is(lost.Err, ErrReset) && !errors.Is(lost.Err, ErrEOF) {
		t.Errorf("%v", lost.Err)
	}
	end := nextEvent(t, c, "state", func(event Event) bool { return event.State == "error" })
	if end.Trigger == "" || !errors.Is(end.Err, ErrRefused) ||
		!strings.HasPrefix(end.Cause, "gave up after 2 attempts: ") {
		t.Errorf("%+v", end)
	}
	if _, err := c.Recv(within(t, soon)); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
}

func TestEndOfTryingSurfaces(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithMaxReconnectAttempts(2))...)
	results := make(chan error)
	calls := []func() error{
		func() error { _, err := c.Recv(context.Background()); return err },
		func() error { _, err := c.Recv(context.Background()); return err },
		func() error { _, err := c.RecvBatch(context.Background(), 10); return err },
	}
	for _, call := range calls {
		call := call
		go func() { results <- call() }()
	}
	e.connections(1)
	e.say("last words") // goes to one of them
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	e.kill()
	for range calls[1:] {
		if err := <-results; !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "gave up after 2 attempts") {
			t.Errorf("%v", err)
		}
	}
	ctx := within(t, soon)
	if err := c.WaitReady(ctx); !errors.Is(err, ErrRefused) {
		t.Errorf("WaitReady: %v", err)
	}
	if err := c.Send(ctx, Text, nil); !errors.Is(err, ErrNotConnected) || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("Send: %v", err)
	}
	if _, err := c.SendWith(ctx, Text, nil, Report()); !errors.Is(err, ErrNotConnected) {
		t.Errorf("SendWith: %v", err)
	}
	if n, err := c.SendBatch(ctx, []Message{{Kind: Text}}); n != 0 || !errors.Is(err, ErrNotConnected) {
		t.Errorf("SendBatch: %v, %v", n, err)
	}
	if c.State() != Failed || c.Ready() {
		t.Errorf("state %v", c.State())
	}
	if status, err := c.Status(); err != nil || status.State != "error" || status.Stats.LastError == "" {
		t.Errorf("%+v, %v", status, err)
	}
	e.start()
	if err := c.Reconnect(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	e.connections(2)
	e.say("again")
	if text := recvText(t, c); text != "again" {
		t.Errorf("%q", text)
	}
}

func TestFatalCauseEndsAtOnce(t *testing.T) {
	forbid := func(e *exchange) {
		e.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "banned")
			return true
		}
	}
	for _, retry := range []bool{false, true} {
		e := newExchange(t)
		c := dial(t, e.url(), quickly(WithRetryFatal(retry))...)
		e.with(func() { forbid(e) })
		e.cut(1)
		if !retry {
			_, err := c.Recv(within(t, soon))
			var refusal *HandshakeError
			if !errors.As(err, &refusal) || refusal.Status != 403 || string(refusal.Body) != "banned" {
				t.Errorf("%v", err)
			}
			continue
		}
		e.until("attempts", func() bool { return len(e.requests) >= 4 })
		e.with(func() { e.refuse = nil })
		e.connections(2)
	}
}

func TestRetryAfter(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithEvents(true))...)
	e.with(func() {
		e.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	})
	e.cut(1)
	refused := nextEvent(t, c, "state", func(event Event) bool { return errors.Is(event.Err, ErrHandshake) })
	start := time.Now()
	if refused.NextDelay < time.Second || !strings.Contains(refused.Cause, "503") {
		t.Errorf("%+v", refused)
	}
	e.with(func() { e.refuse = nil })
	nextEvent(t, c, "ready", nil)
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("back after %v", took)
	}
}

func TestDialMakesOneAttempt(t *testing.T) {
	e := newExchange(t, func(e *exchange) {
		e.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	})
	_, err := Dial(within(t, soon), e.url(), quickly()...)
	var refusal *HandshakeError
	if !errors.As(err, &refusal) || refusal.Status != 503 {
		t.Fatalf("%v", err)
	}
	// Nothing goes on.
	e.kill()
	e.with(func() { e.requests, e.refuse = nil, nil })
	e.start()
	c := dial(t, e.url()+"other", WithOpenTimeout(soon))
	_ = c
	e.until("a request", func() bool { return len(e.requests) > 0 })
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.requests {
		if r.URL.Path != "/other" {
			t.Errorf("a request for %v", r.URL)
		}
	}
}

// A server that accepts and drops at once: Dial has had its connection.
func TestDialToAServerThatDrops(t *testing.T) {
	url := startServer(t, func(p *peer) {
		p.write(opText, []byte("hi"))
		p.writeClose(1012, "")
	})
	for i := 0; i < 30; i++ {
		c, err := Dial(within(t, soon), url, quickly()...)
		if err != nil {
			t.Fatal(err)
		}
		if text := recvText(t, c); text != "hi" {
			t.Errorf("%q", text)
		}
		c.CloseWith(context.Background(), 0, "")
	}
}

// What ends the trying is the server's close: its code is told, and that it was given up.
func TestGivenUpAfterCloses(t *testing.T) {
	url := startServer(t, func(p *peer) {
		p.writeClose(4000, "bye")
		p.serve(nil)
	})
	c := dial(t, url, quickly(WithMaxReconnectAttempts(2), WithEvents(true))...)
	lost := nextEvent(t, c, "state", func(event Event) bool { return event.State == "reconnecting" })
	var closed *CloseError
	if !errors.As(lost.Err, &closed) || closed.Code != 4000 {
		t.Errorf("%+v", lost)
	}
	nextEvent(t, c, "state", func(event Event) bool { return event.State == "error" })
	_, err := c.Recv(within(t, soon))
	if !errors.As(err, &closed) || closed.Code != 4000 || closed.Reason != "bye" ||
		!strings.Contains(err.Error(), "gave up after 2 attempts: ") {
		t.Errorf("%v", err)
	}
}

func TestReconnectLeavesTheConnection(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithEvents(true))...)
	nextEvent(t, c, "ready", nil)
	if err := c.Reconnect(); err != nil {
		t.Fatal(err)
	}
	left := nextEvent(t, c, "state", nil)
	if left.State != "reconnecting" || left.Trigger != "reconnect" || left.Previous != "connected" {
		t.Errorf("%+v", left)
	}
	nextEvent(t, c, "ready", nil)
	e.until("a close frame", func() bool { return len(e.closes) == 1 && strings.HasPrefix(e.closes[0], "\x03\xe8") })
	if s := c.Statistics(); s["reconnects_manual"] != 1 || s["connections"] != 2 {
		t.Errorf("%v", s)
	}
}

// Reconnect skips the delay before the next attempt.
func TestReconnectSkipsTheDelay(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), WithReconnectBaseDelay(time.Hour), WithReconnectMaxDelay(time.Hour), WithEvents(true))
	e.cut(1)
	nextEvent(t, c, "state", func(event Event) bool { return event.NextDelay > 0 })
	if err := c.Reconnect(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitReady(within(t, soon)); err != nil {
		t.Fatal(err)
	}
}

func TestDisconnectAndReconnect(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly()...)
	ctx := within(t, soon)
	for round := 1; round <= 3; round++ {
		if err := c.Send(ctx, Text, []byte("before")); err != nil {
			t.Fatal(err)
		}
		if err := c.Disconnect(ctx); err != nil {
			t.Fatal(err)
		}
		e.got(fmt.Sprint(round, ":before")) // what was accepted is sent
		e.until("a close frame", func() bool { return len(e.closes) == round })
		if c.State() != Disconnected || c.Ready() {
			t.Errorf("state %v", c.State())
		}
		if err := c.Send(ctx, Text, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Send: %v", err)
		}
		if _, err := c.Recv(ctx); !errors.Is(err, ErrClosed) {
			t.Errorf("Recv: %v", err)
		}
		if err := c.WaitReady(ctx); !errors.Is(err, ErrClosed) {
			t.Errorf("WaitReady: %v", err)
		}
		if err := c.Disconnect(ctx); err != nil {
			t.Errorf("Disconnect again: %v", err)
		}
		if err := c.Reconnect(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	balanced(t, c)
}

func TestDisconnectEndsWithItsContext(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithCloseTimeout(300*time.Millisecond))...)
	for _, cancelled := range []bool{false, true} {
		if err := c.WaitReady(within(t, soon)); err != nil {
			t.Fatal(err)
		}
		e.with(func() { e.mute = true })
		ctx, cancel := context.WithCancel(context.Background())
		expected := context.Canceled
		if cancelled {
			go func() {
				e.until("a close frame", func() bool { return len(e.closes) == 2 })
				cancel()
			}()
		} else {
			cancel()
			ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
			expected = context.DeadlineExceeded
		}
		if err := c.Disconnect(ctx); err != expected {
			t.Errorf("%v, expected %v", err, expected)
		}
		cancel()
		if err := c.Send(within(t, soon), Text, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Send: %v", err)
		}
		if err := c.Disconnect(within(t, soon)); err != nil { // the close went on
			t.Error(err)
		}
		if c.State() != Disconnected {
			t.Errorf("state %v", c.State())
		}
		e.with(func() { e.mute = false })
		if err := c.Reconnect(); err != nil {
			t.Fatal(err)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Disconnect(ended); err != nil && err != context.Canceled {
		t.Errorf("%v", err)
	}
	if err := c.Disconnect(context.Background()); err != nil {
		t.Errorf("%v", err)
	}
}

func TestMutePeerIsLeft(t *testing.T) {
	e := newExchange(t, func(e *exchange) { e.mute = true })
	c := dial(t, e.url(), quickly(WithEvents(true), WithHeartbeat(20*time.Millisecond),
		WithHeartbeatTimeout(100*time.Millisecond))...)
	dead := nextEvent(t, c, "state", func(event Event) bool { return event.State == "reconnecting" })
	if !errors.Is(dead.Err, ErrDead) {
		t.Errorf("%+v", dead)
	}
	e.with(func() { e.mute = false })
	e.connections(2)
	if s := c.Statistics(); s["reconnects_dead"] < 1 {
		t.Errorf("%v", s)
	}
}

// The socket answers pings and sends no data: only staleness sees that.
func TestStaleFeed(t *testing.T) {
	e := newExchange(t, func(e *exchange) { e.onOpen = func(p *peer) { p.write(opText, []byte("tick")) } })
	c := dial(t, e.url(), quickly(WithEvents(true), WithHeartbeat(20*time.Millisecond),
		WithStaleTimeout(100*time.Millisecond))...)
	stale := nextEvent(t, c, "stale", nil)
	if action, _ := stale.Fields["action"].(string); action != "event" {
		t.Errorf("%+v", stale)
	}
	e.say("tick")
	nextEvent(t, c, "fresh", nil)
	c.Close()

	c = dial(t, e.url(), quickly(WithEvents(true), WithHeartbeat(20*time.Millisecond),
		WithStaleTimeout(100*time.Millisecond), WithStaleAction(StaleReconnect))...)
	left := nextEvent(t, c, "state", func(event Event) bool { return event.State == "reconnecting" })
	if !errors.Is(left.Err, ErrStale) {
		t.Errorf("%+v", left)
	}
	if s := c.Statistics(); s["reconnects_stale"] < 1 || s["stale_episodes"] < 1 {
		t.Errorf("%v", s)
	}
}

func TestEndpoints(t *testing.T) {
	first, second := newExchange(t), newExchange(t)
	c := dial(t, first.url(), quickly(WithEndpoints(second.url()), WithEndpointReturn(100*time.Millisecond),
		WithStableTime(0), WithEvents(true))...)
	first.kill()
	second.connections(1)
	if err := c.WaitReady(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	status, err := c.Status()
	if err != nil || status.Endpoint != second.url() || !status.Ready {
		t.Errorf("%+v, %v", status, err)
	}
	first.start()
	event := nextEvent(t, c, "endpoint", nil) // back to the preferred one
	if event.Endpoint != first.url() {
		t.Errorf("%+v", event)
	}
	if err := c.WaitReady(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(within(t, soon), Text, []byte("home")); err != nil {
		t.Fatal(err)
	}
	first.until("the text", func() bool { return len(first.texts) == 1 && strings.HasSuffix(first.texts[0], ":home") })
}

func TestSetHeaderAndURL(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithHeader("X-Token", "one"), WithHeader("X-Other", "1"))...)
	ctx := within(t, soon)
	request := func(number int) *http.Request {
		e.until("a request", func() bool { return len(e.requests) >= number })
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.requests[number-1]
	}
	if r := request(1); r.Header.Get("X-Token") != "one" {
		t.Errorf("%v", r.Header)
	}
	for _, problem := range []error{c.SetHeader("X-Token", "a\r\nb"), c.SetHeader("Sec-WebSocket-Key", "a"),
		c.SetHeader("", "a"), c.SetHeader("X-Token", "a\x00"), c.SetURL("http://127.0.0.1/"),
		c.SetURL("wss://127.0.0.1/"), c.SetURL("ws://\x00/"), c.RemoveHeader("a\x00")} {
		var e *Error
		if !errors.As(problem, &e) || len(e.Text) < 10 {
			t.Errorf("%v", problem)
		}
	}
	if err := c.SetHeader("x-token", "two"); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveHeader("X-Other"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetURL(e.url() + "key?listen=abc"); err != nil {
		t.Fatal(err)
	}
	if err := c.Reconnect(); err != nil {
		t.Fatal(err)
	}
	r := request(2)
	if fmt.Sprint(r.Header["X-Token"]) != "[two]" || r.Header.Get("X-Other") != "" || r.URL.Path != "/key" ||
		r.URL.Query().Get("listen") != "abc" {
		t.Errorf("%v %v", r.URL, r.Header)
	}
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if status, err := c.Status(); err != nil || strings.Contains(status.Endpoint, "abc") {
		t.Errorf("%+v, %v", status, err)
	}
}

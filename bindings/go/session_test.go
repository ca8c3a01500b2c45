// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoginSubscriptionsBacklogInOrder(t *testing.T) {
	e := newExchange(t, func(e *exchange) {
		e.onText = func(_ *peer, connection int, text string) []string {
			switch {
			case text == "auth" && connection == 2:
				return []string{`{"event":"error"}`} // once
			case text == "auth":
				return []string{`{"event":"login"}`}
			case strings.HasPrefix(text, "sub"), text == "my own way", text == "one text":
				return []string{`{"result":null}`}
			}
			return nil
		}
	})
	c := dial(t, e.url(), quickly(WithLogin("hello", "auth"), WithLoginConfirm(`{"event":"login"}`),
		WithLoginReject(`{"event":"error"}`), WithSubscribeMessage(`sub[${keys}]`), WithUnsubscribeMessage(`unsub[${keys}]`),
		WithSubscribeBatch(2), WithSubscribeConfirm(`{"result":null}`), WithEvents(true))...)
	ctx := within(t, soon)
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c", "gone"} {
		if err := c.Subscribe(key); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SubscribeWith("own", "my own way", "my own end"); err != nil {
		t.Fatal(err)
	}
	if err := c.SubscribeWith("only", "one text", ""); err != nil {
		t.Fatal(err)
	}
	e.until("the subscriptions", func() bool { return len(e.texts) >= 2+2+2 })
	if err := c.Unsubscribe("gone"); err != nil {
		t.Fatal(err)
	}
	if err := c.Unsubscribe("only"); err != nil {
		t.Fatal(err)
	}
	if err := c.Unsubscribe("never there"); err != nil {
		t.Fatal(err)
	}
	e.until("the end of one", func() bool { return strings.Contains(strings.Join(e.texts, " "), `1:unsub["gone"]`) })
	e.kill()
	eventually(t, "the loss is noticed", func() bool { return c.State() != Connected })
	if err := c.Send(ctx, Text, []byte("backlog")); err != nil {
		t.Fatal(err)
	}
	e.start()
	// The second connection rejects the login; the third gets all of it, in order.
	e.got("2:hello", "2:auth", "3:hello", "3:auth", `3:sub["a","b"]`, `3:sub["c"]`, "3:my own way", "3:backlog")
	rejected := nextEvent(t, c, "state", func(event Event) bool { return errors.Is(event.Err, ErrLogin) })
	if rejected.State != "reconnecting" {
		t.Errorf("%+v", rejected)
	}
	ready := nextEvent(t, c, "ready", nil)
	if subscriptions := integer(ready.Fields["subscriptions"]); subscriptions != 4 {
		t.Errorf("%+v", ready)
	}
	s := balanced(t, c)
	if s["logins_rejected"] != 1 || s["messages_sent"] != 1 || s["subscriptions"] != 4 || s["session_messages_sent"] < 10 {
		t.Errorf("%v", s)
	}
	if status, err := c.Status(); err != nil || status.Subscriptions != 4 || !status.Ready {
		t.Errorf("%+v, %v", status, err)
	}
}

// A rejected login that ends the trying says what the server said.
func TestRejectedLoginStops(t *testing.T) {
	e := newExchange(t, func(e *exchange) {
		e.onText = func(*peer, int, string) []string { return []string{`{"event":"error","msg":"key revoked"}`} }
	})
	c := dial(t, e.url(), quickly(WithLogin("auth"), WithLoginConfirm(`{"event":"login"}`),
		WithLoginReject(`{"event":"error"}`), WithLoginRejectAction(LoginStop))...)
	err := c.WaitReady(within(t, soon))
	var failure *Error
	if !errors.As(err, &failure) || !errors.Is(err, ErrLogin) {
		t.Fatal(err)
	}
	if failure.ServerMessage != `{"event":"error","msg":"key revoked"}` || !strings.Contains(failure.Text, "key revoked") {
		t.Errorf("%+v", failure)
	}
	if c.State() != Failed {
		t.Error(c.State())
	}
	e.with(func() {
		if e.accepted != 1 {
			t.Errorf("%d connections", e.accepted)
		}
	})
}

func TestSubscribeBadInput(t *testing.T) {
	c := dial(t, newExchange(t).url(), quickly()...)
	for _, err := range []error{c.SubscribeWith("", "a", ""), c.SubscribeWith(strings.Repeat("x", 1025), "a", ""),
		c.Subscribe("a"), c.Subscribe("a\x00"), c.SubscribeWith("a\x00", "b", ""), c.SubscribeWith("a", "b\x00", ""),
		c.SubscribeWith("a", "b", "c\x00"), c.SubscribeWith("a", "", ""), c.Unsubscribe("a\x00")} {
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrValue) || len(e.Text) < 10 {
			t.Errorf("%v", err)
		}
	}
}

// Each connect gets a login of its own, whether or not the application receives.
func TestLoginFunc(t *testing.T) {
	e := newExchange(t, func(e *exchange) {
		e.onText = func(_ *peer, connection int, text string) []string {
			if strings.HasPrefix(text, "signed") {
				return []string{"welcome"}
			}
			return nil
		}
	})
	var calls atomic.Int32
	c := dial(t, e.url(), quickly(WithLoginConfirm("welcome"), WithLoginFunc(func(ctx context.Context) ([]Message, error) {
		n := calls.Add(1)
		return []Message{{Data: []byte(fmt.Sprint("signed ", n))}, {Kind: Text, Data: []byte("more")}}, ctx.Err()
	}))...)
	ctx := within(t, soon)
	if err := c.Send(ctx, Text, []byte("behind")); err != nil {
		t.Fatal(err)
	}
	e.got("1:signed 1", "1:more", "1:behind")
	for round := 2; round <= 4; round++ {
		e.kill()
		eventually(t, "the loss is noticed", func() bool { return c.State() != Connected })
		if err := c.Send(ctx, Text, []byte("backlog")); err != nil {
			t.Fatal(err)
		}
		e.start()
		e.got(fmt.Sprint(round, ":signed ", round), fmt.Sprint(round, ":more"), fmt.Sprint(round, ":backlog"))
		if err := c.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody asked for events: only data comes.
	for i := 0; i < 4; i++ {
		if msg, err := c.Recv(ctx); err != nil || msg.Kind != Text || msg.Text() != "welcome" {
			t.Fatal(msg, err)
		}
	}
	if events := c.Events(); events != nil {
		t.Errorf("%v", events)
	}
}

// With events on, what the functions of the application wait for is among them; and a slow consumer holds nothing up.
func TestLoginFuncBehindABacklog(t *testing.T) {
	const ticks = 3000
	e := newExchange(t, func(e *exchange) {
		e.onOpen = func(p *peer) {
			var b []byte
			for i := 0; i < ticks; i++ {
				b = appendFrame(b, opText, []byte("tick"))
			}
			p.writeRaw(b)
		}
	})
	c := dial(t, e.url(), quickly(WithEvents(true), WithLoginFunc(func(context.Context) ([]Message, error) {
		return []Message{{Data: []byte("login")}}, nil
	}))...)
	for round := 1; round <= 2; round++ {
		e.got(fmt.Sprint(round, ":login"))
		e.cut(round)
	}
	e.got("3:login")
	if err := c.Disconnect(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	holds, last := 0, uint64(0)
	for {
		batch, err := c.RecvBatch(within(t, soon), 100)
		if err != nil {
			if !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			break
		}
		for _, msg := range batch {
			if msg.Sequence != last+1 {
				t.Fatalf("sequence %d after %d", msg.Sequence, last)
			}
			last = msg.Sequence
			if msg.Kind == EventMessage && strings.Contains(msg.Text(), `"hold"`) {
				holds++
			}
		}
	}
	if holds != 3 || last < ticks {
		t.Errorf("%d holds, %d messages", holds, last)
	}
	kept := 0
	for _, event := range c.Events() {
		if event.Type == "hold" {
			kept++
		}
	}
	if kept != 3 {
		t.Errorf("%d holds kept", kept)
	}
}

// More than is looked through ahead: holds behind it wait for the application, and nothing is lost.
func TestLoginFuncBehindALongBacklog(t *testing.T) {
	const ticks = aheadMessages + 5000
	e := newExchange(t, func(e *exchange) { e.onOpen = func(p *peer) { flood(ticks)(p) } })
	c := dial(t, e.url(), quickly(WithMaxReconnectAttempts(0), WithLoginFunc(func(context.Context) ([]Message, error) {
		return []Message{{Data: []byte("login")}}, nil
	}))...)
	for round := 0; round < 2; round++ {
		for i := 0; i < ticks; i++ {
			msg, err := c.Recv(within(t, soon))
			if err != nil || msg.Text() != strconv.Itoa(i) {
				t.Fatalf("round %d, message %d: %q, %v", round, i, msg.Data, err)
			}
			if i == 0 && round == 0 {
				eventually(t, "it looks no further ahead", func() bool {
					c.receiving.Lock()
					defer c.receiving.Unlock()
					return !c.mayLookAhead()
				})
			}
		}
	}
}

func TestLoginFuncFails(t *testing.T) {
	mine := errors.New("no key")
	for name, login := range map[string]func(context.Context) ([]Message, error){
		"error": func(context.Context) ([]Message, error) { return nil, mine },
		"panic": func(context.Context) ([]Message, error) { panic(mine) },
		"invalid": func(context.Context) ([]Message, error) {
			return []Message{{Kind: Text, Data: []byte{0xff}}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExchange(t)
			c := dial(t, e.url(), WithReconnect(false), WithLoginTimeout(50*time.Millisecond), WithLoginFunc(login))
			_, err := c.Recv(within(t, soon))
			if !errors.Is(err, ErrLogin) {
				t.Fatalf("%v", err)
			}
			var panicked *PanicError
			switch name {
			case "error":
				if !errors.Is(err, mine) || !strings.Contains(err.Error(), "no key") {
					t.Errorf("%v", err)
				}
			case "panic":
				if !errors.As(err, &panicked) || !errors.Is(err, mine) || len(panicked.Stack) == 0 {
					t.Errorf("%v", err)
				}
			default:
				if !errors.Is(err, ErrUTF8) {
					t.Errorf("%v", err)
				}
			}
			if len(e.texts) != 0 {
				t.Errorf("%q", e.texts)
			}
		})
	}
}

// The context of a function ends with the attempt, and at Close.
func TestLoginFuncIsCancelled(t *testing.T) {
	e := newExchange(t)
	ended := make(chan struct{}, 10)
	begun := make(chan struct{}, 10)
	c := dial(t, e.url(), quickly(WithLoginFunc(func(ctx context.Context) ([]Message, error) {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return []Message{{Data: []byte("too late")}}, nil
	}))...)
	<-begun
	e.cut(1)
	<-begun
	<-ended
	if err := c.CloseWith(context.Background(), 0, ""); err != nil {
		t.Error(err)
	}
	<-ended
	if e.count("too late") != 0 {
		t.Errorf("%q", e.texts)
	}
}

func TestHeaderAndURLFunc(t *testing.T) {
	e := newExchange(t)
	var calls atomic.Int32
	c := dial(t, e.url(), quickly(WithHeader("X-Token", "none"),
		WithHeaderFunc(func(context.Context) (http.Header, error) {
			return http.Header{"X-Token": {fmt.Sprint("token ", calls.Add(1))}, "X-Two": {"a", "b"}}, nil
		}),
		WithURLFunc(func(context.Context) (string, error) { return e.url() + fmt.Sprint("key", calls.Load()), nil }))...)
	for round := 1; round <= 3; round++ {
		e.until("requests", func() bool { return len(e.requests) >= round })
		e.mu.Lock()
		r := e.requests[round-1]
		e.mu.Unlock()
		if r.Header.Get("X-Token") != fmt.Sprint("token ", round) || r.Header.Get("X-Two") != "a, b" ||
			r.URL.Path != fmt.Sprint("/key", round) {
			t.Errorf("round %d: %v %v", round, r.URL, r.Header)
		}
		e.cut(round)
	}
	if err := c.WaitReady(within(t, soon)); err != nil {
		t.Error(err)
	}
}

func TestHeaderFuncFailsInDial(t *testing.T) {
	e := newExchange(t)
	mine := errors.New("no token")
	for name, option := range map[string]Option{
		"error": WithHeaderFunc(func(context.Context) (http.Header, error) { return nil, mine }),
		"panic": WithURLFunc(func(context.Context) (string, error) { panic(mine) }),
		"value": WithHeaderFunc(func(context.Context) (http.Header, error) { return http.Header{"A": {"\r\n"}}, nil }),
	} {
		start := time.Now()
		c, err := Dial(within(t, soon), e.url(), option)
		if err == nil {
			c.Close()
		}
		if expected := map[string]error{"error": mine, "panic": mine, "value": ErrValue}[name]; !errors.Is(err, expected) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 5*time.Second { // not login_timeout
			t.Errorf("%s: %v", name, took)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, e.url(), WithHeaderFunc(func(ctx context.Context) (http.Header, error) {
		<-ctx.Done() // of the attempt, which Dial gives up
		return nil, ctx.Err()
	}))
	if err != context.DeadlineExceeded {
		t.Errorf("%v", err)
	}
}

// Later a function that fails costs one attempt.
func TestHeaderFuncFailsLater(t *testing.T) {
	e := newExchange(t)
	var calls atomic.Int32
	c := dial(t, e.url(), quickly(WithLoginTimeout(20*time.Millisecond),
		WithHeaderFunc(func(context.Context) (http.Header, error) {
			if calls.Add(1) == 2 {
				return nil, errors.New("not now")
			}
			return http.Header{"A": {"b"}}, nil
		}))...)
	e.cut(1)
	e.connections(2)
	if calls.Load() < 3 {
		t.Errorf("%d calls", calls.Load())
	}
	if err := c.WaitReady(within(t, soon)); err != nil {
		t.Error(err)
	}
}

// What the functions do can be done by hand.
func TestHoldByHand(t *testing.T) {
	e := newExchange(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	c := dial(t, e.url(), quickly(WithHoldLogin(true))...)
	defer c.Close()
	if err := c.Release(); err != nil { // perhaps before the hold, or the end of it
		t.Fatal(err)
	}
	for round := 2; round <= 3; round++ {
		if err := c.WaitReady(within(t, soon)); err != nil && round > 2 {
			t.Fatal(err)
		}
		e.cut(round - 1)
		hold := nextEvent(t, c, "hold", func(event Event) bool {
			return event.Attempt > 0 && c.Statistics()["connections"] == float64(round)
		})
		if at, _ := hold.Fields["at"].(string); at != "login" {
			t.Errorf("%+v", hold)
		}
		if err := c.Send(within(t, soon), Text, []byte("waits")); err != nil {
			t.Fatal(err)
		}
		if id, err := c.SendWith(within(t, soon), Text, []byte("login"), First()); err != nil || id == 0 {
			t.Fatal(id, err)
		}
		if err := c.Release(); err != nil {
			t.Fatal(err)
		}
		e.got(fmt.Sprint(round, ":login"), fmt.Sprint(round, ":waits"))
	}
}

func TestHeartbeatMessages(t *testing.T) {
	e := newExchange(t, func(e *exchange) {
		e.onOpen = func(p *peer) { p.write(opText, []byte(`{"type":"ask","id":7}`)) }
		e.onText = func(_ *peer, _ int, text string) []string {
			if text == "ping" {
				return []string{"pong", "data"}
			}
			return nil
		}
	})
	c := dial(t, e.url(), quickly(WithHeartbeatMessage("ping"), WithHeartbeat(20*time.Millisecond),
		WithHeartbeatRequest(`{"type":"ask"}`), WithHeartbeatAnswer(`{"type":"answer","id":${id}}`))...)
	for i := 0; i < 3; i++ {
		if text := recvText(t, c); text != "data" {
			t.Errorf("%q", text)
		}
	}
	e.until("the answer", func() bool { return strings.Contains(strings.Join(e.texts, " "), `{"type":"answer","id":`) })
	if s := c.Statistics(); s["heartbeats_received"] < 4 || !(s["latency"] > 0) || s["messages_sent"] != 0 {
		t.Errorf("%v", s)
	}
}

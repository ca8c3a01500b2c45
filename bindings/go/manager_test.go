// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func manager(t *testing.T, url string, handlers Handlers, options ...Option) *Manager {
	t.Helper()
	m, err := NewManager(url, handlers, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestManager(t *testing.T) {
	e := newExchange(t, func(e *exchange) {
		e.onText = func(_ *peer, _ int, text string) []string { return []string{"re " + text} }
	})
	d := newDiary(t)
	handlers := d.handlers()
	var states []string // read when Wait has returned
	handlers.OnStateChange = func(event Event) { states = append(states, event.State) }
	m := manager(t, e.url(), handlers, quickly()...)
	ctx := within(t, soon)
	if m.State() != Disconnected || m.IsConnected() || m.Wait(ctx) != nil {
		t.Error("before Connect")
	}
	managerSends(t, e, d, m)
	managerComesBack(t, e, d, m)

	if err := m.Disconnect(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(ctx); err != nil {
		t.Error(err)
	}
	d.until(14, "disconnect disconnected")
	if first, last := states[0], states[len(states)-1]; first != "connecting" || last != "disconnected" {
		t.Errorf("%q", states)
	}
	managerIsUsedAgain(t, d, m)
}

func managerSends(t *testing.T, e *exchange, d *diary, m *Manager) {
	t.Helper()
	ctx := within(t, soon)
	if err := m.Send(ctx, map[string]any{"type": "early"}); err != nil { // it waits
		t.Fatal(err)
	}
	if err := m.SubscribeWith("a", "subscribe a", ""); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2; i++ { // again does no harm
		if err := m.Connect(ctx); err != nil {
			t.Fatal(err)
		}
	}
	e.got("1:subscribe a", `1:{"type":"early"}`)
	d.until(0, "connect", "message re subscribe a", `message re {"type":"early"}`)
	for _, value := range []any{"text", json.RawMessage("[1]"), struct{ A int }{7},
		Message{Kind: Text, Data: []byte("m")}} {
		if err := m.Send(ctx, value); err != nil {
			t.Fatal(err)
		}
	}
	e.got("1:text", "1:[1]", `1:{"A":7}`, "1:m")
	d.until(3, "message re text", "message re [1]", `message re {"A":7}`, "message re m")
	if err := m.Send(ctx, []byte{0xff}); err != nil { // binary
		t.Fatal(err)
	}
	if err := m.Send(ctx, math.Inf(1)); err == nil {
		t.Error("a value without JSON was sent")
	}
	if err := m.Send(ctx, "live", LiveOnly(), TTL(time.Minute)); err != nil {
		t.Fatal(err)
	}
	d.until(7, "message re live")
	if !m.IsConnected() || m.State() != Connected {
		t.Error("state")
	}
}

func managerComesBack(t *testing.T, e *exchange, d *diary, m *Manager) {
	t.Helper()
	ctx := within(t, soon)
	e.kill()
	e.start()
	d.until(8, "disconnect reconnecting", "connect", "message re subscribe a")
	if err := m.Reconnect(ctx); err != nil {
		t.Fatal(err)
	}
	d.until(11, "disconnect reconnecting", "connect", "message re subscribe a")
	if err := m.Unsubscribe("a"); err != nil {
		t.Fatal(err)
	}
	status, err := m.Status()
	if err != nil || status.State != "connected" || status.Stats.Reconnections != 2 || status.HandlerPanics != 0 {
		t.Errorf("%+v, %v", status, err)
	}
	balanced(t, m.Conn())
}

func managerIsUsedAgain(t *testing.T, d *diary, m *Manager) {
	t.Helper()
	ctx := within(t, soon)
	if err := m.Send(ctx, "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	for _, again := range []func(context.Context) error{m.Connect, m.Reconnect} {
		if err := again(ctx); err != nil {
			t.Fatal(err)
		}
		if err := m.Disconnect(ctx); err != nil {
			t.Fatal(err)
		}
		if err := m.Wait(ctx); err != nil {
			t.Error(err)
		}
	}
	d.until(15, "connect", "disconnect disconnected", "connect", "disconnect disconnected")
	if err := m.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	d.until(19, "connect")
	for i := 0; i < 2; i++ {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Wait(ctx); err != nil {
		t.Error(err)
	}
	d.until(20, "disconnect disconnected")
	if err := m.Connect(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := m.Reconnect(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestManagerBadInput(t *testing.T) {
	for _, test := range []struct {
		url    string
		option Option
		is     error
	}{{"http://127.0.0.1/", nil, ErrURL}, {"ws://127.0.0.1/", WithJitter(2), ErrValue},
		{"ws://127.0.0.1/", WithOption("nothing", ""), ErrOption}} {
		if _, err := NewManager(test.url, Handlers{}, test.option); !errors.Is(err, test.is) {
			t.Errorf("%v, expected %v", err, test.is)
		}
	}
	m := manager(t, newExchange(t).url(), Handlers{})          // no handlers: it works all the same
	if err := m.Disconnect(context.Background()); err != nil { // before it began
		t.Error(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, call := range []func(context.Context) error{m.Connect, m.Reconnect} {
		if err := call(ended); err != context.Canceled {
			t.Errorf("%v", err)
		}
	}
	if err := m.Connect(within(t, soon)); err != nil {
		t.Error(err)
	}
}

// A manager goes on trying when the first attempts fail, and says so.
func TestManagerKeepsTrying(t *testing.T) {
	e := newExchange(t)
	e.kill()
	d := newDiary(t)
	m := manager(t, e.url(), d.handlers(), quickly()...)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := m.Connect(ctx); err != context.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	d.error(ErrRefused)
	if err := m.Wait(ctx); err != context.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	e.start()
	if err := m.Connect(within(t, soon)); err != nil {
		t.Error(err)
	}
	d.until(0, "connect")
}

// The end of trying is told to OnError, Connect and Wait; and a handler can begin anew.
func TestManagerEndOfTrying(t *testing.T) {
	e := newExchange(t)
	d := newDiary(t)
	m := manager(t, e.url(), d.handlers(), quickly(WithMaxReconnectAttempts(2))...)
	if err := m.Connect(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	e.kill()
	if err := m.Wait(within(t, soon)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "gave up after 2") {
		t.Errorf("%v", err)
	}
	d.until(0, "connect", "disconnect reconnecting")
	d.mu.Lock()
	if last := d.errs[len(d.errs)-1]; !strings.Contains(last.Error(), "gave up after 2 attempts") {
		t.Errorf("%v", d.errs)
	}
	told := len(d.errs)
	d.mu.Unlock()
	if m.State() != Failed {
		t.Errorf("%v", m.State())
	}
	if err := m.Connect(within(t, soon)); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	if err := m.Wait(within(t, soon)); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	d.mu.Lock()
	if len(d.errs) <= told {
		t.Error("the second end was not told")
	}
	d.mu.Unlock()
	e.start()
	if err := m.Reconnect(within(t, soon)); err != nil {
		t.Error(err)
	}
	d.until(2, "connect")
}

func TestManagerBeginsAnewInOnError(t *testing.T) {
	e := newExchange(t)
	d := newDiary(t)
	handlers := d.handlers()
	var m *Manager
	ends := 0
	handlers.OnError = func(err error) {
		d.add("error", err)
		if strings.Contains(err.Error(), "gave up") {
			if ends++; ends == 1 {
				e.start()
				if err := m.Reconnect(within(t, soon)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	m = manager(t, e.url(), handlers, quickly(WithMaxReconnectAttempts(1))...)
	if err := m.Connect(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	first := make(chan error)
	go func() { first <- m.Wait(within(t, soon)) }()
	d.until(0, "connect")
	e.kill()
	d.until(0, "connect", "disconnect reconnecting", "connect")
	if m.State() != Connected {
		t.Errorf("state %v", m.State())
	}
	e.kill()
	if err := m.Wait(within(t, soon)); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	if err := <-first; !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	d.until(3, "disconnect reconnecting")
	if m.State() != Failed || ends != 2 {
		t.Errorf("state %v, %d ends", m.State(), ends)
	}
}

func TestManagerRefusal(t *testing.T) {
	address := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "who are you?")
	}))
	d := newDiary(t)
	m := manager(t, "ws://"+address+"/", d.handlers(), quickly()...)
	for _, err := range []error{m.Connect(within(t, soon)), m.Wait(within(t, soon)), d.errs[0]} {
		var refusal *HandshakeError
		if !errors.As(err, &refusal) || refusal.Status != 401 || string(refusal.Body) != "who are you?" {
			t.Errorf("%v", err)
		}
	}
	if len(d.errs) != 1 {
		t.Errorf("%v", d.errs)
	}
}

// Handlers may call every method.
func TestManagerHandlersCallMethods(t *testing.T) {
	e := newExchange(t)
	var m *Manager
	var mu sync.Mutex
	reconnects, connects := 0, 0
	done := make(chan error, 10)
	m = manager(t, e.url(), Handlers{
		OnConnect: func(Event) {
			mu.Lock()
			connects++
			n := connects
			mu.Unlock()
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()
			switch n {
			case 1:
				m.Send(ctx, "hello")
				m.Reconnect(ctx)
			case 2:
				m.Status()
				m.SubscribeWith("a", "sub", "")
				m.Disconnect(ctx)
			case 3:
				done <- m.Close()
			}
		},
		OnStateChange: func(event Event) {
			mu.Lock()
			defer mu.Unlock()
			if event.State == "disconnected" && reconnects == 0 {
				reconnects++
				go m.Connect(context.Background())
			}
		},
	}, quickly()...)
	m.Connect(within(t, soon))
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(soon):
		t.Fatal("the handlers are stuck")
	}
	e.got("1:hello")
}

// Each handler panics once, and the first message handler ends its goroutine: all goes on, and is told.
func TestManagerHandlersPanic(t *testing.T) {
	r := &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(r), slog.LevelError)
	e := newExchange(t)
	var mu sync.Mutex
	panicked := map[string]bool{}
	var reported []string
	trip := func(name string) {
		mu.Lock()
		first := !panicked[name]
		panicked[name] = true
		mu.Unlock()
		if first {
			panic("oops in " + name)
		}
	}
	var texts []string
	received := make(chan struct{}, 10)
	m := manager(t, e.url(), Handlers{
		OnMessage: func(msg Message) {
			if msg.Text() == "exit" {
				runtime.Goexit()
			}
			mu.Lock()
			texts = append(texts, msg.Text())
			mu.Unlock()
			received <- struct{}{}
			trip("OnMessage")
		},
		OnConnect:     func(Event) { trip("OnConnect") },
		OnDisconnect:  func(Event) { trip("OnDisconnect") },
		OnStateChange: func(Event) { trip("OnStateChange") },
		OnEvent:       func(Event) { trip("OnEvent") },
		OnError: func(err error) {
			var p *PanicError
			if errors.As(err, &p) {
				mu.Lock()
				reported = append(reported, p.Function)
				mu.Unlock()
			}
			trip("OnError")
		},
	}, quickly()...)
	if err := m.Connect(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	e.connections(1)
	for _, text := range []string{"1", "exit", "2", "3"} {
		e.say(text)
	}
	for i := 0; i < 3; i++ {
		<-received
	}
	e.cut(1)
	e.connections(2)
	eventually(t, "the panics are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(reported) >= 4 // the first report ended in a panic of OnError
	})
	status, err := m.Status()
	if err != nil || status.HandlerPanics != 6 {
		t.Errorf("%d panics, %v", status.HandlerPanics, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(texts) != "[1 2 3]" {
		t.Errorf("%q", texts)
	}
	for _, name := range []string{"OnMessage", "OnConnect", "OnDisconnect", "OnStateChange", "OnEvent", "OnError"} {
		if !r.has(slog.LevelError, "panic in "+name+": oops in "+name) {
			t.Errorf("%s is not in the log", name)
		}
	}
}

// Messages come in order, however slow the handler is.
func TestManagerKeepsOrder(t *testing.T) {
	const count = 2000
	var mu sync.Mutex
	next, done := 0, make(chan struct{})
	m := manager(t, startServer(t, flood(count)), Handlers{
		OnMessage: func(msg Message) {
			mu.Lock()
			defer mu.Unlock()
			if next < count && msg.Text() != fmt.Sprint(next) {
				t.Errorf("%q, expected %d", msg.Text(), next)
			}
			if next%100 == 0 {
				time.Sleep(time.Millisecond)
			}
			if next++; next == count {
				close(done)
			}
		},
	}, WithReconnect(false), WithReceiveQueueBytes(4096))
	m.Connect(within(t, soon))
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatalf("%d of %d messages", next, count)
	}
	var closed *CloseError
	if err := m.Wait(within(t, soon)); !errors.As(err, &closed) || closed.Code != 1000 {
		t.Errorf("%v", err)
	}
}

// Failures of the application's functions are told, too.
func TestManagerLogsIn(t *testing.T) {
	e := newExchange(t)
	d := newDiary(t)
	failed := errors.New("no key yet")
	calls := 0
	m := manager(t, e.url(), d.handlers(), quickly(WithLoginTimeout(50*time.Millisecond),
		WithLoginFunc(func(context.Context) ([]Message, error) {
			if calls++; calls == 1 {
				return nil, failed
			}
			return []Message{{Data: []byte("login")}}, nil
		}))...)
	if err := m.Connect(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	e.got("2:login")
	d.error(failed)
	d.error(ErrLogin)
	d.until(0, "connect") // the first connection was never ready
}

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"math/rand"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// What must hold at any moment: contexts, closing, many goroutines, nothing left over.

// Every blocking call returns when its context ends, and does no harm.
func TestContextsOfBlockingCalls(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), WithReconnectBaseDelay(time.Hour), WithReconnectMaxDelay(time.Hour),
		WithMessageQueuePolicy(Block), WithMessageQueueSize(2), WithRateLimit("1/1h"))
	if _, err := c.SendWith(within(t, soon), Text, []byte("the one in the limit"), InLimit()); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2; i++ {
		if err := c.Send(within(t, soon), Text, []byte("waits for the limit")); err != nil {
			t.Fatal(err)
		}
	}
	calls := map[string]func(ctx context.Context) error{
		"Recv":      func(ctx context.Context) error { _, err := c.Recv(ctx); return err },
		"RecvBatch": func(ctx context.Context) error { _, err := c.RecvBatch(ctx, 9); return err },
		"Send":      func(ctx context.Context) error { return c.Send(ctx, Text, nil) },
		"SendWith":  func(ctx context.Context) error { _, err := c.SendWith(ctx, Text, nil); return err },
		"SendBatch": func(ctx context.Context) error { _, err := c.SendBatch(ctx, []Message{{Kind: Text}}); return err },
		"InLimit":   func(ctx context.Context) error { _, err := c.SendWith(ctx, Text, nil, InLimit()); return err },
		"Flush":     c.Flush,
	}
	try := func(name string, call func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if err := call(ctx); err != context.DeadlineExceeded {
			t.Errorf("%s: %v, expected context.DeadlineExceeded", name, err)
		}
		cancel()
		ctx, cancel = context.WithCancel(context.Background())
		result := make(chan error)
		go func() { result <- call(ctx) }()
		cancel()
		if err := <-result; err != context.Canceled {
			t.Errorf("%s: %v, expected context.Canceled", name, err)
		}
		if err := call(ctx); err != context.Canceled {
			t.Errorf("%s: %v, expected context.Canceled", name, err)
		}
	}
	for name, call := range calls {
		try(name, call)
	}
	e.kill()
	eventually(t, "the loss is noticed", func() bool { return c.State() == Reconnecting })
	delete(calls, "InLimit") // waits in the outbox, as any other, while there is no connection
	calls["WaitReady"] = c.WaitReady
	for name, call := range calls {
		try(name+" without a connection", call)
	}
	if s := balanced(t, c); s["queue_size"] != 2 || s["messages_sent"] != 1 {
		t.Errorf("%v", s)
	}
}

// Close ends every wait, also that of a Disconnect for a mute peer, and returns with its own context.
func TestCloseEndsEveryWait(t *testing.T) {
	e := newExchange(t)
	for _, patient := range []bool{false, true} {
		e.with(func() { e.mute = false })
		c := dial(t, e.url(), quickly(WithMessageQueuePolicy(Block), WithMessageQueueSize(1), WithRateLimit("1/1h"),
			WithCloseTimeout(3*time.Second))...)
		ctx := within(t, soon)
		if _, err := c.SendWith(ctx, Text, []byte("the one in the limit"), InLimit()); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(ctx, Text, []byte("waits for the limit")); err != nil {
			t.Fatal(err)
		}
		e.with(func() { e.mute = true })
		calls := map[string]func(context.Context) error{
			"Recv":      func(ctx context.Context) error { _, err := c.Recv(ctx); return err },
			"Send":      func(ctx context.Context) error { return c.Send(ctx, Text, nil) },
			"SendWith":  func(ctx context.Context) error { _, err := c.SendWith(ctx, Text, nil); return err },
			"SendBatch": func(ctx context.Context) error { _, err := c.SendBatch(ctx, []Message{{Kind: Text}}); return err },
			"InLimit":   func(ctx context.Context) error { _, err := c.SendWith(ctx, Text, nil, InLimit()); return err },
			"Flush":     c.Flush,
		}
		if patient {
			calls["Disconnect"] = c.Disconnect
		}
		type result struct {
			name string
			err  error
		}
		results := make(chan result)
		for name, call := range calls {
			go func(name string, call func(context.Context) error) { results <- result{name, call(ctx)} }(name, call)
		}
		time.Sleep(20 * time.Millisecond) // so that most of them wait; the test is right without it
		short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		start := time.Now()
		if err := c.CloseWith(short, 1000, ""); err != context.DeadlineExceeded {
			t.Errorf("CloseWith: %v", err)
		}
		if took := time.Since(start); took > 2*time.Second && !patient {
			t.Errorf("CloseWith took %v", took)
		}
		cancel()
		if c.State() == Reconnecting || c.Send(ctx, Text, nil) == nil {
			t.Error("it is not closed")
		}
		for range calls {
			r := <-results
			if !errors.Is(r.err, ErrClosed) && !errors.Is(r.err, ErrNotConnected) &&
				!(r.name == "Disconnect" && (r.err == nil || errors.Is(r.err, ErrUnsent))) &&
				!(r.name == "Flush" && r.err == nil) {
				t.Errorf("%s: %v", r.name, r.err)
			}
		}
	}
}

func TestCallsAfterClose(t *testing.T) {
	c := dial(t, newExchange(t).url(), quickly()...)
	ctx := within(t, soon)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, sendWith := c.SendWith(ctx, Text, nil)
	_, sendBatch := c.SendBatch(ctx, []Message{{Kind: Text}})
	for name, err := range map[string]error{"Reconnect": c.Reconnect(), "WaitReady": c.WaitReady(ctx),
		"SendWith": sendWith, "SendBatch": sendBatch, "Flush": c.Flush(ctx), "Subscribe": c.Subscribe("a"),
		"SubscribeWith": c.SubscribeWith("a", "b", ""),
		"Unsubscribe":   c.Unsubscribe("a"), "SetHeader": c.SetHeader("A", "b"), "RemoveHeader": c.RemoveHeader("A"),
		"SetURL": c.SetURL("ws://127.0.0.1/"), "Release": c.Release()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Disconnect(ctx); err != nil {
		t.Errorf("Disconnect: %v", err)
	}
	if c.Purge() != 0 || c.Prometheus() != "" || c.Ready() || c.State() != Disconnected {
		t.Error("Purge, Prometheus, Ready or State")
	}
	if s := balanced(t, c); s["connections"] != 1 {
		t.Errorf("%v", s)
	}
}

// Everything at any moment from any goroutine, with a server that is killed now and then; in the end it works.
func TestReconnectAndDisconnectFromEverywhere(t *testing.T) {
	seed := time.Now().UnixNano()
	if text := os.Getenv("PULSEWS_SEED"); text != "" {
		seed, _ = strconv.ParseInt(text, 10, 64)
	}
	t.Logf("PULSEWS_SEED=%d", seed)
	e := newExchange(t, func(e *exchange) {
		e.onText = func(_ *peer, _ int, text string) []string { return []string{text} }
	})
	for _, end := range []string{"Close", "Disconnect and Close"} {
		c := dial(t, e.url(), quickly(WithCloseTimeout(50*time.Millisecond), WithEvents(true))...)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		short := func(r *rand.Rand) context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Intn(3000))*time.Microsecond)
			time.AfterFunc(10*time.Millisecond, cancel)
			return ctx
		}
		use := func(call func(r *rand.Rand) error) {
			wg.Add(1)
			seed++
			r := rand.New(rand.NewSource(seed))
			go func() {
				defer wg.Done()
				for {
					select {
					case <-stop:
						return
					default:
					}
					err := call(r)
					if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNotConnected) &&
						!errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrUnsent) {
						t.Error(err)
					}
					<-short(r).Done() // calls that return at once leave the others some time
				}
			}()
		}
		use(func(r *rand.Rand) error { return c.Disconnect(short(r)) })
		use(func(r *rand.Rand) error { <-short(r).Done(); return c.Reconnect() })
		use(func(r *rand.Rand) error { <-short(r).Done(); return c.Reconnect() })
		use(func(r *rand.Rand) error { return c.WaitReady(short(r)) })
		use(func(r *rand.Rand) error { return c.Flush(short(r)) })
		use(func(r *rand.Rand) error { return c.Send(short(r), Text, []byte("a")) })
		use(func(r *rand.Rand) error {
			_, err := c.SendWith(short(r), Text, []byte("b"), LiveOnly(), Report())
			return err
		})
		use(func(r *rand.Rand) error { _, err := c.SendBatch(short(r), make([]Message, 0)); return err })
		use(func(r *rand.Rand) error { _, err := c.Recv(short(r)); return err })
		use(func(r *rand.Rand) error { _, err := c.RecvBatch(short(r), 5); return err })
		use(func(r *rand.Rand) error { <-short(r).Done(); balanced(t, c); c.Purge(); c.Prometheus(); return nil })
		use(func(r *rand.Rand) error {
			key := strconv.Itoa(r.Intn(5))
			if r.Intn(2) == 0 {
				return c.Unsubscribe(key)
			}
			return c.SubscribeWith(key, "sub "+key, "")
		})
		for i := 0; i < 20; i++ {
			e.mu.Lock()
			accepted := e.accepted
			e.mu.Unlock()
			e.connections(accepted + 2)
			e.kill()
			e.start()
		}
		close(stop)
		wg.Wait()
		if err := c.Reconnect(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitReady(within(t, soon)); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(within(t, soon), Text, []byte("it works")); err != nil {
			t.Fatal(err)
		}
		for recvText(t, c) != "it works" {
		}
		balanced(t, c)
		if end != "Close" {
			if err := c.Disconnect(within(t, soon)); err != nil {
				t.Error(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Connections that come back, log in and are disconnected leave no goroutine and no descriptor behind.
func TestNothingLeaksAcrossReconnects(t *testing.T) {
	e := newExchange(t)
	round := func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		c, err := Dial(ctx, e.url(), quickly(
			WithLoginFunc(func(context.Context) ([]Message, error) { return []Message{{Data: []byte("login")}}, nil }),
			WithHeaderFunc(func(context.Context) (http.Header, error) { return http.Header{"X-A": {"1"}}, nil }))...)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 3; i++ {
			if err := c.Reconnect(); err != nil {
				t.Fatal(err)
			}
			if err := c.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Disconnect(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	round()
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	for i := 0; i < 20; i++ {
		round()
	}
	eventually(t, "goroutines and descriptors are as few as before", func() bool {
		return runtime.NumGoroutine() <= goroutines+1 && descriptors(t) <= fds+1
	})
}

// Connect, Reconnect, Disconnect and Send at any moment from any goroutine.
func TestManagerFromEverywhere(t *testing.T) {
	e := newExchange(t)
	goroutines := runtime.NumGoroutine()
	var mu sync.Mutex
	up := 0
	m := manager(t, e.url(), Handlers{
		OnConnect: func(Event) {
			mu.Lock()
			defer mu.Unlock()
			if up++; up != 1 {
				t.Errorf("OnConnect: %d", up)
			}
		},
		OnDisconnect: func(Event) {
			mu.Lock()
			defer mu.Unlock()
			if up--; up != 0 {
				t.Errorf("OnDisconnect: %d", up)
			}
		},
	}, quickly()...)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, call := range []func(context.Context) error{m.Connect, m.Connect, m.Reconnect, m.Disconnect, m.Wait,
		func(ctx context.Context) error { return m.Send(ctx, "x") },
		func(ctx context.Context) error { _, err := m.Status(); return err }} {
		wg.Add(1)
		go func(i int, call func(context.Context) error) {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i+1)*time.Millisecond)
				if err := call(ctx); err != nil && !errors.Is(err, ErrClosed) && err != context.DeadlineExceeded {
					t.Error(err)
				}
				cancel()
			}
		}(i, call)
	}
	for i := 0; i < 5; i++ {
		e.mu.Lock()
		accepted := e.accepted
		e.mu.Unlock()
		e.connections(accepted + 10)
	}
	close(stop)
	wg.Wait()
	if err := m.Connect(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	if err := m.Disconnect(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(within(t, soon)); err != nil {
		t.Error(err)
	}
	mu.Lock()
	if up != 0 {
		t.Errorf("%d connects without a disconnect", up)
	}
	mu.Unlock()
	// A disconnected manager has no goroutine.
	eventually(t, "goroutines are as few as before", func() bool { return runtime.NumGoroutine() <= goroutines+1 })
}

func TestManagersLeaveNothingBehind(t *testing.T) {
	e := newExchange(t)
	round := func() {
		m, err := NewManager(e.url(), Handlers{OnMessage: func(Message) {}}, quickly()...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := m.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	round()
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	for i := 0; i < 50; i++ {
		round()
	}
	eventually(t, "goroutines and descriptors are as few as before", func() bool {
		return runtime.NumGoroutine() <= goroutines+1 && descriptors(t) <= fds+1
	})
}

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// dialLate begins Dial, and returns what it will return once the log has said that an attempt failed and another
// follows.
func dialLate(t *testing.T, ctx context.Context, e *exchange, options ...Option) <-chan error {
	t.Helper()
	r := &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(r), slog.LevelDebug)
	result := make(chan error, 1)
	go func() {
		c, err := Dial(ctx, e.url(), options...)
		if err == nil {
			err = c.Send(ctx, Text, []byte("hello"))
			t.Cleanup(func() { c.CloseWith(context.Background(), 0, "") })
		}
		result <- err
	}()
	eventually(t, "the next attempt is announced", func() bool { return r.has(slog.LevelWarn, "next attempt") })
	return result
}

func down(t *testing.T) *exchange {
	e := newExchange(t)
	e.kill()
	return e
}

// The exchange is down at first: with WithWait Dial waits for it.
func TestDialWaits(t *testing.T) {
	e := down(t)
	result := dialLate(t, within(t, soon), e, quickly(WithWait(), WithMaxReconnectAttempts(0))...)
	select {
	case err := <-result:
		t.Fatalf("Dial returned %v before the exchange was there", err)
	default:
	}
	e.start()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	e.got("1:hello")
}

// It waits no longer than its context ...
func TestDialWaitsForItsContext(t *testing.T) {
	e := down(t)
	ctx, cancel := context.WithCancel(context.Background())
	result := dialLate(t, ctx, e, quickly(WithWait(), WithReconnectBaseDelay(time.Minute), WithReconnectMaxDelay(time.Minute))...)
	start := time.Now()
	cancel()
	if err := <-result; err != context.Canceled {
		t.Errorf("%v, expected context.Canceled", err)
	}
	if took := time.Since(start); took > soon {
		t.Errorf("it took %v", took)
	}
}

// ... and until trying ends: the attempts are over, a retry can't help, or there is none.
func TestDialWaitsUntilTryingEnds(t *testing.T) {
	if err := <-dialLate(t, within(t, soon), down(t), quickly(WithWait(), WithMaxReconnectAttempts(3))...); !errors.Is(err, ErrRefused) {
		t.Errorf("%v, expected ErrRefused", err)
	}
	var refusal *HandshakeError
	forbidden := newExchange(t, func(e *exchange) {
		e.refuse = func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(403); return true }
	})
	if _, err := Dial(within(t, soon), forbidden.url(), quickly(WithWait())...); !errors.As(err, &refusal) {
		t.Errorf("%v, expected a HandshakeError", err)
	}
	if _, err := Dial(within(t, soon), down(t).url(), quickly(WithWait(), WithReconnect(false))...); !errors.Is(err, ErrRefused) {
		t.Errorf("%v, expected ErrRefused", err)
	}
}

// A service for tokens that is down, too, is waited for.
func TestDialWaitsForItsFunctions(t *testing.T) {
	e := newExchange(t)
	calls := 0
	token := func(context.Context) (http.Header, error) {
		if calls++; calls < 3 {
			return nil, errors.New("no token yet")
		}
		return http.Header{"X-Token": {"t"}}, nil
	}
	c := dial(t, e.url(), quickly(WithWait(), WithHeaderFunc(token), WithLoginTimeout(20*time.Millisecond))...)
	if calls != 3 || c.State() != Connected {
		t.Errorf("%d calls, %v", calls, c.State())
	}
	_, err := Dial(within(t, soon), e.url(), quickly(WithWait(), WithHeaderFunc(func(context.Context) (http.Header, error) {
		return nil, errors.New("no token ever")
	}), WithLoginTimeout(20*time.Millisecond), WithMaxReconnectAttempts(2))...)
	if !errors.Is(err, ErrLogin) || errors.Unwrap(err) == nil {
		t.Errorf("%v, expected ErrLogin with its cause", err)
	}
}

// Without WithWait each endpoint has one attempt.
func TestDialTriesEachEndpoint(t *testing.T) {
	e := newExchange(t)
	for i := 0; i < 5; i++ {
		c := dial(t, down(t).url(), WithEndpoints(e.url()), WithReconnectBaseDelay(time.Millisecond))
		if status, _ := c.Status(); status.Endpoint != e.url() {
			t.Errorf("%+v", status)
		}
	}
}

// A Manager waits in any case.
func TestManagerWaitsForTheExchange(t *testing.T) {
	e := down(t)
	m := manager(t, e.url(), Handlers{}, quickly(WithMaxReconnectAttempts(0))...)
	result := make(chan error, 1)
	go func() { result <- m.Connect(within(t, soon)) }()
	eventually(t, "an attempt fails", func() bool { return m.State() == Reconnecting })
	e.start()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// Without it the log does not end with the announcement of an attempt that nobody makes.
func TestDialSaysThatItGivesUp(t *testing.T) {
	r := &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(r), slog.LevelDebug)
	if _, err := Dial(within(t, soon), down(t).url(), quickly()...); err == nil {
		t.Fatal("there is nobody to connect to")
	}
	eventually(t, "it says so", func() bool { return r.has(slog.LevelWarn, "Dial gives up") })
}

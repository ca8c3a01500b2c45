// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// outage dials, and kills the server; afterwards the connection comes back only when the server does.
func outage(t *testing.T, e *exchange, options ...Option) *Conn {
	t.Helper()
	c := dial(t, e.url(), quickly(options...)...)
	e.connections(1)
	if err := c.WaitReady(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	e.kill()
	eventually(t, "the loss is noticed", func() bool { return c.State() == Reconnecting })
	return c
}

func TestSendsWaitForTheConnection(t *testing.T) {
	e := newExchange(t)
	c := outage(t, e)
	ctx := within(t, soon)
	for i := 1; i <= 3; i++ {
		if err := c.Send(ctx, Text, []byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Send(ctx, Ping, nil); !errors.Is(err, ErrNotConnected) { // for the open connection only
		t.Errorf("ping: %v", err)
	}
	if s := balanced(t, c); s["queue_size"] != 3 {
		t.Errorf("%v", s)
	}
	e.start()
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	e.got("2:1", "2:2", "2:3")
	if s := balanced(t, c); s["messages_sent"] != 3 || s["queue_size"] != 0 {
		t.Errorf("%v", s)
	}
}

func TestQueuePolicies(t *testing.T) {
	for policy, test := range map[QueuePolicy]struct {
		err  error    // of what is over
		sent []string // in the end
		lost int
	}{
		DropOldest: {nil, []string{"2:3", "2:4"}, 2},
		DropNewest: {nil, []string{"2:1", "2:2"}, 2},
		Reject:     {ErrQueueFull, []string{"2:1", "2:2"}, 0},
		Block:      {context.DeadlineExceeded, []string{"2:1", "2:2"}, 0},
	} {
		t.Run(string(policy), func(t *testing.T) {
			e := newExchange(t)
			c := outage(t, e, WithMessageQueuePolicy(policy), WithMessageQueueSize(2), WithEvents(true))
			for i := 1; i <= 4; i++ {
				ctx := within(t, soon)
				if i > 2 && policy == Block {
					ctx = within(t, 20*time.Millisecond)
				}
				err := c.Send(ctx, Text, []byte(strconv.Itoa(i)))
				if expected := test.err; i > 2 && !errors.Is(err, expected) || i <= 2 && err != nil {
					t.Errorf("message %d: %v", i, err)
				}
			}
			if policy == Block {
				if _, err := c.SendWith(within(t, soon), Text, nil, NoWait()); !errors.Is(err, ErrQueueFull) {
					t.Errorf("NoWait: %v", err)
				}
			}
			if s := balanced(t, c); s["queue_size"] != 2 || int(s["messages_dropped"]) != test.lost {
				t.Errorf("%v", s)
			}
			for told := 0; told < test.lost; {
				dropped := nextEvent(t, c, "dropped", nil)
				if dropped.Messages < 1 || dropped.ID < 1 || dropped.LastID < dropped.ID || dropped.Cause != string(policy) {
					t.Errorf("%+v", dropped)
				}
				told += dropped.Messages
			}
			e.start()
			e.got(test.sent...)
		})
	}
}

// Senders that wait for room go on when it comes, and when trying to connect ends.
func TestBlockedSendersGoOn(t *testing.T) {
	for _, comes := range []bool{true, false} {
		e := newExchange(t)
		c := outage(t, e, WithMessageQueuePolicy(Block), WithMessageQueueSize(1))
		ctx := within(t, soon)
		if err := c.Send(ctx, Text, []byte("first")); err != nil {
			t.Fatal(err)
		}
		results := make(chan error)
		for i := 0; i < 3; i++ {
			go func() { results <- c.Send(ctx, Text, []byte("a")) }()
			go func() { _, err := c.SendWith(ctx, Text, []byte("b")); results <- err }()
			go func() { _, err := c.SendBatch(ctx, []Message{{Kind: Text, Data: []byte("c")}}); results <- err }()
		}
		if comes {
			e.start()
		} else if err := c.Disconnect(ctx); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 9; i++ {
			if err := <-results; comes && err != nil || !comes && !errors.Is(err, ErrClosed) {
				t.Errorf("%v", err)
			}
		}
		balanced(t, c)
	}
}

func TestLiveOnlyIsNeverLate(t *testing.T) {
	e := newExchange(t)
	c := outage(t, e)
	ctx := within(t, soon)
	if _, err := c.SendWith(ctx, Text, []byte("order"), LiveOnly()); !errors.Is(err, ErrNotConnected) {
		t.Errorf("%v", err)
	}
	if n, err := c.SendBatch(ctx, []Message{{Kind: Text, Data: []byte("order")}}, LiveOnly()); n != 0 ||
		!errors.Is(err, ErrNotConnected) {
		t.Errorf("%v, %v", n, err)
	}
	e.start()
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if id, err := c.SendWith(ctx, Text, []byte("live"), LiveOnly()); err != nil || id == 0 {
		t.Errorf("%v, %v", id, err)
	}
	e.got("2:live")
	if e.count("order") != 0 {
		t.Errorf("%q", e.texts)
	}
}

func TestTimeToLive(t *testing.T) {
	e := newExchange(t)
	c := outage(t, e, WithEvents(true), WithMessageTTL(10*time.Millisecond))
	ctx := within(t, soon)
	expired, err := c.SendWith(ctx, Text, []byte("expires"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendWith(ctx, Text, []byte("lasts"), TTL(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendWith(ctx, Text, []byte("for ever"), TTL(-5)); err != nil {
		t.Fatal(err)
	}
	event := nextEvent(t, c, "expired", nil)
	if event.Messages != 1 || event.ID != expired || event.LastID != expired || event.Cause == "" {
		t.Errorf("%+v", event)
	}
	e.start()
	e.got("2:lasts", "2:for ever")
	if s := balanced(t, c); s["messages_expired"] != 1 || e.count("expires") != 0 {
		t.Errorf("%v", s)
	}
}

func TestFates(t *testing.T) {
	e := newExchange(t)
	c := outage(t, e, WithEvents(true), WithMessageQueueSize(2))
	ctx := within(t, soon)
	fates := map[uint64]string{}
	send := func(expected string, options ...SendOption) {
		t.Helper()
		id, err := c.SendWith(ctx, Text, []byte("x"), append(options, Report())...)
		if err != nil {
			t.Fatal(err)
		}
		fates[id] = expected
	}
	send("dropped")
	send("expired", TTL(time.Millisecond))
	nextEvent(t, c, "expired", nil)
	send("sent")
	send("sent")
	// The outbox holds two besides the first, which makes room.
	e.start()
	ids := make([]uint64, 2)
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := c.SendBatch(ctx, []Message{{Kind: Text}, {Kind: Binary}}, Report(), IDs(ids)); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	fates[ids[0]], fates[ids[1]] = "sent", "sent"
	for len(fates) > 0 {
		event := nextEvent(t, c, "fate", nil)
		if expected, ok := fates[event.ID]; !ok || event.Fate != expected {
			t.Errorf("%+v, expected %q", event, expected)
		}
		delete(fates, event.ID)
	}
}

func TestSendBatch(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithMessageQueuePolicy(Block), WithMessageQueueSize(10))...)
	ctx := within(t, soon)
	if n, err := c.SendBatch(ctx, nil); n != 0 || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	first, err := c.SendWith(ctx, Text, []byte("first"))
	if err != nil || first != 1 {
		t.Fatal(first, err)
	}
	messages := make([]Message, 500)
	var expected []string
	for i := range messages {
		messages[i] = Message{Kind: Text, Data: []byte(strconv.Itoa(i))}
		expected = append(expected, fmt.Sprint("1:", i))
	}
	ids := make([]uint64, len(messages))
	if n, err := c.SendBatch(ctx, messages, IDs(ids)); n != len(messages) || err != nil {
		t.Fatal(n, err)
	}
	for i, id := range ids {
		if id != first+uint64(i)+1 {
			t.Fatalf("message %d has the id %d", i, id)
		}
	}
	e.got(expected...)
	// A bad one ends it; those before it are sent.
	n, err := c.SendBatch(ctx, []Message{{Kind: Text, Data: []byte("good")}, {Kind: Text, Data: []byte{0xff}},
		{Kind: Text, Data: []byte("not sent")}})
	if n != 1 || !errors.Is(err, ErrUTF8) {
		t.Errorf("%v, %v", n, err)
	}
	if n, err := c.SendBatch(ctx, []Message{{Kind: Ping}}); n != 0 || !errors.Is(err, ErrInvalid) {
		t.Errorf("%v, %v", n, err)
	}
	// Large ones, more than are copied at once, and empty ones.
	large := make([]Message, 12)
	for i := range large {
		large[i] = Message{Kind: Binary, Data: make([]byte, 1<<20)}
	}
	if n, err := c.SendBatch(ctx, append(large, Message{Kind: Text}, Message{Kind: Text})); n != 14 || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	e.got("1:good", "1:", "1:")
	if s := balanced(t, c); s["messages_sent"] != 516 {
		t.Errorf("%v", s)
	}
}

func TestSendBatchIntoAFullOutbox(t *testing.T) {
	e := newExchange(t)
	c := outage(t, e, WithMessageQueuePolicy(Reject), WithMessageQueueSize(3))
	messages := make([]Message, 5)
	for i := range messages {
		messages[i] = Message{Kind: Text, Data: []byte(strconv.Itoa(i))}
	}
	ids := make([]uint64, 2) // less room than messages
	if n, err := c.SendBatch(within(t, soon), messages, IDs(ids)); n != 3 || !errors.Is(err, ErrQueueFull) ||
		ids[0] == 0 || ids[1] != ids[0]+1 {
		t.Errorf("%v, %v, %v", n, err, ids)
	}
	if n := c.Purge(); n != 3 {
		t.Errorf("%d purged", n)
	}
	if err := c.Flush(within(t, soon)); err != nil {
		t.Error(err)
	}
	if s := balanced(t, c); s["messages_purged"] != 3 || s["messages_dropped"] != 3 {
		t.Errorf("%v", s)
	}
}

func TestRateLimit(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithRateLimit("2/300ms", "1000/1h"))...)
	ctx := within(t, soon)
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := 0; i < 2; i++ {
		if _, err := c.SendWith(ctx, Text, []byte("now"), InLimit(), NoWait()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.SendWith(ctx, Text, nil, InLimit(), NoWait()); !errors.Is(err, ErrRate) {
		t.Errorf("%v", err)
	}
	if n, err := c.SendBatch(ctx, []Message{{Kind: Text}}, InLimit(), NoWait()); n != 0 || !errors.Is(err, ErrRate) {
		t.Errorf("%v, %v", n, err)
	}
	if _, err := c.SendWith(ctx, Text, []byte("after a wait"), InLimit()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 290*time.Millisecond {
		t.Errorf("three messages within %v", took)
	}
	for i := 0; i < 3; i++ { // these wait in the outbox
		if err := c.Send(ctx, Text, []byte("later")); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 590*time.Millisecond {
		t.Errorf("six messages within %v", took)
	}
	e.got("1:now", "1:now", "1:after a wait", "1:later", "1:later", "1:later")
}

// Many goroutines send while the server is killed again and again: no message has two fates, or none, and each arrives
// once at most.
func TestBooksBalanceAcrossOutages(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithMessageQueuePolicy(Block), WithMessageQueueSize(50))...)
	const senders, each = 4, 300
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	var wg sync.WaitGroup
	for s := 0; s < senders; s++ {
		wg.Add(1)
		go func(s int) {
			defer wg.Done()
			for i := 0; i < each; i++ {
				var err error
				text := []byte(fmt.Sprint(s, "/", i))
				switch i % 3 {
				case 0:
					err = c.Send(ctx, Text, text)
				case 1:
					_, err = c.SendWith(ctx, Text, text)
				default:
					_, err = c.SendBatch(ctx, []Message{{Kind: Text, Data: text}})
				}
				if err != nil {
					t.Error(err)
					return
				}
				if i%20 == 0 {
					balanced(t, c)
				}
			}
		}(s)
	}
	for i := 1; i <= 5; i++ {
		e.connections(i)
		e.kill()
		e.start()
	}
	wg.Wait()
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	s := balanced(t, c)
	if s["messages_accepted"] != senders*each || s["queue_size"] != 0 || s["messages_dropped"] != 0 {
		t.Errorf("%v", s)
	}
	if err := c.Disconnect(ctx); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, text := range e.texts {
		if seen[text[2:]] {
			t.Errorf("%s arrived twice", text)
		}
		seen[text[2:]] = true
	}
	if len(seen) > int(s["messages_sent"]) {
		t.Errorf("%d arrived, %v sent", len(seen), s["messages_sent"])
	}
}

// A Disconnect sends for as long as its context lasts, and says what was not sent by then.
func TestDisconnectSaysWhatWasNotSent(t *testing.T) {
	e := newExchange(t)
	c := dial(t, e.url(), quickly(WithRateLimit("2/60s"), WithBacklogInterval(0))...)
	ctx := within(t, soon)
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 4; i++ {
		if err := c.Send(ctx, Text, []byte("order")); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := c.Disconnect(short); !errors.Is(err, ErrUnsent) {
		t.Error(err)
	}
	if s := c.Statistics(); s["messages_failed"] != 2 || s["messages_sent"] != 2 {
		t.Errorf("%v", s)
	}
}

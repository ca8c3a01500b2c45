// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pulsews.dev/go/pulse"
)

// The life of a hub: start, events, drain, close.

func TestOrderOfThings(t *testing.T) {
	h := newHub(t)
	if _, err := h.Address(0); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if err := h.Drain(within(t, soon), 0); !errors.Is(err, ErrNotConnected) {
		t.Error(err)
	}
	if err := h.Reload(); err == nil {
		t.Error("a hub that does not run was reloaded")
	}
	must(t, h.Start())
	if addresses := h.Addresses(); len(addresses) != 1 || !strings.HasPrefix(addresses[0], "127.0.0.1:") ||
		strings.HasSuffix(addresses[0], ":0") {
		t.Error(addresses)
	}
	if _, err := h.Address(1); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := h.Address(-1); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	for name, err := range map[string]error{"Listen": h.Listen("127.0.0.1:0"), "Route": h.Route("/a"), "Topic": h.Topic("a"),
		"Key": h.Key("k", "HS256", make([]byte, 32)), "Start": h.Start()} {
		if !errors.Is(err, ErrBusy) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := newHub(t)
	must(t, other.Listen(h.Addresses()[0]))
	if err := other.Start(); !errors.Is(err, ErrIO) || !strings.Contains(err.Error(), h.Addresses()[0]) {
		t.Error(err)
	}
	status, err := h.Status()
	if err != nil || status.Name != "hub" || status.State != "running" || status.Version != nativeVersion() || status.Epoch == "" ||
		status.Uptime <= 0 || status.Loops != 1 || status.Statistics["topics"] != 0 {
		t.Errorf("%+v, %v", status, err)
	}
	if text := h.Prometheus(); !strings.Contains(text, "\npulsews_hub_messages_written_total{hub=\"hub\"} 0\n") {
		t.Error(text)
	}
}

// After Close errors are errors, and what was counted is still told.
func TestClosedHub(t *testing.T) {
	h := startHub(t, WithHubEvents(HubConnected))
	publish(t, h, "t", "", "1")
	waiting := make(chan error, 1)
	go func() {
		_, err := h.Next(context.Background())
		waiting <- err
	}()
	must(t, h.Close())
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	ctx := within(t, soon)
	_, publishing := h.Publish(ctx, "t", "", []byte("1"))
	_, batching := h.PublishBatch(ctx, []Publication{{Topic: "t"}})
	_, next := h.Next(ctx)
	_, peers := h.Peers()
	_, address := h.Address(0)
	for name, err := range map[string]error{"Publish": publishing, "PublishBatch": batching, "Next": next, "Peers": peers,
		"Address": address, "Listen": h.Listen("127.0.0.1:0"), "Route": h.Route("/a"), "Topic": h.Topic("a"), "Start": h.Start(),
		"Key": h.Key("k", "HS256", make([]byte, 32)), "Load": h.Load("t", []Publication{{}}), "Reload": h.Reload(),
		"Drain": h.Drain(ctx, 0), "Send": h.Send(1, Text, nil), "Broadcast": h.Broadcast(Text, nil), "Answer": h.Answer(1, 200, nil, nil),
		"ClosePeer": h.ClosePeer(1, 1000, ""), "Subscribe": h.Subscribe(1, "t"), "Unsubscribe": h.Unsubscribe(1, "t"),
		"Admit": h.Admit(1), "Refuse": h.Refuse(1, 403, ""), "SetTopicState": h.SetTopicState("t", TopicLive, "")} {
		if !errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h.Addresses() != nil || h.Prometheus() != "" || h.Statistics()["messages_published"] != 1 {
		t.Error(h.Addresses(), h.Prometheus(), h.Statistics())
	}
	if status, err := h.Status(); err != nil || status.Statistics["messages_published"] != 1 {
		t.Errorf("%+v, %v", status, err)
	}
	must(t, h.Close())
}

// Close while everything is in use: whoever comes late gets ErrClosed.
func TestCloseWhileInUse(t *testing.T) {
	for round := 0; round < 5; round++ {
		h := startHub(t, WithHubEvents(HubConnected, HubClosed, HubMessage), WithHubLoops(2))
		url := hubURL(h, "/ws/stream?topics=t")
		var working sync.WaitGroup
		busy := func(work func() error) {
			working.Add(1)
			go func() {
				defer working.Done()
				for {
					if err := work(); err != nil {
						if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrQueueFull) {
							t.Error(err)
						}
						if errors.Is(err, ErrClosed) {
							return
						}
					}
				}
			}()
		}
		ctx, cancel := context.WithCancel(context.Background())
		events := make(chan HubEvent, 1000)
		for i := 0; i < 3; i++ {
			busy(func() error { _, err := h.Publish(ctx, "t", "", []byte("1")); return err })
			busy(func() error {
				_, err := h.PublishBatch(ctx, []Publication{{Topic: "t", Data: []byte("2")}, {Topic: "u", Data: []byte("3")}})
				return err
			})
			busy(func() error { event, err := h.Next(ctx); events <- event; return err })
			busy(func() error { _, err := h.Peers(); return err })
			busy(func() error { return h.Broadcast(Text, []byte("all")) })
		}
		c := dial(t, url)
		<-events
		if round%2 == 1 {
			go h.Drain(ctx, 0)
			eventually(t, "the drain has begun", func() bool { _, err := net.Dial("tcp", h.Addresses()[0]); return err != nil })
		}
		must(t, h.Close())
		go func() { // those of Next may have more to say
			for range events {
			}
		}()
		working.Wait()
		close(events)
		cancel()
		c.CloseWith(context.Background(), 0, "")
	}
}

func TestContextsOfNext(t *testing.T) {
	h := startHub(t, WithHubEvents(HubConnected))
	over, cancel := context.WithCancel(context.Background())
	results := make(chan error)
	for i := 0; i < 5; i++ {
		go func() {
			_, err := h.Next(over)
			results <- err
		}()
	}
	short, cancelShort := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancelShort()
	if _, err := h.Next(short); err != context.DeadlineExceeded {
		t.Error(err)
	}
	cancel()
	for i := 0; i < 5; i++ {
		if err := <-results; err != context.Canceled {
			t.Error(err)
		}
	}
	if _, err := h.Next(over); err != context.Canceled {
		t.Error(err)
	}
	join(t, h, "/ws/stream")
	happens(t, h, HubConnected) // no deadline is left behind
}

// Each event goes to one of several goroutines, and none is lost.
func TestEventsOfManyPeers(t *testing.T) {
	const peers, each = 20, 200
	h := startHub(t, WithHubEvents(HubMessage), WithHubLoops(2))
	ctx, cancel := context.WithCancel(within(t, soon))
	defer cancel()
	var mu sync.Mutex
	next, left := map[uint64]int{}, peers*each
	results := make(chan error, 3)
	for i := 0; i < 3; i++ {
		go func() {
			for {
				event, err := h.Next(ctx)
				if err != nil {
					results <- err
					return
				}
				mu.Lock()
				next[event.Peer]++
				if left--; left == 0 {
					cancel()
				}
				mu.Unlock()
			}
		}()
	}
	for i := 0; i < peers; i++ {
		c := join(t, h, "/ws/stream")
		go func() {
			for n := 0; n < each; n++ {
				c.Send(ctx, Text, []byte(fmt.Sprint(n)))
			}
		}()
	}
	for i := 0; i < 3; i++ {
		if err := <-results; err != context.Canceled {
			t.Error(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for peer, count := range next {
		if count != each {
			t.Errorf("%d of %d messages of peer %d", count, each, peer)
		}
	}
	if len(next) != peers {
		t.Errorf("%d peers", len(next))
	}
}

func TestDrainThatTakesLong(t *testing.T) {
	h := startHub(t, WithHubDrainSpread(time.Hour))
	var peers []*Conn
	for i := 0; i < 5; i++ {
		peers = append(peers, join(t, h, "/ws/stream"))
	}
	url := hubURL(h, "/ws/stream")
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	// Over the option's hour: it does not come to its end, and the hub takes nobody any more.
	for i := 0; i < 2; i++ {
		if err := h.Drain(short, -1); err != context.DeadlineExceeded {
			t.Error(err)
		}
	}
	if _, err := Dial(within(t, soon), url, WithReconnect(false)); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- h.Drain(context.Background(), -1) }()
	must(t, h.Close())
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	cut := 0 // without a close frame
	for _, c := range peers {
		_, err := c.Recv(within(t, soon))
		if err == nil {
			t.Error("a message")
		} else if !errors.Is(err, ErrPeerClosed) {
			cut++
		}
	}
	if cut < 3 {
		t.Errorf("%d of 5 were cut", cut)
	}
}

func TestDrain(t *testing.T) {
	h := startHub(t, WithHubEvents(HubDrained))
	c := join(t, h, "/ws/stream?topics=t")
	got[pulse.Subscribed](t, c)
	publish(t, h, "t", "", "1")
	closed := make(chan error, 1)
	go func() {
		for {
			if _, err := c.Recv(context.Background()); err != nil {
				closed <- err
				return
			}
		}
	}()
	must(t, h.Drain(within(t, soon), 0))
	var end *CloseError
	if err := <-closed; !errors.As(err, &end) || end.Code != 1012 {
		t.Error(err)
	}
	if e := happens(t, h, HubDrained); e.Count != 1 {
		t.Errorf("%+v", e)
	}
	for i := 0; i < 2; i++ {
		if _, err := h.Next(within(t, soon)); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	must(t, h.Drain(within(t, soon), 0))
	if s := h.Statistics(); s["peers_closed"] != 1 || s["active_connections"] != 0 || s["messages_offered"] != s["messages_written"] {
		t.Error(s)
	}
}

// The end of a drain is heard by who waits for events, though none was asked for.
func TestEndOfADrainWakesNext(t *testing.T) {
	h := startHub(t)
	waiting := make(chan error, 1)
	go func() {
		_, err := h.Next(context.Background())
		waiting <- err
	}()
	must(t, h.Drain(within(t, soon), 0))
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestHubsLeakNothing(t *testing.T) {
	round := func() {
		h := startHub(t, WithHubEvents(HubConnected, HubClosed))
		c := dial(t, hubURL(h, "/ws/stream?topics=t"), WithHostConnectRate("10000/s"))
		happens(t, h, HubConnected)
		publish(t, h, "t", "", "1")
		must(t, c.Close())
		happens(t, h, HubClosed)
		short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err := h.Next(short); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		must(t, h.Close())
	}
	round()
	fds, goroutines := descriptors(t), runtime.NumGoroutine()
	for i := 0; i < 50; i++ {
		round()
	}
	eventually(t, "descriptors and goroutines are as few as before", func() bool {
		return descriptors(t) <= fds+1 && runtime.NumGoroutine() <= goroutines+1
	})
}

// A hub that was only made goes when it is forgotten; one that was started runs on.
func TestForgottenHubs(t *testing.T) {
	forget := func(start bool) string {
		h, err := NewHub()
		must(t, err)
		must(t, h.Listen("127.0.0.1:0"))
		if !start {
			return ""
		}
		must(t, h.Start())
		return h.Addresses()[0]
	}
	before := descriptors(t)
	for i := 0; i < 10; i++ {
		forget(false)
	}
	eventually(t, "the hubs end", func() bool { runtime.GC(); return descriptors(t) <= before+1 })
	address := forget(true)
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	dial(t, "ws://"+address+"/ws/stream")
}

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pulsews.dev/go/pulse"
)

// What is published to topics, and what happens to peers.

// newHub makes a hub at a free port, with history for all topics, and closes it in the end.
func newHub(t testing.TB, options ...HubOption) *Hub {
	t.Helper()
	h, err := NewHub(options...)
	if err != nil {
		t.Fatalf("NewHub: %v", err)
	}
	t.Cleanup(func() { h.Close() })
	must(t, h.Listen("127.0.0.1:0"))
	must(t, h.Topic("**", WithTopicHistory(100)))
	return h
}

func startHub(t testing.TB, options ...HubOption) *Hub {
	t.Helper()
	h := newHub(t, options...)
	must(t, h.Start())
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func hubURL(h *Hub, path string) string { return "ws://" + h.Addresses()[0] + path }

// join connects a peer that speaks pulse.v1.
func join(t testing.TB, h *Hub, path string, options ...Option) *Conn {
	t.Helper()
	c := dial(t, hubURL(h, path), append([]Option{WithSubprotocols(pulse.Subprotocol), WithReconnect(false)}, options...)...)
	got[pulse.Welcome](t, c)
	return c
}

// got receives a message of that type.
func got[T any](t testing.TB, c *Conn) T {
	t.Helper()
	received, err := c.Recv(within(t, soon))
	must(t, err)
	message, err := pulse.Decode(received.Data)
	must(t, err)
	typed, is := message.(T)
	if !is {
		t.Fatalf("%s is no %T", received.Data, typed)
	}
	return typed
}

func say(t testing.TB, c *Conn, message any) {
	t.Helper()
	text, err := json.Marshal(message)
	must(t, err)
	must(t, c.Send(within(t, soon), Text, text))
}

// subscribe gives the answer to a subscription.
func subscribe(t testing.TB, c *Conn, topic pulse.Topic) pulse.Subscribed {
	t.Helper()
	say(t, c, pulse.Subscribe{Type: "subscribe", ID: pulse.ID("1"), Topics: []pulse.Topic{topic}})
	return got[pulse.Subscribed](t, c)
}

func publish(t testing.TB, h *Hub, topic, key, data string) uint64 {
	t.Helper()
	offset, err := h.Publish(within(t, soon), topic, key, []byte(data))
	must(t, err)
	return offset
}

// happens gives the next event, which has to be of that kind.
func happens(t testing.TB, h *Hub, kind HubEventKind) HubEvent {
	t.Helper()
	event, err := h.Next(within(t, soon))
	must(t, err)
	if event.Kind != kind || event.Time.IsZero() {
		t.Fatalf("%+v, expected %v", event, kind)
	}
	return event
}

func TestPricesToAPeer(t *testing.T) {
	h := startHub(t, WithHubName("edge"))
	c := dial(t, hubURL(h, "/ws/stream"), WithSubprotocols(pulse.Subprotocol))
	if welcome := got[pulse.Welcome](t, c); welcome.Data.Hub != "edge" || welcome.Data.Heartbeat != 25 {
		t.Errorf("%+v", welcome)
	}
	answer := subscribe(t, c, pulse.Topic{Topic: "price.SOL"})
	if answer.Offset != 0 || answer.State != pulse.StateLive || string(answer.ID) != "1" {
		t.Errorf("%+v", answer)
	}
	for i := uint64(1); i <= 3; i++ {
		if offset := publish(t, h, "price.SOL", "", fmt.Sprintf(`{"type":"price_update","price":"%d"}`, i)); offset != i {
			t.Errorf("offset %d, expected %d", offset, i)
		}
	}
	for i := uint64(1); i <= 3; i++ {
		m := got[pulse.Published](t, c)
		if m.Type != "price_update" || m.O != i || m.P != i-1 || !strings.Contains(string(m.Data), fmt.Sprintf("%q", fmt.Sprint(i))) {
			t.Errorf("%+v", m)
		}
	}
	if s := h.Statistics(); s["messages_published"] != 3 || s["topics"] != 1 {
		t.Error(s)
	}
}

func TestManyAtOnceWithKeysAndStamps(t *testing.T) {
	h := newHub(t)
	must(t, h.Topic("book.*", WithTopicLatest(true), WithTopicHistory(10)))
	must(t, h.Start())
	ctx := within(t, soon)
	n, err := h.PublishBatch(ctx, []Publication{
		{Topic: "book.a", Key: "x", Data: []byte(`{"n":1}`)},
		{Topic: "book.a", Key: "y", Data: []byte(`{"n":2}`)},
		{Topic: "book.b", Data: []byte("3")},
		{Topic: "book.a", Key: "x", Data: []byte(`{"n":4}`), ExchangeNS: 1_500_000, ReceivedNS: 2_000_000},
	})
	if n != 4 || err != nil {
		t.Fatal(n, err)
	}
	c := join(t, h, "/ws/stream")
	subscribe(t, c, pulse.Topic{Topic: "book.a"})
	snapshot := got[pulse.Snapshot](t, c)
	if len(snapshot.Items) != 2 || snapshot.Items[0].O != 2 || snapshot.Items[1].O != 3 || *snapshot.Items[1].T[0] != 1.5 ||
		*snapshot.Items[1].T[1] != 2 || snapshot.Items[0].T[0] != nil {
		t.Errorf("%+v", snapshot)
	}
	// From the first on, and why it went no further.
	for name, bad := range map[string]struct {
		publication Publication
		is          error
	}{
		"no JSON":    {Publication{Topic: "t", Data: []byte("{")}, ErrValue},
		"no name":    {Publication{Data: []byte("1")}, ErrInvalid},
		"a NUL":      {Publication{Topic: "t\x00", Data: []byte("1")}, ErrInvalid},
		"a long key": {Publication{Topic: "t", Key: strings.Repeat("k", 257), Data: []byte("1")}, ErrInvalid},
	} {
		good := Publication{Topic: "t", Data: []byte("1")}
		if n, err := h.PublishBatch(ctx, []Publication{good, bad.publication, good}); n != 1 || !errors.Is(err, bad.is) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if n, err := h.PublishBatch(ctx, []Publication{bad.publication, good}); n != 0 || !errors.Is(err, bad.is) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if n, err := h.PublishBatch(ctx, nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	many := make([]Publication, batchCount+10)
	for i := range many {
		many[i] = Publication{Topic: "many", Data: []byte("1")}
	}
	if n, err := h.PublishBatch(ctx, many); n != len(many) || err != nil {
		t.Error(n, err)
	}
}

func TestWhatIsNotPublished(t *testing.T) {
	h := newHub(t, WithHubPublishQueueBytes(4096))
	must(t, h.Topic("raw.*", WithTopicBinary(true)))
	must(t, h.Start())
	ctx := within(t, soon)
	long := strings.Repeat("n", 256)
	for _, test := range []struct {
		topic, key, data string
		is               error
	}{
		{"t", "", "{}", nil}, {"t", "k", "{}", nil}, {"raw.a", "", "\x00\xff", nil}, {"raw.a", "", "", nil}, {long, long, "1", nil},
		{"t", "", "{", ErrValue}, {"t", "", "", ErrValue}, {"t", "", "\"\xff\"", ErrValue}, {"", "", "1", ErrInvalid},
		{"t\x00", "", "1", ErrInvalid}, {"t", "k\x00", "1", ErrInvalid}, {long + "n", "", "1", ErrInvalid},
		{"t", long + "n", "1", ErrInvalid}, {"a\nb", "", "1", ErrInvalid}, {"t", "", `"` + strings.Repeat("x", 5000) + `"`, ErrQueueFull},
	} {
		offset, err := h.Publish(ctx, test.topic, test.key, []byte(test.data))
		if !errors.Is(err, test.is) || (offset == 0) != (err != nil) {
			t.Errorf("%.20q %.20q %.20q: %d, %v", test.topic, test.key, test.data, offset, err)
		}
		if err != nil && !strings.Contains(err.Error(), "was not taken: ") {
			t.Error(err)
		}
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := h.Publish(over, "t", "", []byte("1")); err != context.Canceled {
		t.Error(err)
	}
	if n, err := h.PublishBatch(over, []Publication{{Topic: "t", Data: []byte("1")}}); n != 0 || err != context.Canceled {
		t.Error(n, err)
	}
}

func TestHistoryThatWasLoaded(t *testing.T) {
	h := newHub(t)
	must(t, h.Load("t", []Publication{{Data: []byte("1")}, {Data: []byte("5"), Offset: 5, PublishedNS: 1e15}}))
	must(t, h.Load("t", nil))
	if err := h.Load("t", []Publication{{Data: []byte("1"), Offset: 2}}); !errors.Is(err, ErrInvalid) ||
		!strings.Contains(err.Error(), "history") {
		t.Error(err)
	}
	must(t, h.Start())
	c := join(t, h, "/ws/stream")
	if answer := subscribe(t, c, pulse.Topic{Topic: "t", History: 10}); answer.Offset != 5 {
		t.Errorf("%+v", answer)
	}
	if items := got[pulse.Snapshot](t, c).Items; len(items) != 2 || items[0].O != 1 || items[1].O != 5 || *items[1].T[2] != 1e9 {
		t.Errorf("%+v", items)
	}
	if offset := publish(t, h, "t", "", "{}"); offset != 6 {
		t.Error(offset)
	}
	if err := h.Load("t", []Publication{{Data: []byte("7")}}); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
}

func TestTheStateOfATopicIsTold(t *testing.T) {
	h := startHub(t)
	c := join(t, h, "/ws/stream")
	subscribe(t, c, pulse.Topic{Topic: "t"})
	must(t, h.SetTopicState("t", TopicFailover, "binance-1 is gone"))
	if m := got[pulse.TopicState](t, c); m.State != pulse.StateFailover || m.Cause != "binance-1 is gone" || m.Age != nil {
		t.Errorf("%+v", m)
	}
	must(t, h.SetTopicState("t", TopicEnded, ""))
	if m := got[pulse.TopicState](t, c); m.State != pulse.StateEnded || m.Cause != "" {
		t.Errorf("%+v", m)
	}
	for _, err := range []error{h.SetTopicState("t", TopicState(9), ""), h.SetTopicState("", TopicLive, ""),
		h.SetTopicState("a\x00", TopicLive, ""), h.SetTopicState("t", TopicLive, "\x00")} {
		if !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	}
}

func TestWhatATopicHas(t *testing.T) {
	h := startHub(t)
	if text, err := h.Snapshot("price"); !errors.Is(err, ErrInvalid) || len(text) != 0 {
		t.Errorf("%s %v", text, err)
	}
	for _, price := range []string{"1.50", "1.60"} {
		_, err := h.Publish(within(t, soon), "price", "", []byte(`{"price":"`+price+`"}`))
		must(t, err)
	}
	text, err := h.Snapshot("price")
	must(t, err)
	if !strings.HasPrefix(string(text), `{"type":"snapshot","topic":"price",`) || !strings.Contains(string(text), `"1.60"`) {
		t.Errorf("%s", text)
	}
}

func TestTheLifeOfAPeer(t *testing.T) {
	h := startHub(t, WithHubEvents(HubConnected, HubClosed, HubMessage),
		WithHubEvents(HubSubscribe, HubUnsubscribe, HubTopicIdle, HubTopicWanted))
	c := join(t, h, "/ws/stream?x=1", WithHeader("X-Test", "yes"), WithHeader("Cookie", "secret"))
	first := happens(t, h, HubConnected)
	if first.Peer == 0 || first.Address != "127.0.0.1" || first.Route != "/ws/stream" || !strings.HasPrefix(first.Target, "/ws/stream") ||
		first.Header.Get("X-Test") != "yes" || first.Header.Get("Cookie") != "" || first.Subprotocol != pulse.Subprotocol {
		t.Errorf("%+v", first)
	}
	subscribe(t, c, pulse.Topic{Topic: "t"})
	if e := happens(t, h, HubTopicWanted); e.Topic != "t" || e.Peer != 0 {
		t.Errorf("%+v", e)
	}
	if e := happens(t, h, HubSubscribe); e.Peer != first.Peer || e.Topic != "t" || e.Count != 1 {
		t.Errorf("%+v", e)
	}
	must(t, c.Send(within(t, soon), Text, []byte("hello")))
	must(t, c.Send(within(t, soon), Binary, []byte{0, 1}))
	if e := happens(t, h, HubMessage); e.Peer != first.Peer || e.MessageKind != Text || string(e.Data) != "hello" {
		t.Errorf("%+v", e)
	}
	if e := happens(t, h, HubMessage); e.MessageKind != Binary || string(e.Data) != "\x00\x01" {
		t.Errorf("%+v", e)
	}
	publish(t, h, "t", "", "1")
	got[pulse.Published](t, c)
	must(t, c.CloseWith(within(t, soon), 3000, "bye"))
	if e := happens(t, h, HubUnsubscribe); e.Topic != "t" || e.Count != 0 {
		t.Errorf("%+v", e)
	}
	if e := happens(t, h, HubTopicIdle); e.Topic != "t" || e.Peer != 0 {
		t.Errorf("%+v", e)
	}
	if e := happens(t, h, HubClosed); e.Peer != first.Peer || e.CloseCode != 3000 || e.Reason != "bye" || e.Count != 1 {
		t.Errorf("%+v", e)
	}
	// It has gone: nothing of this does anything, and nothing fails.
	must(t, h.Send(first.Peer, Text, []byte("late")))
	must(t, h.Subscribe(first.Peer, "t"))
	must(t, h.Unsubscribe(first.Peer, "t"))
	must(t, h.ClosePeer(first.Peer, 1000, ""))
	join(t, h, "/ws/stream")
	if e := happens(t, h, HubConnected); e.Peer == first.Peer {
		t.Error("a number was used again")
	}
}

func TestWhatAHubSaysToOnePeer(t *testing.T) {
	h := startHub(t, WithHubEvents(HubConnected))
	one := join(t, h, "/ws/stream")
	first := happens(t, h, HubConnected).Peer
	other := join(t, h, "/ws/stream")
	second := happens(t, h, HubConnected).Peer
	receives := func(c *Conn, kind Kind, text string) {
		t.Helper()
		if m, err := c.Recv(within(t, soon)); err != nil || m.Kind != kind || m.Text() != text {
			t.Errorf("%v %q, %v, expected %v %q", m.Kind, m.Data, err, kind, text)
		}
	}
	must(t, h.Send(first, Text, []byte("to one")))
	must(t, h.Send(second, Binary, nil))
	receives(one, Text, "to one")
	receives(other, Binary, "")
	must(t, h.Broadcast(Text, []byte("to all")))
	receives(one, Text, "to all")
	receives(other, Text, "to all")
	must(t, h.Subscribe(first, "t"))
	if got[pulse.Subscribed](t, one).Topic != "t" {
		t.Error("another topic")
	}
	must(t, h.Unsubscribe(first, "t"))
	if got[pulse.Unsubscribed](t, one).Topic != "t" {
		t.Error("another topic")
	}
	publish(t, h, "t", "", "1") // not to it: what it gets next is below
	for _, test := range []struct{ err, is error }{
		{h.Send(0, Text, []byte("x")), ErrInvalid}, {h.Send(first, Text, []byte{0xff}), ErrUTF8}, {h.Send(first, Ping, nil), ErrInvalid},
		{h.Subscribe(first, ""), ErrInvalid}, {h.Subscribe(first, "a\x00b"), ErrInvalid}, {h.Unsubscribe(first, "a\x00b"), ErrInvalid},
		{h.ClosePeer(first, 1005, ""), ErrInvalid}, {h.ClosePeer(first, 1<<40+1000, ""), ErrInvalid},
		{h.ClosePeer(first, 1000, strings.Repeat("x", 124)), ErrInvalid}, {h.ClosePeer(first, 1000, "\x00"), ErrInvalid},
	} {
		if !errors.Is(test.err, test.is) {
			t.Errorf("%v, expected %v", test.err, test.is)
		}
	}
	must(t, h.ClosePeer(first, 4003, "enough"))
	var closed *CloseError
	if _, err := one.Recv(within(t, soon)); !errors.As(err, &closed) || closed.Code != 4003 || closed.Reason != "enough" {
		t.Error(err)
	}
	must(t, h.Broadcast(Text, []byte("still here")))
	receives(other, Text, "still here")
}

func TestConflationAndBooks(t *testing.T) {
	h := newHub(t)
	must(t, h.Topic("price.*", WithTopicConflate("symbol"), WithTopicFlush(50_000_000)))
	must(t, h.Start())
	c := join(t, h, "/ws/stream?topics=price.all")
	got[pulse.Subscribed](t, c)
	for n := 0; n < 100; n++ {
		publish(t, h, "price.all", "", fmt.Sprintf(`{"symbol":"SOL","n":%d}`, n))
	}
	publish(t, h, "price.all", "BTC", `{"n":100}`)
	skipped, last := uint64(0), uint64(0)
	for last < 101 {
		m := got[pulse.Published](t, c)
		if m.P != last {
			t.Errorf("%+v follows %d", m, last)
		}
		skipped, last = skipped+m.Skipped, m.O
	}
	s := h.Statistics()
	if s["messages_conflated"] != float64(skipped) || skipped == 0 {
		t.Errorf("%d were skipped: %v", skipped, s)
	}
	if s["messages_offered"] != 101 ||
		s["messages_offered"] != s["messages_written"]+s["messages_conflated"]+s["messages_dropped"]+s["messages_queued"] {
		t.Errorf("the books do not balance: %v", s)
	}
	peers, err := h.Peers()
	if err != nil || len(peers) != 1 {
		t.Fatal(peers, err)
	}
	p := peers[0]
	if p.Offered != 101 || p.Offered != p.Written+p.Conflated+p.Dropped+p.Queued || p.Peer == 0 || p.Age <= 0 || p.Subscriptions != 1 ||
		p.Protocol != pulse.Subprotocol || p.Route != "/ws/stream" || p.Address != "127.0.0.1" || !p.Compression {
		t.Errorf("%+v", p)
	}
}

func TestFiftyGoroutinesPublish(t *testing.T) {
	const goroutines, each = 50, 100
	h := startHub(t, WithHubQueueMessages(goroutines*each), WithHubLoops(2))
	c := join(t, h, "/ws/stream?topics=t")
	got[pulse.Subscribed](t, c)
	ctx := within(t, soon)
	offsets := make([][]uint64, goroutines)
	var working sync.WaitGroup
	for g := range offsets {
		working.Add(1)
		go func(g int) {
			defer working.Done()
			for n := 0; n < each; n++ {
				offset, err := h.Publish(ctx, "t", "", []byte(fmt.Sprintf("[%d,%d]", g, n)))
				if err != nil {
					t.Error(err)
				}
				offsets[g] = append(offsets[g], offset)
			}
		}(g)
	}
	next := make([]int, goroutines)
	for o := uint64(1); o <= goroutines*each; o++ {
		m := got[pulse.Published](t, c)
		var who [2]int
		if err := json.Unmarshal(m.Data, &who); err != nil || m.O != o || next[who[0]] != who[1] {
			t.Fatalf("%+v, expected offset %d, and number %d of goroutine %d: %v", m, o, next[who[0]], who[0], err)
		}
		next[who[0]]++
	}
	working.Wait()
	seen := map[uint64]bool{}
	for _, own := range offsets {
		for i, offset := range own {
			if seen[offset] || i > 0 && offset <= own[i-1] {
				t.Errorf("offset %d", offset)
			}
			seen[offset] = true
		}
	}
}

func TestPublishAllocatesNothing(t *testing.T) {
	h := startHub(t)
	ctx, data := within(t, soon), []byte(`{"type":"price_update","price":"1.50"}`)
	topic, key := strings.Repeat("t", 20), strings.Repeat("k", 20)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := h.Publish(ctx, topic, key, data); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestASlowPeer(t *testing.T) {
	h := startHub(t, WithHubQueueMessages(5), WithHubSlowPolicy(SlowDisconnect), WithHubEvents(HubSlow, HubClosed), WithHubCompression(false))
	url := strings.TrimPrefix(hubURL(h, ""), "ws://")
	conn := upgradeRaw(t, "tcp", url, "/ws/stream?topics=t")
	data := []byte(`"` + strings.Repeat("x", 100_000) + `"`)
	for h.Statistics()["peers_slow"] == 0 { // it reads nothing
		if _, err := h.Publish(within(t, soon), "t", "", data); err != nil && !errors.Is(err, ErrQueueFull) {
			t.Fatal(err)
		}
	}
	slow := happens(t, h, HubSlow)
	if slow.Policy != SlowDisconnect || slow.Route != "/ws/stream" || slow.Peer == 0 {
		t.Errorf("%+v", slow)
	}
	conn.Close()
	if e := happens(t, h, HubClosed); e.Peer != slow.Peer || e.CloseCode != 4008 {
		t.Errorf("%+v", e)
	}
	if s := h.Statistics(); s["messages_dropped"] == 0 || s["messages_offered"] != s["messages_written"]+s["messages_dropped"] {
		t.Error(s)
	}
}

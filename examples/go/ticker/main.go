// SPDX-License-Identifier: Apache-2.0

// Ticker subscribes to market streams and prints what arrives, with the one-way latency of each tick. When the
// connection is lost it comes back and subscribes again by itself; the summary tells how long the ticks were away.
//
//	go run ./ticker -ca ca.pem -seconds 10 wss://localhost:8443/stream
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	pulsews "pulsews.dev/go"
)

var streams = []string{"btcusdt@bookTicker", "ethusdt@bookTicker", "btcusdt@kline_1m", "ethusdt@kline_1m"}

type message struct {
	Stream string `json:"stream"`
	ID     int    `json:"id"`
	Data   *struct {
		Sequence int64  `json:"u"`
		SentNs   int64  `json:"ns"`
		Bid      string `json:"b"`
		Ask      string `json:"a"`
		BidSize  string `json:"B"` // encoding/json takes "B" for "b" when there is no field for it
		AskSize  string `json:"A"`
		Candle   *struct {
			Close string `json:"c"`
		} `json:"k"`
	} `json:"data"`
}

type ticker struct {
	last      map[string]int64 // sequence number of each stream's last tick
	latencies []time.Duration  // of every tick
	drops     int64
	inOrder   bool
	printed   time.Time
	lastTick  time.Time

	restarts      int // streams that began again: on a new connection each counts from 1
	before        int // ticks until the connection was lost
	lost, back    time.Time
	reconnections int64
}

func (t *ticker) tick(m message, received time.Time) {
	delay := received.Sub(time.Unix(0, m.Data.SentNs))
	if m.Data.Sequence == 1 && t.last[m.Stream] > 0 {
		t.restarts++
		t.last[m.Stream] = 0
		if t.back.IsZero() {
			t.before, t.lost, t.back = len(t.latencies), t.lastTick, received
		}
	}
	expected := t.last[m.Stream] + 1
	t.drops += max(0, m.Data.Sequence-expected)
	t.inOrder = t.inOrder && m.Data.Sequence == expected
	t.last[m.Stream] = m.Data.Sequence
	t.lastTick = received
	t.latencies = append(t.latencies, delay)
	if received.Sub(t.printed) < 200*time.Millisecond { // readable, not complete
		return
	}
	t.printed = received
	what := fmt.Sprintf("bid %s  ask %s", m.Data.Bid, m.Data.Ask)
	if m.Data.Candle != nil {
		what = "close " + m.Data.Candle.Close
	}
	fmt.Printf("%-20s %s  %d us\n", m.Stream, what, delay.Microseconds())
}

func (t *ticker) run(ctx context.Context, url, ca string, duration time.Duration) error {
	options := []pulsews.Option{pulsews.WithName("ticker.go")}
	if ca != "" {
		options = append(options, pulsews.WithCAFile(ca))
	}
	c, err := pulsews.Dial(ctx, url, options...)
	if err != nil {
		return err
	}
	defer c.Close()
	// Sent now, and again on every connect.
	if err := c.SubscribeWith("ticker", request("SUBSCRIBE", 1), request("UNSUBSCRIBE", 2)); err != nil {
		return err
	}
	defer func() { t.reconnections = int64(c.Statistics()["reconnections"]) }()
	time.AfterFunc(duration, func() { c.Unsubscribe("ticker") })
	ctx, cancel := context.WithTimeout(ctx, duration+5*time.Second)
	defer cancel()
	for {
		batch, err := c.RecvBatch(ctx, 256)
		if err != nil {
			return err
		}
		for _, received := range batch {
			var m message
			if err := json.Unmarshal(received.Data, &m); err != nil {
				return err
			}
			if m.Data != nil {
				t.tick(m, received.Received())
			} else if m.ID == 2 { // the answer to the unsubscription: no ticks after it
				return nil
			}
		}
	}
}

func request(method string, id int) string {
	params, _ := json.Marshal(streams)
	return fmt.Sprintf(`{"method":%q,"params":%s,"id":%d}`, method, params, id)
}

func (t *ticker) summary() string {
	slices.Sort(t.latencies)
	percentile := func(percent int) float64 {
		if len(t.latencies) == 0 {
			return 0
		}
		return float64(t.latencies[(len(t.latencies)-1)*percent/100].Nanoseconds()) / 1000
	}
	if t.back.IsZero() {
		t.before = len(t.latencies)
	}
	text, _ := json.Marshal(map[string]any{"language": "Go", "messages": len(t.latencies), "p50_us": percentile(50),
		"p99_us": percentile(99), "drops": t.drops, "in_order": t.inOrder, "reconnections": t.reconnections,
		"restarted_streams": t.restarts, "before": t.before, "lost_ns": nanoseconds(t.lost), "back_ns": nanoseconds(t.back)})
	return string(text)
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func main() {
	ca := flag.String("ca", "", "file with the certificates to trust; default: the system's")
	seconds := flag.Float64("seconds", 10, "how long")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: ticker [-ca FILE] [-seconds N] URL")
		os.Exit(2)
	}
	// The library tells what happens to the connection: lost, why, when it tries again, connected.
	if err := pulsews.SetLogger(slog.Default(), slog.LevelInfo); err != nil {
		fmt.Fprintln(os.Stderr, "ticker:", err)
		os.Exit(1)
	}
	t := &ticker{last: map[string]int64{}, inOrder: true}
	err := t.run(context.Background(), flag.Arg(0), *ca, time.Duration(*seconds*float64(time.Second)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "ticker:", err)
	}
	fmt.Println(t.summary())
	if err != nil {
		os.Exit(1)
	}
}

// SPDX-License-Identifier: Apache-2.0

// Ticker subscribes to market streams and prints what arrives, with the one-way latency of each tick.
//
//	go run ./ticker -ca ca.pem -seconds 10 wss://localhost:8443/stream
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
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
	gaps      int64
	inOrder   bool
	printed   time.Time
}

func (t *ticker) tick(m message, received time.Time) {
	delay := received.Sub(time.Unix(0, m.Data.SentNs))
	expected := t.last[m.Stream] + 1
	t.gaps += max(0, m.Data.Sequence-expected)
	t.inOrder = t.inOrder && m.Data.Sequence == expected
	t.last[m.Stream] = m.Data.Sequence
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
	var options []pulsews.Option
	if ca != "" {
		options = append(options, pulsews.WithCAFile(ca))
	}
	c, err := pulsews.Dial(ctx, url, options...)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := request(ctx, c, "SUBSCRIBE", 1); err != nil {
		return err
	}
	time.AfterFunc(duration, func() { request(ctx, c, "UNSUBSCRIBE", 2) })
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

func request(ctx context.Context, c *pulsews.Conn, method string, id int) error {
	text, err := json.Marshal(map[string]any{"method": method, "params": streams, "id": id})
	if err != nil {
		return err
	}
	return c.Send(ctx, pulsews.Text, text)
}

func (t *ticker) summary() string {
	slices.Sort(t.latencies)
	percentile := func(percent int) float64 {
		if len(t.latencies) == 0 {
			return 0
		}
		return float64(t.latencies[(len(t.latencies)-1)*percent/100].Nanoseconds()) / 1000
	}
	return fmt.Sprintf(`{"language":"Go","messages":%d,"p50_us":%.1f,"p99_us":%.1f,"drops":%d,"in_order":%t}`,
		len(t.latencies), percentile(50), percentile(99), t.gaps, t.inOrder)
}

func main() {
	ca := flag.String("ca", "", "file with the certificates to trust; default: the system's")
	seconds := flag.Float64("seconds", 10, "how long")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: ticker [-ca FILE] [-seconds N] URL")
		os.Exit(2)
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

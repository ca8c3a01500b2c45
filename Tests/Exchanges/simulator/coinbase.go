// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// Coinbase Advanced Trade: a subscription within five seconds, heartbeats on demand, one sequence for all messages of a
// connection.
type coinbase struct{ exchange *exchange }

func newCoinbase() *exchange {
	e := &exchange{name: "coinbase", rules: rules{
		connects:    window{8, real(time.Second)},
		messages:    window{8, real(time.Second)},
		ofClient:    true,
		firstWithin: real(5 * time.Second),
		mutes:       true,
		skips:       true,
		staleAfter:  real(90 * time.Second),
	}}
	e.protocol = &coinbase{e}
	e.addStreams(func(name string) string { return name }, []string{"BTC-USD", "ETH-USD", "SKL-USD"}, nil)
	return e
}

func (p *coinbase) opened(c *conn)              { c.asked = time.Time{} }
func (p *coinbase) first(*conn, *stream) []byte { return nil }
func (p *coinbase) notice(*conn) []byte         { return nil }

// numbered is a message with the connection's next number.
func (p *coinbase) numbered(c *conn, channel, rest string) []byte {
	text := fmt.Sprintf(`{"channel":"%s","client_id":"","timestamp":"%s","sequence_num":%d,%s}`, channel,
		time.Now().UTC().Format(time.RFC3339Nano), c.number, rest)
	c.number++
	return []byte(text)
}

func (p *coinbase) tick(c *conn, now time.Time) {
	// c.beaten is the last heartbeat; c.asked the time when the channel was subscribed.
	if c.asked.IsZero() || now.Sub(c.beaten) < real(time.Second) {
		if c.asked.IsZero() && now.Sub(c.lastOut) > real(90*time.Second) {
			c.client.breaks++
			c.end(1000, "idle")
		}
		return
	}
	c.beaten = now
	counter := int(now.Sub(c.asked) / real(time.Second))
	c.send(p.numbered(c, "heartbeats", fmt.Sprintf(`"events":[{"current_time":"%s","heartbeat_counter":%d}]`, now.UTC(),
		counter)))
}

func (p *coinbase) text(c *conn, text []byte) {
	var request struct {
		Type     string   `json:"type"`
		Channel  string   `json:"channel"`
		Products []string `json:"product_ids"`
	}
	if json.Unmarshal(text, &request) != nil || request.Type != "subscribe" && request.Type != "unsubscribe" {
		c.client.banned("an unsupported message: %.60s", text)
		return
	}
	switch {
	case request.Channel == "heartbeats":
		c.asked = time.Now()
	case request.Channel != "ticker" || len(request.Products) == 0:
		c.send([]byte(`{"type":"error","message":"failure to subscribe"}`))
		c.client.banned("a channel that is not there: %.60s", text)
		return
	case request.Type == "unsubscribe":
		for _, name := range request.Products {
			delete(c.subscribed, name)
		}
	case delisted(request.Products...) != "":
		c.send(p.numbered(c, "", `"type":"error","message":"failure to subscribe: not a valid product"`))
		return
	case !c.subscribe(request.Products...):
		return
	}
	c.send(p.numbered(c, "subscriptions", fmt.Sprintf(`"events":[{"subscriptions":{"%s":["BTC-USD"]}}]`, request.Channel)))
	if request.Channel == "ticker" && request.Type == "subscribe" {
		c.begin(request.Products...)
	}
}

func (p *coinbase) data(c *conn, m *message) []byte {
	return p.numbered(c, "ticker", fmt.Sprintf(
		`"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"%s","price":"%.4f"}]}],%s`, m.stream.symbol,
		m.price, m.sim))
}

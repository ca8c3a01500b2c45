// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Deribit: JSON-RPC; heartbeats that the client asks for, and has to answer; credits.
type deribit struct{ exchange *exchange }

func newDeribit() *exchange {
	e := &exchange{name: "deribit", rules: rules{
		mostAtOnce: 32,
		mutes:      true,
		skips:      true,
		staleAfter: real(90 * time.Second),
	}}
	e.protocol = &deribit{e}
	e.addStreams(func(name string) string { return strings.Split(name, ".")[1] },
		[]string{"book.BTC-PERPETUAL.100ms", "book.ETH-PERPETUAL.100ms"}, nil)
	return e
}

func (p *deribit) opened(c *conn) { c.pool, c.poolAt = 30000, c.born }

func (p *deribit) notice(*conn) []byte { return nil }

// c.nextPing is the next heartbeat, c.asked the test_request that waits for its answer.
func (p *deribit) tick(c *conn, now time.Time) {
	interval := real(30 * time.Second)
	if !c.isKnown {
		if now.Sub(c.born) > interval {
			c.client.banned("heartbeats were not asked for")
		}
		return
	}
	if !c.asked.IsZero() && now.Sub(c.asked) > real(10*time.Second)+late.slack() {
		c.client.banned("a test_request was not answered")
		return
	}
	if now.Before(c.beaten.Add(interval)) {
		return
	}
	c.beaten = now
	c.send([]byte(`{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}`))
	c.asked = now
	c.send([]byte(`{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}`))
}

// pay takes credits; 10000 come back each second.
func (p *deribit) pay(c *conn, credits float64) bool {
	now := time.Now()
	c.pool = min(30000, c.pool+10000*float64(now.Sub(c.poolAt))/float64(real(time.Second))) - credits
	c.poolAt = now
	if c.pool < 0 {
		c.client.banned("too many requests (10028)")
	}
	return c.pool >= 0
}

func (p *deribit) text(c *conn, text []byte) {
	var request struct {
		Version string `json:"jsonrpc"`
		ID      *int64 `json:"id"`
		Method  string `json:"method"`
		Params  struct {
			Interval int      `json:"interval"`
			Channels []string `json:"channels"`
		} `json:"params"`
	}
	if json.Unmarshal(text, &request) != nil || request.Version != "2.0" || request.ID == nil {
		c.client.banned("an unsupported message: %.60s", text)
		return
	}
	answer := func(result string) {
		c.send([]byte(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s,"usIn":1,"usOut":2,"usDiff":1,"testnet":false}`,
			*request.ID, result)))
	}
	switch request.Method {
	case "public/set_heartbeat":
		if request.Params.Interval < 10 {
			c.client.banned("an interval of less than 10 s")
			return
		}
		if p.pay(c, 500) {
			c.isKnown, c.beaten = true, time.Now()
			answer(`"ok"`)
		}
	case "public/test":
		if p.pay(c, 500) {
			c.asked = time.Time{}
			answer(`{"version":"1.2.26"}`)
		}
	case "public/subscribe":
		if !p.pay(c, 3000) {
			return
		}
		if delisted(request.Params.Channels...) != "" {
			c.send([]byte(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":11050,"message":"bad_request"},"usIn":1,`+
				`"usOut":2,"usDiff":1,"testnet":false}`, *request.ID)))
			return
		}
		if !c.subscribe(request.Params.Channels...) {
			return
		}
		list, _ := json.Marshal(request.Params.Channels)
		answer(string(list))
		c.begin(request.Params.Channels...)
	case "public/unsubscribe":
		if p.pay(c, 3000) {
			answer("[]")
		}
	default:
		c.client.banned("an unsupported method: %.60s", request.Method)
	}
}

func (p *deribit) book(s *stream, kind, previous, more string, price, quantity float64) []byte {
	return []byte(fmt.Sprintf(`{"jsonrpc":"2.0","method":"subscription","params":{"channel":"%s","data":{"type":"%s",`+
		`"timestamp":%d,%s"instrument_name":"%s","change_id":%d,"bids":[["new",%.1f,%.1f]],"asks":[]}},%s}`, s.name, kind,
		time.Now().UnixMilli(), previous, s.symbol, s.last, price, quantity, more))
}

func (p *deribit) first(_ *conn, s *stream) []byte {
	return p.book(s, "snapshot", "", snapshot(s), 100, 1)
}

func (p *deribit) data(_ *conn, m *message) []byte {
	if m.shared == nil {
		m.shared = p.book(m.stream, "change", fmt.Sprintf(`"prev_change_id":%d,`, m.previous), m.sim, m.price, m.quantity)
	}
	return m.shared
}

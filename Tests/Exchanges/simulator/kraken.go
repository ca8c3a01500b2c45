// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// Kraken version 2: a heartbeat a second when nothing else comes, pings as messages, an answer for each symbol.
type kraken struct{ exchange *exchange }

func newKraken() *exchange {
	e := &exchange{name: "kraken", rules: rules{
		connects:   window{150, real(10 * time.Minute)},
		messages:   window{50, real(time.Second)},
		idle:       real(time.Minute),
		mutes:      true,
		staleAfter: real(90 * time.Second),
	}}
	e.protocol = &kraken{e}
	e.addStreams(func(name string) string { return name }, []string{"BTC/USD", "ETH/USD", "XMR/USD"}, nil)
	return e
}

func (p *kraken) opened(c *conn) {
	c.send([]byte(`{"channel":"status","type":"update","data":[{"version":"2.0.9","system":"online"}]}`))
}
func (p *kraken) first(*conn, *stream) []byte { return nil }
func (p *kraken) notice(*conn) []byte         { return nil }

func (p *kraken) tick(c *conn, now time.Time) {
	if len(c.subscribed) > 0 && now.Sub(c.lastOut) > real(time.Second) {
		c.send([]byte(`{"channel":"heartbeat"}`))
	}
}

func (p *kraken) text(c *conn, text []byte) {
	var request struct {
		Method string `json:"method"`
		Params struct {
			Channel string   `json:"channel"`
			Symbol  []string `json:"symbol"`
		} `json:"params"`
		ID *int64 `json:"req_id"`
	}
	if json.Unmarshal(text, &request) != nil {
		c.client.banned("an unsupported message: %.60s", text)
		return
	}
	id, now := "", time.Now().UTC().Format(time.RFC3339Nano)
	if request.ID != nil {
		id = fmt.Sprintf(`"req_id":%d,`, *request.ID)
	}
	switch request.Method {
	case "ping":
		c.send([]byte(fmt.Sprintf(`{"method":"pong",%s"time_in":"%s","time_out":"%s"}`, id, now, now)))
	case "subscribe", "unsubscribe":
		symbols := request.Params.Symbol
		request.Params.Symbol = nil
		for _, name := range symbols {
			if delisted(name) == "" {
				request.Params.Symbol = append(request.Params.Symbol, name)
				continue
			}
			c.send([]byte(fmt.Sprintf(`{"error":"Currency pair not supported %s","method":"subscribe","success":false,%s`+
				`"symbol":"%s","time_in":"%s","time_out":"%s"}`, name, id, name, now, now)))
		}
		if request.Params.Channel != "ticker" || !c.subscribe(request.Params.Symbol...) {
			c.client.banned("a channel that is not there: %.60s", text)
			return
		}
		for _, name := range request.Params.Symbol {
			c.send([]byte(fmt.Sprintf(`{"method":"%s","result":{"channel":"ticker","event_trigger":"trades","snapshot":true,`+
				`"symbol":"%s"},"success":true,%s"time_in":"%s","time_out":"%s"}`, request.Method, name, id, now, now)))
			if request.Method == "subscribe" {
				c.begin(name)
			} else {
				delete(c.subscribed, name)
			}
		}
	default:
		c.client.banned("an unsupported method: %.60s", text)
	}
}

func (p *kraken) data(_ *conn, m *message) []byte {
	if m.shared == nil {
		m.shared = []byte(fmt.Sprintf(`{"channel":"ticker","type":"update","data":[{"symbol":"%s","bid":%.1f,"bid_qty":%.4f,`+
			`"ask":%.1f,"last":%.1f}],%s}`, m.stream.symbol, m.price, m.quantity, m.price+1, m.price, m.sim))
	}
	return m.shared
}

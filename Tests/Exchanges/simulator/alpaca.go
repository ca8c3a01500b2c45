// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// Alpaca: a greeting, a login, one connection for a key. One that was lost counts a while longer.
type alpaca struct{ exchange *exchange }

func newAlpaca() *exchange {
	e := &exchange{name: "alpaca", rules: rules{
		messages:    window{50, real(time.Second)},
		firstWithin: real(10 * time.Second),
		lingers:     real(5 * time.Second),
	}}
	e.protocol = &alpaca{e}
	e.addStreams(func(name string) string { return name }, []string{"AAPL", "MSFT", "SPY"}, nil)
	return e
}

func (p *alpaca) opened(c *conn)              { c.send([]byte(`[{"T":"success","msg":"connected"}]`)) }
func (p *alpaca) first(*conn, *stream) []byte { return nil }
func (p *alpaca) notice(*conn) []byte         { return nil }

// c.asked: a second connection was refused because of this one, which has to go then.
func (p *alpaca) tick(c *conn, now time.Time) {
	if !c.asked.IsZero() && now.Sub(c.asked) > real(10*time.Second)+late.slack() {
		c.client.banned("two connections with one key")
	}
}

func (p *alpaca) refuse(c *conn, code int, text string) {
	c.send([]byte(fmt.Sprintf(`[{"T":"error","code":%d,"msg":"%s"}]`, code, text)))
}

func (p *alpaca) text(c *conn, text []byte) {
	var request struct {
		Action string   `json:"action"`
		Key    string   `json:"key"`
		Secret string   `json:"secret"`
		Trades []string `json:"trades"`
		Quotes []string `json:"quotes"`
	}
	if json.Unmarshal(text, &request) != nil {
		c.client.banned("an unsupported message: %.60s", text)
		return
	}
	switch request.Action {
	case "auth":
		if request.Key == "" || request.Secret == "" {
			p.refuse(c, 402, "auth failed")
			c.client.banned("a login without a key")
			return
		}
		for _, other := range c.client.conns {
			if other != c && other.isKnown {
				if other.asked.IsZero() {
					other.asked = time.Now()
				}
				p.refuse(c, 406, "connection limit exceeded")
				return
			}
		}
		if time.Now().Before(c.client.lingers) {
			p.refuse(c, 406, "connection limit exceeded")
			return
		}
		c.isKnown = true
		c.send([]byte(`[{"T":"success","msg":"authenticated"}]`))
	case "subscribe", "unsubscribe":
		if !c.isKnown {
			p.refuse(c, 401, "not authenticated")
			c.client.banned("a subscription before the login")
			return
		}
		if delisted(request.Quotes...) != "" {
			p.refuse(c, 400, "invalid syntax")
			return
		}
		if !c.subscribe(request.Quotes...) {
			return
		}
		list, _ := json.Marshal(request.Quotes)
		c.send([]byte(fmt.Sprintf(`[{"T":"subscription","trades":%s,"quotes":%s,"bars":[]}]`, list, list)))
		if request.Action == "subscribe" {
			c.begin(request.Quotes...)
		}
	default:
		c.client.banned("an unsupported action: %.60s", text)
	}
}

func (p *alpaca) data(_ *conn, m *message) []byte {
	if m.shared == nil {
		m.shared = []byte(fmt.Sprintf(`[{"T":"q","S":"%s","bx":"V","bp":%.2f,"bs":1,"ax":"V","ap":%.2f,"as":2,"c":["R"],`+
			`"t":"%s","z":"C",%s}]`, m.stream.symbol, m.price, m.price+0.01, m.at.UTC().Format(time.RFC3339Nano), m.sim))
	}
	return m.shared
}

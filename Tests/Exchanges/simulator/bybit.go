// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// Bybit version 5, public: pings as messages with several forms of answer, few topics in one message, snapshots.
type bybit struct{ exchange *exchange }

func newBybit() *exchange {
	e := &exchange{name: "bybit", rules: rules{
		connects:   window{500, real(5 * time.Minute)},
		messages:   window{100, real(time.Second)},
		idle:       real(30 * time.Second), // the documents want a ping every 20 s; the cut itself comes after 10 min
		mutes:      true,
		staleAfter: real(90 * time.Second),
	}}
	e.protocol = &bybit{e}
	var quiet []string
	for i := 0; i < 12; i++ {
		quiet = append(quiet, fmt.Sprintf("kline.1.QUIET%dUSDT", i))
	}
	e.addStreams(func(name string) string { return name[len("orderbook.50."):] },
		[]string{"orderbook.50.BTCUSDT", "orderbook.50.ETHUSDT"}, quiet)
	return e
}

func (p *bybit) opened(*conn)          {}
func (p *bybit) notice(*conn) []byte   { return nil }
func (p *bybit) tick(*conn, time.Time) {}

func (p *bybit) text(c *conn, text []byte) {
	var request struct {
		Op   string   `json:"op"`
		ID   string   `json:"req_id"`
		Args []string `json:"args"`
	}
	if json.Unmarshal(text, &request) != nil {
		c.client.banned("an unsupported message: %.60s", text)
		return
	}
	switch request.Op {
	case "ping":
		forms := []string{`{"success":true,"ret_msg":"pong","conn_id":"7ab5","req_id":"%s","op":"ping"}`,
			`{"req_id":"%s","op":"pong","args":["1661741630642"],"conn_id":"7ab5"}`,
			`{"conn_id":"7ab5","op":"pong","args":["1661741630642"],"req_id":"%s","success":true}`}
		c.send([]byte(fmt.Sprintf(forms[c.client.index%len(forms)], request.ID)))
	case "subscribe", "unsubscribe":
		if len(request.Args) > 10 {
			c.client.banned("%d topics in one message", len(request.Args))
			return
		}
		if bad := delisted(request.Args...); bad != "" {
			c.send([]byte(fmt.Sprintf(`{"success":false,"ret_msg":"error:handler not found,topic:%s","conn_id":"7ab5",`+
				`"req_id":"%s","op":"%s"}`, bad, request.ID, request.Op)))
			return
		}
		if !c.subscribe(request.Args...) {
			return
		}
		if c.client.index%2 == 0 {
			c.send([]byte(fmt.Sprintf(`{"success":true,"ret_msg":"%s","conn_id":"7ab5","req_id":"%s","op":"%s"}`, request.Op,
				request.ID, request.Op)))
		} else {
			c.send([]byte(`{"success":true,"conn_id":"7ab5","data":{"failTopics":[],"successTopics":["x"]},` +
				`"type":"COMMAND_RESP"}`))
		}
		if request.Op == "subscribe" {
			c.begin(request.Args...)
		}
	default:
		c.client.banned("an unsupported op: %.60s", text)
	}
}

func (p *bybit) book(s *stream, kind string, more string, price, quantity float64) []byte {
	return []byte(fmt.Sprintf(`{"topic":"%s","type":"%s","ts":%d,"data":{"s":"%s","b":[["%.2f","%.3f"]],"a":[],"u":%d,`+
		`"seq":%d},"cts":%d,%s}`, s.name, kind, time.Now().UnixMilli(), s.symbol, price, quantity, s.last, s.last*3,
		time.Now().UnixMilli(), more))
}

func (p *bybit) first(_ *conn, s *stream) []byte {
	if s.quiet {
		return nil
	}
	return p.book(s, "snapshot", snapshot(s), 100, 1)
}

func (p *bybit) data(_ *conn, m *message) []byte {
	if m.shared == nil {
		m.shared = p.book(m.stream, "delta", m.sim, m.price, m.quantity)
	}
	return m.shared
}

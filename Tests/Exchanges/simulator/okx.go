// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// OKX version 5: the client's text ping, a notice before an upgrade, books with the number before.
type okx struct{ exchange *exchange }

func newOKX() *exchange {
	e := &exchange{name: "okx", rules: rules{
		connects:     window{3, real(time.Second)},
		firstWithin:  real(30 * time.Second),
		idle:         real(30 * time.Second),
		noticeBefore: real(30 * time.Second),
		notices:      1,
		mutes:        true,
		skips:        true,
		staleAfter:   real(90 * time.Second),
	}}
	e.protocol = &okx{e}
	e.addStreams(func(name string) string { return name }, []string{"BTC-USDT", "ETH-USDT"}, nil)
	return e
}

func (p *okx) opened(*conn)          {}
func (p *okx) tick(*conn, time.Time) {}
func (p *okx) notice(*conn) []byte {
	return []byte(`{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. ` +
		`Please reconnect.","connId":"a4d3ae55"}`)
}

func (p *okx) text(c *conn, text []byte) {
	if string(text) == "ping" {
		c.send([]byte("pong"))
		return
	}
	var request struct {
		Op   string `json:"op"`
		Args []struct {
			Channel string `json:"channel"`
			ID      string `json:"instId"`
		} `json:"args"`
	}
	if json.Unmarshal(text, &request) != nil || request.Op != "subscribe" && request.Op != "unsubscribe" {
		c.client.banned("an unsupported message: %.60s", text)
		return
	}
	now := time.Now()
	c.requests = append(c.requests, now)
	if len(c.requests) > 480 && now.Sub(c.requests[len(c.requests)-481]) < real(time.Hour) {
		c.client.banned("more than 480 requests to subscribe in an hour")
		return
	}
	for _, arg := range request.Args {
		if delisted(arg.ID) != "" {
			c.send([]byte(fmt.Sprintf(`{"event":"error","code":"60018","msg":"Wrong URL or channel:books,instId:%s doesn't exist.`+
				`","connId":"a4d3ae55"}`, arg.ID)))
			continue
		}
		if arg.Channel != "books" || !c.subscribe(arg.ID) {
			c.client.banned("a channel that is not there: %.60s", text)
			return
		}
		c.send([]byte(fmt.Sprintf(`{"event":"%s","arg":{"channel":"books","instId":"%s"},"connId":"a4d3ae55"}`, request.Op,
			arg.ID)))
		if request.Op == "subscribe" {
			c.begin(arg.ID)
		}
	}
}

func (p *okx) book(s *stream, action string, previous int64, more string, price, quantity float64) []byte {
	return []byte(fmt.Sprintf(`{"arg":{"channel":"books","instId":"%s"},"action":"%s",`+
		`"data":[{"asks":[["%.1f","%.4f","0","1"]],"bids":[],"ts":"%d","checksum":0,"prevSeqId":%d,"seqId":%d}],%s}`,
		s.symbol, action, price, quantity, time.Now().UnixMilli(), previous, s.last, more))
}

func (p *okx) first(_ *conn, s *stream) []byte { return p.book(s, "snapshot", -1, snapshot(s), 100, 1) }

func (p *okx) data(_ *conn, m *message) []byte {
	if m.shared == nil {
		m.shared = p.book(m.stream, "update", m.previous, m.sim, m.price, m.quantity)
	}
	return m.shared
}

// snapshot marks a message that stands for all of a stream up to now.
func snapshot(s *stream) string { return fmt.Sprintf(`"all":"%s:%d"`, s.name, s.count) }

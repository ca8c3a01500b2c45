// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The exchanges by the names of their presets.
var makers = []func() *exchange{
	func() *exchange {
		return newBinance("binance-spot", false, "btcusdt@bookTicker", "btcusdt@depth@100ms", "ethusdt@bookTicker")
	},
	func() *exchange {
		return newBinance("binance-spot-depth", false, "btcusdt@depth@100ms", "ethusdt@depth@100ms")
	},
	func() *exchange {
		return newBinance("binance-futures", true, "btcusdt@bookTicker", "btcusdt@depth@100ms", "ethusdt@bookTicker")
	},
	func() *exchange {
		return newBinance("binance-futures-depth", true, "btcusdt@depth@100ms", "ethusdt@depth@100ms")
	},
	newCoinbase, newKraken, newBybit, newOKX, newDeribit, newAlpaca,
}

// Binance: combined streams. The server pings; a connection lives for 24 hours, or until a while after serverShutdown;
// few messages a second, pings and pongs included.
type binance struct {
	exchange  *exchange
	isFutures bool
}

func newBinance(name string, isFutures bool, streams ...string) *exchange {
	e := &exchange{name: name, rules: rules{
		connects:      window{300, real(5 * time.Minute)},
		messages:      window{5, real(time.Second)},
		countsControl: true,
		pingEvery:     real(20 * time.Second),
		pongWithin:    real(time.Minute),
		lifetime:      real(24 * time.Hour),
		noticeBefore:  real(time.Minute),
		notices:       0.3,
		mutes:         true,
		skips:         strings.HasSuffix(name, "-depth"),
		mostStreams:   1024,
		staleAfter:    real(90 * time.Second),
	}}
	if isFutures {
		e.rules.messages.count = 10
		e.rules.pingEvery, e.rules.pongWithin = real(3*time.Minute), real(10*time.Minute)
	}
	e.protocol = &binance{e, isFutures}
	var quiet []string
	for i := 0; i < 9; i++ {
		quiet = append(quiet, fmt.Sprintf("quiet%dusdt@kline_1m", i))
	}
	e.addStreams(func(name string) string { return strings.ToUpper(strings.SplitN(name, "@", 2)[0]) }, streams, quiet)
	return e
}

func (b *binance) opened(*conn)                {}
func (b *binance) tick(*conn, time.Time)       {}
func (b *binance) first(*conn, *stream) []byte { return nil }
func (b *binance) notice(*conn) []byte {
	return []byte(fmt.Sprintf(`{"e":"serverShutdown","E":%d}`, time.Now().UnixMilli()))
}

func (b *binance) text(c *conn, text []byte) {
	var request struct {
		Method string   `json:"method"`
		Params []string `json:"params"`
		ID     *int64   `json:"id"`
	}
	if json.Unmarshal(text, &request) != nil || request.ID == nil {
		c.client.banned("an unsupported message: %.60s", text)
		return
	}
	switch request.Method {
	case "SUBSCRIBE":
		if bad := delisted(request.Params...); bad != "" {
			c.send([]byte(fmt.Sprintf(`{"error":{"code":2,"msg":"Invalid request: unknown stream %s"},"id":%d}`, bad, *request.ID)))
			return
		}
		if !c.subscribe(request.Params...) {
			return
		}
		c.send([]byte(fmt.Sprintf(`{"result":null,"id":%d}`, *request.ID)))
		c.begin(request.Params...)
	case "UNSUBSCRIBE":
		for _, name := range request.Params {
			delete(c.subscribed, name)
		}
		c.send([]byte(fmt.Sprintf(`{"result":null,"id":%d}`, *request.ID)))
	default:
		c.client.banned("an unsupported method: %.60s", request.Method)
	}
}

func (b *binance) data(_ *conn, m *message) []byte {
	if m.shared != nil {
		return m.shared
	}
	ms, s := m.at.UnixMilli(), m.stream
	var data string
	switch {
	case strings.Contains(s.name, "@depth"):
		more := ""
		if b.isFutures {
			more = fmt.Sprintf(`"T":%d,`, ms)
		}
		data = fmt.Sprintf(`{"e":"depthUpdate","E":%d,%s"s":"%s","U":%d,"u":%d,`, ms, more, s.symbol, m.first, m.last)
		if b.isFutures {
			data += fmt.Sprintf(`"pu":%d,`, m.previous)
		}
		data += fmt.Sprintf(`"b":[["%.4f","%.3f"]],"a":[]}`, m.price, m.quantity)
	case b.isFutures:
		data = fmt.Sprintf(`{"e":"bookTicker","u":%d,"s":"%s","b":"%.4f","B":"2","a":"%.4f","A":"297","T":%d,"E":%d}`, m.last,
			s.symbol, m.price, m.price+0.01, ms, ms)
	default:
		data = fmt.Sprintf(`{"u":%d,"s":"%s","b":"%.8f","B":"672.00000000","a":"%.8f","A":"3199.00000000"}`, m.last, s.symbol,
			m.price, m.price+0.01)
	}
	m.shared = []byte(fmt.Sprintf(`{"stream":"%s","data":%s,%s}`, s.name, data, m.sim))
	return m.shared
}

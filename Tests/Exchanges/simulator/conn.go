// SPDX-License-Identifier: Apache-2.0
package main

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// A conn is one connection. Its fields belong to the mutex of the exchange; a goroutine of its own writes.
type conn struct {
	client   *client
	exchange *exchange
	ws       *websocket.Conn
	out      chan []byte
	closing  chan string // a close frame, or "" for a reset
	isClosed bool

	born, lastIn, lastOut  time.Time
	texts                  []time.Time
	received               int
	pinged                 time.Time // the ping that waits for its pong
	nextPing               time.Time
	payload                string
	muted, noticed, beaten time.Time
	skips                  int
	subscribed             map[string]bool

	// Of the protocols.
	number   int // of messages, or of a heartbeat
	isKnown  bool
	asked    time.Time
	pool     float64 // credits
	poolAt   time.Time
	requests []time.Time
}

func serve(client *client, ws *websocket.Conn) {
	e := client.exchange
	now := time.Now()
	c := &conn{client: client, exchange: e, ws: ws, out: make(chan []byte, 4096), closing: make(chan string, 1), born: now,
		lastIn: now, lastOut: now, nextPing: now.Add(e.rules.pingEvery), subscribed: map[string]bool{}}
	ws.SetPingHandler(func(payload string) error {
		e.do(func() {
			c.took(e.rules.countsControl)
			e.counts.Pings++
		})
		ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(time.Second))
		return nil
	})
	ws.SetPongHandler(func(payload string) error {
		e.do(func() {
			c.took(e.rules.countsControl)
			if !c.pinged.IsZero() && payload == c.payload {
				c.pinged = time.Time{}
			}
		})
		return nil
	})
	e.do(func() {
		client.conns = append(client.conns, c)
		e.counts.MostAlive = max(e.counts.MostAlive, len(client.conns))
		e.protocol.opened(c)
	})
	go c.write()
	for {
		kind, message, err := ws.ReadMessage()
		if err != nil {
			break
		}
		e.do(func() {
			if c.isClosed {
				return
			}
			c.took(true)
			if kind != websocket.TextMessage {
				client.banned("a binary message")
				return
			}
			e.protocol.text(c, message)
		})
	}
	e.do(func() {
		if !c.noticed.IsZero() && !c.isClosed {
			e.counts.Left++
		}
		c.leave()
	})
	ws.Close()
}

// leave takes it from its client. The writer ends with the closing.
func (c *conn) leave() {
	for i, other := range c.client.conns {
		if other == c {
			c.client.conns = append(c.client.conns[:i], c.client.conns[i+1:]...)
			break
		}
	}
	if !c.isClosed {
		c.isClosed = true
		close(c.closing)
	}
}

// end closes it with a close frame; kill resets it.
func (c *conn) end(code int, reason string) {
	if c.isClosed {
		return
	}
	c.closing <- string(websocket.FormatCloseMessage(code, reason))
	c.leave()
}

func (c *conn) kill() {
	if c.isClosed {
		return
	}
	c.client.lingers = time.Now().Add(c.exchange.rules.lingers)
	c.closing <- ""
	c.leave()
}

func (c *conn) isServed() bool { return !c.isClosed && len(c.subscribed) > 0 }

func (c *conn) send(text []byte) {
	if c.isClosed || text == nil {
		return
	}
	select {
	case c.out <- text:
		c.lastOut = time.Now()
		c.exchange.counts.Sent++
	default:
		c.client.breaks++
		c.end(websocket.ClosePolicyViolation, "too slow")
	}
}

func (c *conn) write() {
	for {
		select {
		case text := <-c.out:
			c.ws.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if c.ws.WriteMessage(websocket.TextMessage, text) != nil {
				c.ws.Close()
				return
			}
		case last, isGiven := <-c.closing:
			if isGiven && last == "" {
				if tcp, ok := c.ws.UnderlyingConn().(*net.TCPConn); ok {
					tcp.SetLinger(0)
				}
			} else if isGiven {
				c.ws.WriteControl(websocket.CloseMessage, []byte(last), time.Now().Add(time.Second))
				// The client's answer ends the reader; it gets a while for that.
				c.ws.SetReadDeadline(time.Now().Add(time.Second))
				return
			}
			c.ws.Close()
			return
		}
	}
}

// took counts what the client sent.
func (c *conn) took(counts bool) {
	e, now := c.exchange, time.Now()
	c.received++
	c.lastIn = now
	e.counts.Received++
	times := &c.texts
	if e.rules.ofClient {
		times = &c.client.texts
	}
	if counts && e.rules.messages.over(e, times, now) {
		c.client.banned("more than %d messages in %v", e.rules.messages.count, e.rules.messages.per)
	}
}

// look keeps the deadlines.
func (c *conn) look(now time.Time) {
	if c.isClosed {
		return
	}
	e, r := c.exchange, &c.exchange.rules
	grace := late.slack() + 100*time.Millisecond
	if r.pingEvery > 0 {
		if !c.pinged.IsZero() && now.Sub(c.pinged) > r.pongWithin+grace {
			c.client.banned("no pong within %v", r.pongWithin)
			return
		}
		if c.pinged.IsZero() && now.After(c.nextPing) {
			c.pinged, c.nextPing = now, now.Add(r.pingEvery)
			c.payload = strconv.FormatInt(now.UnixMilli(), 10)
			go c.ws.WriteControl(websocket.PingMessage, []byte(c.payload), now.Add(time.Second))
		}
	}
	if r.firstWithin > 0 && c.received == 0 && now.Sub(c.born) > r.firstWithin+grace {
		c.client.banned("no message within %v", r.firstWithin)
		return
	}
	if r.idle > 0 && now.Sub(c.lastIn) > r.idle+grace {
		c.client.banned("no message for %v", r.idle)
		return
	}
	isOld := r.lifetime > 0 && now.Sub(c.born) > r.lifetime || !c.noticed.IsZero() && now.Sub(c.noticed) > r.noticeBefore
	if isOld && !e.isOver {
		c.client.breaks++
		e.counts.Cut++
		c.end(websocket.CloseGoingAway, "the time is over")
		return
	}
	if !c.muted.IsZero() && now.Sub(c.muted) > r.staleAfter+grace {
		c.muted = now
		e.counts.Deaf++
	}
	e.protocol.tick(c, now)
}

// delisted finds a key that this exchange does not have any more: one of its own never names it.
func delisted(names ...string) string {
	for _, name := range names {
		if strings.Contains(strings.ToUpper(name), "DEAD") {
			return name
		}
	}
	return ""
}

// subscribe adds streams, and says whether all of them exist.
func (c *conn) subscribe(names ...string) bool {
	for _, name := range names {
		s := c.exchange.stream(name)
		if s == nil {
			c.client.banned("there is no stream %s", name)
			return false
		}
		if most := c.exchange.rules.mostStreams; most > 0 && len(c.subscribed) >= most {
			c.client.banned("more than %d streams", most)
			return false
		}
	}
	return true
}

// begin sends what a subscription begins with; from here on it gets the stream.
func (c *conn) begin(names ...string) {
	for _, name := range names {
		s := c.exchange.stream(name)
		c.send(c.exchange.protocol.first(c, s))
		c.subscribed[name] = true
	}
}

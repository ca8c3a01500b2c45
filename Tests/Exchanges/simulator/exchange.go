// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A window is COUNT in any time of that length.
type window struct {
	count int
	per   time.Duration // real
}

// Rules are what an exchange demands of its clients. Times are real ones; zero stands for no such rule.
type rules struct {
	connects      window
	messages      window
	countsControl bool // pings and pongs are messages, too
	ofClient      bool // the messages of all connections of a client count together
	mostAtOnce    int  // connections of a client
	pingEvery     time.Duration
	pongWithin    time.Duration
	firstWithin   time.Duration // the first message
	idle          time.Duration // between two messages of the client
	lifetime      time.Duration
	noticeBefore  time.Duration // between a notice and the end
	notices       float64       // a day, for each connection
	mutes         bool
	skips         bool // messages are left out now and then: numbers are consecutive
	lingers       time.Duration
	mostStreams   int
	staleAfter    time.Duration // when a client has to have left a mute feed
}

// A protocol is what differs from exchange to exchange. All calls come with the exchange's mutex held.
type protocol interface {
	opened(c *conn)
	text(c *conn, message []byte)
	// data is the message of a stream, as this connection gets it.
	data(c *conn, m *message) []byte
	// first is what a subscription begins with; nil for nothing.
	first(c *conn, s *stream) []byte
	notice(c *conn) []byte
	tick(c *conn, now time.Time)
}

type exchange struct {
	name     string
	rules    rules
	protocol protocol
	streams  []*stream
	dice     *rand.Rand

	mutex   sync.Mutex
	clients []*client
	isCalm  bool
	isOver  bool
	refuses time.Time // until then, with 503
	nextEnd time.Time // of everything
	counts  counts
}

type counts struct {
	Connects  int `json:"connects"`
	Refused   int `json:"refused"`
	Received  int `json:"messages_received"`
	Sent      int `json:"messages_sent"`
	Pings     int `json:"pings_answered"`
	Notices   int `json:"notices"`
	Left      int `json:"left_after_notice"`
	Cut       int `json:"cut_by_age_or_notice"`
	Mutes     int `json:"mutes"`
	Deaf      int `json:"stayed_on_a_mute_feed"`
	Kills     int `json:"kills"`
	Storms    int `json:"storms"`
	Skips     int `json:"messages_left_out"`
	Doubtful  int `json:"limits_not_judged"`
	MostAlive int `json:"most_connections_of_a_client"`
}

// A client is whoever comes to one port.
type client struct {
	exchange *exchange
	index    int
	port     int
	times    []time.Time // of connects
	texts    []time.Time
	conns    []*conn
	breaks   int // what this server did to it: it may miss messages
	ban      string
	lingers  time.Time
}

// isSpared says that this server only does to a client what it announces or what its rules say: there is no reason for
// a gap then.
func (c *client) isSpared() bool { return c.index%2 == 1 }

func (e *exchange) do(f func()) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	f()
}

func (e *exchange) listen(count int) error {
	for i := 0; i < count; i++ {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		c := &client{exchange: e, index: i, port: listener.Addr().(*net.TCPAddr).Port}
		e.clients = append(e.clients, c)
		go http.Serve(listener, http.HandlerFunc(c.serve))
	}
	return nil
}

// over says whether one more at this time is more than a window allows, and adds it.
func (w window) over(e *exchange, times *[]time.Time, now time.Time) bool {
	if w.count == 0 {
		return false
	}
	*times = append(*times, now)
	if len(*times) <= w.count {
		return false
	}
	*times = (*times)[len(*times)-w.count-1:]
	gap := now.Sub((*times)[0])
	if gap >= w.per {
		return false
	}
	// Messages that were sent in time may have arrived together.
	if gap >= w.per-late.slack() {
		e.counts.Doubtful++
		return false
	}
	return true
}

// banned ends all that this client has here; the reason stays.
func (c *client) banned(format string, arguments ...any) {
	if c.ban == "" {
		c.ban = fmt.Sprintf(format, arguments...)
	}
	for _, conn := range append([]*conn(nil), c.conns...) {
		conn.end(websocket.ClosePolicyViolation, "banned")
	}
}

// mayConnect answers the handshake: 0, or a status.
func (c *client) mayConnect(now time.Time) int {
	e := c.exchange
	e.counts.Connects++
	if c.ban != "" {
		e.counts.Refused++
		return http.StatusTeapot
	}
	if e.rules.connects.over(e, &c.times, now) {
		c.banned("more than %d connects in %v", e.rules.connects.count, e.rules.connects.per)
		return http.StatusTeapot
	}
	if now.Before(e.refuses) && !c.isSpared() {
		e.counts.Refused++
		return http.StatusServiceUnavailable
	}
	if most := e.rules.mostAtOnce; most > 0 && len(c.conns) >= most {
		c.banned("more than %d connections at once", most)
		return http.StatusTeapot
	}
	return 0
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func (c *client) serve(w http.ResponseWriter, r *http.Request) {
	e := c.exchange
	status := 0
	e.do(func() { status = c.mayConnect(time.Now()) })
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	serve(c, ws)
}

// run is the exchange's clock: data, heartbeats, deadlines, incidents.
func (e *exchange) run() {
	day := real(24 * time.Hour)
	e.do(func() { e.nextEnd = time.Now().Add(time.Duration((0.5 + 3*e.dice.Float64()) * float64(day))) })
	next := time.Now().Add(step)
	for {
		time.Sleep(time.Until(next))
		now := time.Now()
		late.note(now.Sub(next), now)
		next = next.Add(step)
		if now.After(next) {
			next = now.Add(step)
		}
		e.do(func() {
			e.feed(now)
			for _, client := range e.clients {
				for _, c := range append([]*conn(nil), client.conns...) {
					c.look(now)
				}
			}
			if !e.isCalm {
				e.incidents(now, day)
			}
		})
	}
}

// perStep says whether something that happens so many times a day happens in this step.
func (e *exchange) perStep(times float64, day time.Duration) bool {
	return e.dice.Float64() < times*float64(step)/float64(day)
}

func (e *exchange) incidents(now time.Time, day time.Duration) {
	if now.After(e.nextEnd) {
		e.nextEnd = now.Add(time.Duration((2 + 3*e.dice.Float64()) * float64(day)))
		e.storm(now)
	}
	for _, client := range e.clients {
		// While a connection is being replaced the old and the new one are left in peace: what was lost then nobody could
		// make good.
		if len(client.conns) != 1 {
			continue
		}
		c := client.conns[0]
		if !c.isServed() || !c.muted.IsZero() || !c.noticed.IsZero() {
			continue
		}
		faulty := !client.isSpared()
		switch {
		case faulty && e.rules.mutes && e.perStep(0.25, day):
			c.muted = now
			client.breaks++
			e.counts.Mutes++
		case faulty && e.perStep(0.25, day):
			client.breaks++
			e.counts.Kills++
			c.kill()
		case e.rules.notices > 0 && e.perStep(e.rules.notices, day):
			c.noticed = now
			e.counts.Notices++
			c.send(e.protocol.notice(c))
		case faulty && e.rules.skips && e.perStep(0.25, day):
			c.skips++
		}
	}
}

// storm ends all connections at once, in one of the ways that there are, but for those of clients that are spared.
func (e *exchange) storm(now time.Time) {
	e.counts.Storms++
	how := e.dice.Intn(3)
	if how == 2 {
		e.refuses = now.Add(real(20 * time.Second))
	}
	for _, client := range e.clients {
		if client.isSpared() {
			continue
		}
		for _, c := range append([]*conn(nil), client.conns...) {
			client.breaks++
			switch how {
			case 0:
				c.end(websocket.CloseServiceRestart, "restart")
			case 1:
				c.end(websocket.CloseGoingAway, "maintenance")
			default:
				c.kill()
			}
		}
	}
}

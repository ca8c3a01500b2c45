// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// An exchange is a server with one address for the whole test: it can be killed and started again there, refuse, and go
// mute, and it counts what it gets. Its fields below `mu` are guarded by it.
type exchange struct {
	t       testing.TB
	address string

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever something happens
	server   *http.Server
	stopped  chan struct{}
	peers    map[*peer]int // open connections, and their numbers
	running  sync.WaitGroup
	requests []*http.Request
	texts    []string // "1:hello" is a text from the first connection
	closes   []string // payloads of close frames
	pings    int
	accepted int
	mute     bool                                                         // reads, and never says anything
	refuse   func(w http.ResponseWriter, r *http.Request) bool            // true: it has answered
	onOpen   func(p *peer)                                                // a connection is open
	onText   func(p *peer, connection int, text string) (answer []string) // a text came
}

// newExchange starts one; change sets what it does, before that.
func newExchange(t testing.TB, change ...func(*exchange)) *exchange {
	t.Helper()
	e := &exchange{t: t, changed: make(chan struct{}), peers: map[*peer]int{}}
	for _, f := range change {
		f(e)
	}
	e.start()
	t.Cleanup(e.kill)
	return e
}

func (e *exchange) url() string { return "ws://" + e.address + "/" }

// start listens, at the address of before if there was one.
func (e *exchange) start() {
	e.t.Helper()
	address := e.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		e.t.Fatal(err)
	}
	e.address = listener.Addr().String()
	server, stopped := &http.Server{Handler: http.HandlerFunc(e.serve)}, make(chan struct{})
	e.mu.Lock()
	e.server, e.stopped = server, stopped
	e.mu.Unlock()
	go func() {
		server.Serve(listener)
		close(stopped)
	}()
}

// kill stops listening and resets every connection.
func (e *exchange) kill() {
	e.mu.Lock()
	server, stopped := e.server, e.stopped
	e.server = nil
	e.mu.Unlock()
	if server == nil {
		return
	}
	server.Close()
	<-stopped
	e.cut(0)
	e.running.Wait()
}

// cut resets every connection, once this many have been made.
func (e *exchange) cut(connections int) {
	e.t.Helper()
	e.connections(connections)
	e.mu.Lock()
	defer e.mu.Unlock()
	for p := range e.peers {
		p.conn.(*net.TCPConn).SetLinger(0)
		p.conn.Close()
	}
}

// with runs f with the lock held, and tells those who wait.
func (e *exchange) with(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
	close(e.changed)
	e.changed = make(chan struct{})
}

// until waits for something to be true; is is called with the lock held.
func (e *exchange) until(what string, is func() bool) {
	e.t.Helper()
	limit := time.After(soon)
	for {
		e.mu.Lock()
		ok, changed := is(), e.changed
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			e.mu.Lock()
			defer e.mu.Unlock()
			e.t.Fatalf("not within %v: %s; %d connections, texts %q", soon, what, e.accepted, e.texts)
		}
	}
}

// got waits until these texts have come, one after another, and nothing between them.
func (e *exchange) got(texts ...string) {
	e.t.Helper()
	wanted := strings.Join(texts, "\n")
	e.until("the texts "+strings.Join(texts, ", "), func() bool {
		return strings.Contains("\n"+strings.Join(e.texts, "\n")+"\n", "\n"+wanted+"\n")
	})
}

func (e *exchange) connections(count int) {
	e.t.Helper()
	e.until("connections", func() bool { return e.accepted >= count })
}

func (e *exchange) count(text string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, seen := range e.texts {
		if _, after, _ := strings.Cut(seen, ":"); after == text {
			n++
		}
	}
	return n
}

// say sends a text on every open connection.
func (e *exchange) say(text string) {
	e.mu.Lock()
	var peers []*peer
	for p := range e.peers {
		peers = append(peers, p)
	}
	e.mu.Unlock()
	for _, p := range peers {
		p.write(opText, []byte(text))
	}
}

func (e *exchange) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	refuse := e.refuse
	e.mu.Unlock()
	defer e.with(func() { e.requests = append(e.requests, r) })
	if refuse != nil && refuse(w, r) {
		return
	}
	p, err := upgrade(w, r, "")
	if err != nil {
		return
	}
	number, alive := 0, true
	e.with(func() {
		if alive = e.server != nil; alive {
			e.accepted++
			number = e.accepted
			e.peers[p] = number
			e.running.Add(1)
		}
	})
	if !alive {
		p.conn.Close()
		return
	}
	go func() { // so that the request counts as answered
		defer e.running.Done()
		e.attend(p, number)
		e.with(func() { delete(e.peers, p) })
		p.conn.Close()
	}()
}

func (e *exchange) attend(p *peer, number int) {
	e.mu.Lock()
	onOpen, onText := e.onOpen, e.onText
	e.mu.Unlock()
	if onOpen != nil {
		onOpen(p)
	}
	for {
		f, err := p.read()
		if err != nil {
			return
		}
		mute := false
		e.with(func() {
			mute = e.mute
			switch f.opcode {
			case opText:
				e.texts = append(e.texts, strconv.Itoa(number)+":"+string(f.payload))
			case opClose:
				e.closes = append(e.closes, string(f.payload))
			case opPing:
				e.pings++
			}
		})
		if mute {
			continue
		}
		switch f.opcode {
		case opPing:
			p.write(opPong, f.payload)
		case opClose:
			p.write(opClose, f.payload)
			return
		case opText:
			if onText != nil {
				for _, answer := range onText(p, number, string(f.payload)) {
					p.write(opText, []byte(answer))
				}
			}
		}
	}
}

// quickly are options that make a client come back at once, again and again.
func quickly(more ...Option) []Option {
	return append([]Option{WithReconnectBaseDelay(5 * time.Millisecond), WithReconnectMaxDelay(20 * time.Millisecond),
		WithJitter(0), WithMaxReconnectAttempts(0), WithBacklogInterval(0), WithHostConnectRate("10000/s")}, more...)
}

// nextEvent receives until an event of this type has come, and skips the rest.
func nextEvent(t testing.TB, c *Conn, kind string, is func(Event) bool) Event {
	t.Helper()
	for {
		msg, err := c.Recv(within(t, soon))
		if err != nil {
			t.Fatalf("waiting for the event %s: %v", kind, err)
		}
		if msg.Kind != EventMessage {
			continue
		}
		event, err := msg.Event()
		if err != nil {
			t.Fatal(err)
		}
		if event.Type == kind && (is == nil || is(event)) {
			return event
		}
	}
}

// recvText receives one text.
func recvText(t testing.TB, c *Conn) string {
	t.Helper()
	msg, err := c.Recv(within(t, soon))
	if err != nil {
		t.Fatal(err)
	}
	return msg.Text()
}

// balanced checks that every accepted message has one fate, or still waits.
func balanced(t testing.TB, c *Conn) map[string]float64 {
	t.Helper()
	s := c.Statistics()
	if s["messages_accepted"] != s["messages_sent"]+s["messages_dropped"]+s["messages_expired"]+s["messages_failed"]+
		s["queue_size"] {
		t.Errorf("the books do not balance: accepted %v, sent %v, dropped %v, expired %v, failed %v, queued %v",
			s["messages_accepted"], s["messages_sent"], s["messages_dropped"], s["messages_expired"], s["messages_failed"],
			s["queue_size"])
	}
	return s
}

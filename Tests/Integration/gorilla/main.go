// SPDX-License-Identifier: Apache-2.0

// Gorilla is a peer of a hub that nobody here wrote: gorilla/websocket. It subscribes to topic t, takes so many messages,
// pings, closes with a code, and comes back for the second half of them. It prints what it has seen as one line of JSON.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/gorilla/websocket"
)

const patience = 20 * time.Second

type since struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

type topic struct {
	Topic string `json:"topic"`
	Since *since `json:"since,omitempty"`
}

type request struct {
	Type   string  `json:"type"`
	ID     int     `json:"id"`
	Topics []topic `json:"topics"`
}

type message struct {
	Type      string          `json:"type"`
	Topic     string          `json:"topic"`
	Epoch     string          `json:"epoch"`
	Offset    uint64          `json:"offset"`
	Recovered bool            `json:"recovered"`
	O         uint64          `json:"o"`
	P         uint64          `json:"p"`
	Skipped   uint64          `json:"skipped"`
	Data      json.RawMessage `json:"data"`
}

type seen struct {
	Extensions string   `json:"extensions"`
	Got        int      `json:"got"`
	Bytes      int      `json:"bytes"`
	Pings      int      `json:"pings"`
	Pong       string   `json:"pong"`
	Closes     []int    `json:"closes"`
	Again      int      `json:"again"`
	Wrong      []string `json:"wrong"`
}

type peer struct {
	*websocket.Conn
	seen *seen
}

func (p *peer) must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func (p *peer) next(kind string) message {
	var m message
	p.must(p.SetReadDeadline(time.Now().Add(patience)))
	p.must(p.ReadJSON(&m))
	if m.Type != kind {
		log.Fatalf("%s instead of %s", m.Type, kind)
	}
	return m
}

func open(url string, compression bool, s *seen) *peer {
	dialer := websocket.Dialer{Subprotocols: []string{"pulse.v1"}, EnableCompression: compression, HandshakeTimeout: patience}
	connection, answer, err := dialer.Dial(url, nil)
	if err != nil {
		log.Fatal(err)
	}
	s.Extensions = answer.Header.Get("Sec-WebSocket-Extensions")
	if connection.Subprotocol() != "pulse.v1" {
		log.Fatalf("subprotocol %q", connection.Subprotocol())
	}
	p := &peer{connection, s}
	pong := p.PingHandler()
	p.SetPingHandler(func(data string) error {
		s.Pings++
		return pong(data)
	})
	p.next("welcome")
	return p
}

func (p *peer) subscribe(from *since) message {
	p.must(p.WriteJSON(request{"subscribe", 1, []topic{{"t", from}}}))
	return p.next("subscribed")
}

// take reads messages up to an offset: each follows on the one before, and says its own number.
func (p *peer) take(last, to uint64) (count int) {
	for last < to {
		m := p.next("n")
		var data struct {
			N    uint64
			Fill string
		}
		p.must(json.Unmarshal(m.Data, &data))
		if m.P != last || m.O != last+1 || m.Skipped != 0 || data.N != m.O || len(data.Fill) != int(m.O) {
			p.seen.Wrong = append(p.seen.Wrong, fmt.Sprintf("%d behind %d: %d", m.O, m.P, data.N))
		}
		p.seen.Bytes += len(m.Data)
		last = m.O
		count++
	}
	return count
}

// ping reads on until a message comes that the hub sends behind the pong: handlers are called while something is read.
func (p *peer) ping(data string) {
	p.SetPongHandler(func(got string) error {
		p.seen.Pong = got
		return nil
	})
	p.must(p.WriteControl(websocket.PingMessage, []byte(data), time.Now().Add(patience)))
	p.must(p.WriteJSON(map[string]string{"type": "ping"}))
	p.next("pong")
}

func (p *peer) end(code int, reason string) {
	p.must(p.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience)))
	_, _, err := p.NextReader()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		log.Fatalf("no close: %v", err)
	}
	p.seen.Closes = append(p.seen.Closes, closed.Code)
	p.must(p.Close())
}

func main() {
	url := flag.String("url", "", "of the hub")
	compression := flag.Bool("compression", false, "offers permessage-deflate")
	count := flag.Uint64("count", 1000, "messages")
	code := flag.Int("code", 4321, "to close with")
	flag.Parse()
	s := &seen{Wrong: []string{}}
	first := open(*url, *compression, s)
	answer := first.subscribe(nil)
	s.Got = first.take(answer.Offset, *count)
	for s.Pong == "" || s.Pings == 0 { // the hub pings, too
		first.ping("are you there")
	}
	first.end(*code, "enough")
	second := open(*url, *compression, s)
	if again := second.subscribe(&since{answer.Epoch, *count / 2}); !again.Recovered {
		log.Fatal("not recovered")
	}
	s.Again = second.take(*count/2, *count)
	second.end(websocket.CloseNormalClosure, "")
	text, err := json.Marshal(s)
	second.must(err)
	fmt.Println(string(text))
}

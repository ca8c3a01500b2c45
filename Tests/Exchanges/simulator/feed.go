// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// A stream is one sequence of messages, the same for all who subscribe. Its count is the truth that tests compare with;
// the exchange's own numbers grow as they do there.
type stream struct {
	name   string
	symbol string
	count  int   // 1, 2, 3 ...
	last   int64 // the exchange's own number of the last message
	next   time.Time
	quiet  bool
}

// A message of a stream.
type message struct {
	stream          *stream
	previous        int64 // the exchange's number before
	first, last     int64
	sim             string
	price, quantity float64
	at              time.Time
	shared          []byte
}

// addStreams makes streams with data, and quiet ones, which are only there to be subscribed.
func (e *exchange) addStreams(symbols func(name string) string, names []string, quiet []string) {
	for i, name := range append(append([]string(nil), names...), quiet...) {
		e.streams = append(e.streams, &stream{name: name, symbol: symbols(name), last: int64(1000 * (i + 1)),
			quiet: i >= len(names)})
	}
}

func (e *exchange) stream(name string) *stream {
	for _, s := range e.streams {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (e *exchange) feed(now time.Time) {
	if e.isOver {
		return
	}
	for _, s := range e.streams {
		if s.quiet || now.Before(s.next) {
			continue
		}
		s.next = now.Add(time.Duration(e.dice.ExpFloat64() * float64(*every)))
		m := &message{stream: s, previous: s.last, first: s.last + 1, last: s.last + 1 + int64(e.dice.Intn(4)), at: now,
			price: 100 + e.dice.Float64(), quantity: e.dice.Float64()}
		s.count++
		s.last = m.last
		m.sim = fmt.Sprintf(`"sim":"%s:%d"`, s.name, s.count)
		for _, client := range e.clients {
			for _, c := range client.conns {
				if !c.subscribed[s.name] || !c.muted.IsZero() || c.isClosed {
					continue
				}
				text := e.protocol.data(c, m)
				if c.skips > 0 {
					c.skips--
					client.breaks++
					e.counts.Skips++
					continue
				}
				c.send(text)
			}
		}
	}
}

// A book is what happened at one exchange.
type book struct {
	Exchange string         `json:"exchange"`
	Counts   counts         `json:"counts"`
	Bans     []ban          `json:"bans"`
	Streams  map[string]int `json:"last_number"`
	clients  []*client
	breaks   []int
}

type ban struct {
	Client int    `json:"client"`
	Reason string `json:"reason"`
}

func (e *exchange) book() book {
	b := book{Exchange: e.name, Counts: e.counts, Bans: []ban{}, Streams: map[string]int{}, clients: e.clients}
	for _, s := range e.streams {
		if !s.quiet {
			b.Streams[s.name] = s.count
		}
	}
	for _, client := range e.clients {
		b.breaks = append(b.breaks, client.breaks)
		if client.ban != "" {
			b.Bans = append(b.Bans, ban{client.index, client.ban})
		}
	}
	return b
}

// print writes what the driver reads.
func (b book) print() {
	for _, ban := range b.Bans {
		fmt.Printf("ban %s %d %s\n", b.Exchange, ban.Client, ban.Reason)
	}
	for i, breaks := range b.breaks {
		fmt.Printf("breaks %s %d %d\n", b.Exchange, i, breaks)
	}
	names := make([]string, 0, len(b.Streams))
	for name := range b.Streams {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("last %s %s %d\n", b.Exchange, strings.ReplaceAll(name, " ", "_"), b.Streams[name])
	}
	c := b.Counts
	fmt.Printf("counts %s connects=%d refused=%d received=%d sent=%d pings=%d notices=%d left=%d cut=%d mutes=%d deaf=%d "+
		"kills=%d storms=%d skips=%d doubtful=%d alive=%d\n", b.Exchange, c.Connects, c.Refused, c.Received, c.Sent, c.Pings,
		c.Notices, c.Left, c.Cut, c.Mutes, c.Deaf, c.Kills, c.Storms, c.Skips, c.Doubtful, c.MostAlive)
}

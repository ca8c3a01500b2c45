// SPDX-License-Identifier: Apache-2.0

// Simulator plays the market data services of exchanges on a fast clock, and keeps their rules: who breaks one is
// banned.
//
//	simulator -clients 100 -scale 4320 -pace 20 -seed 1 -exchange all -report report.json
//
// Each client has a port of its own (of 127.0.0.1), as it would have an address of its own. First come lines
// "port EXCHANGE CLIENT PORT", then "ready". Standard input takes commands: "calm" makes no more incidents; "end" stops
// the data, prints what happened as lines, writes the report as JSON and prints "done"; its end is the end of the
// program.
//
// Two clocks: what lasts an hour or more (the life of a connection) is divided by -scale, what is shorter (heartbeats,
// deadlines, limits) by -pace. So a day passes in seconds, and still no deadline is shorter than a busy machine allows.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sync"
	"time"
)

var (
	clients = flag.Int("clients", 100, "how many clients each exchange has")
	scale   = flag.Float64("scale", 4320, "simulated seconds in one for what lasts an hour or more")
	pace    = flag.Float64("pace", 20, "simulated seconds in one for what is shorter")
	seed    = flag.Int64("seed", 1, "what decides the incidents, as far as the clock allows")
	only    = flag.String("exchange", "all", "the name of one preset")
	every   = flag.Duration("every", 100*time.Millisecond, "the mean time between two messages of a stream")
	report  = flag.String("report", "", "the file for the report")
)

// real gives the time that a simulated one takes.
func real(simulated time.Duration) time.Duration {
	if simulated >= time.Hour {
		return time.Duration(float64(simulated) / *scale)
	}
	return time.Duration(float64(simulated) / *pace)
}

const step = 5 * time.Millisecond

// A lateness knows how late this process gets to work, which nobody may be blamed for.
type lateness struct {
	mutex  sync.Mutex
	recent [64]time.Duration // the worst of each 50 ms
	at     int
	since  time.Time
}

func (l *lateness) note(late time.Duration, now time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if now.Sub(l.since) > 50*time.Millisecond {
		l.since, l.at = now, (l.at+1)%len(l.recent)
		l.recent[l.at] = 0
	}
	l.recent[l.at] = max(l.recent[l.at], late)
}

// slack is what to take from, or give to, a time that a client has to keep.
func (l *lateness) slack() time.Duration {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	worst := time.Duration(0)
	for _, late := range l.recent {
		worst = max(worst, late)
	}
	return 10*time.Millisecond + 2*worst
}

var late lateness

func main() {
	flag.Parse()
	var all []*exchange
	for i, make := range makers {
		e := make()
		if *only == "all" || *only == e.name {
			e.dice = rand.New(rand.NewSource(*seed + int64(i)<<32))
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(os.Stderr, "simulator: there is no exchange", *only)
		os.Exit(2)
	}
	for _, e := range all {
		if err := e.listen(*clients); err != nil {
			fmt.Fprintln(os.Stderr, "simulator:", err)
			os.Exit(1)
		}
	}
	for _, e := range all {
		for i, client := range e.clients {
			fmt.Printf("port %s %d %d\n", e.name, i, client.port)
		}
		go e.run()
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "calm":
			for _, e := range all {
				e.do(func() { e.isCalm = true })
			}
		case "end":
			var books []book
			for _, e := range all {
				e.do(func() {
					e.isOver = true
					books = append(books, e.book())
				})
			}
			for _, b := range books {
				b.print()
			}
			if *report != "" {
				text, _ := json.MarshalIndent(books, "", "  ")
				if err := os.WriteFile(*report, append(text, '\n'), 0o644); err != nil {
					fmt.Fprintln(os.Stderr, "simulator:", err)
				}
			}
			fmt.Println("done")
		}
	}
}

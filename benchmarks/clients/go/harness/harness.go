// SPDX-License-Identifier: Apache-2.0

// Package harness is what the Go clients share: arguments, clocks, measures, the line of JSON. The contract is in
// ../../c/bench.h.
package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"syscall"
	"time"
)

const (
	warmUp = 500
	burst  = 64
)

// A Client is one open connection.
type Client interface {
	// Flood receives until the server closes and returns how many messages there were.
	Flood(one bool) int
	Send(text []byte) error
	Receive() error
	Close()
}

type task struct {
	measure, url, ca string
	count, size      int
	wall             time.Time
	cpu              float64
}

func cpu() float64 {
	var use syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
}

func (t *task) start() { t.cpu, t.wall = cpu(), time.Now() }

func (t *task) done(messages int, times []time.Duration) {
	fields := map[string]any{"measure": t.measure, "messages": messages, "seconds": time.Since(t.wall).Seconds(), "cpu": cpu() - t.cpu}
	if len(times) > 0 {
		sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
		fields["p50_us"] = float64(times[len(times)/2].Nanoseconds()) / 1e3
		fields["p99_us"] = float64(times[len(times)*99/100].Nanoseconds()) / 1e3
	}
	print(fields)
}

// Publish is the program for measure publish: call publishes the text once.
func Publish(call func(text []byte) error) {
	t, text := arguments()
	text[0], text[t.size-1] = '"', '"'
	t.start()
	for i := 0; i < t.count; i++ {
		must(call(text))
	}
	t.done(t.count, nil)
}

func print(fields map[string]any) {
	line, _ := json.Marshal(fields)
	fmt.Println(string(line))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func residentKiB() int {
	text, err := os.ReadFile("/proc/self/statm")
	must(err)
	var all, resident int
	fmt.Sscan(string(text), &all, &resident)
	return resident * (os.Getpagesize() / 1024)
}

// arguments gives the task, and a text of its size.
func arguments() (*task, []byte) {
	if len(os.Args) != 6 {
		must(fmt.Errorf("usage: CLIENT MEASURE URL COUNT SIZE CA"))
	}
	t := &task{measure: os.Args[1], url: os.Args[2], ca: os.Args[5]}
	t.count, _ = strconv.Atoi(os.Args[3])
	t.size, _ = strconv.Atoi(os.Args[4])
	text := make([]byte, t.size)
	for i := range text {
		text[i] = 'a'
	}
	return t, text
}

// Measure is the one that is asked for.
func Measure() string {
	t, _ := arguments()
	return t.measure
}

// Run is the program for all other measures. hold keeps a connection that nobody uses alive, if that needs something.
func Run(open func(url, ca string) (Client, error), hold func(Client)) {
	t, text := arguments()
	connect := func() Client {
		client, err := open(t.url, t.ca)
		must(err)
		return client
	}
	switch t.measure {
	case "idle":
		t.idle(connect, hold)
	case "connect":
		t.connect(connect)
	case "flood", "flood-one":
		client := connect()
		t.start()
		t.done(client.Flood(t.measure == "flood-one"), nil)
	case "echo":
		t.echo(connect(), text)
	case "sink":
		t.sink(connect(), text)
	case "burst":
		t.burst(connect(), text)
	default:
		must(fmt.Errorf("unknown measure"))
	}
}

func (t *task) idle(connect func() Client, hold func(Client)) {
	var files syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	files.Cur = files.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
	var all []Client
	first := 0
	for i := 0; i < t.count; i++ {
		client := connect()
		hold(client)
		all = append(all, client)
		if i == 0 {
			first = residentKiB()
		}
	}
	print(map[string]any{"measure": "idle", "messages": t.count, "kib_each": float64(residentKiB()-first) / float64(max(t.count-1, 1))})
	runtime.KeepAlive(all)
}

func (t *task) connect(connect func() Client) {
	times := make([]time.Duration, 0, t.count)
	t.start()
	for i := 0; i < t.count; i++ {
		before := time.Now()
		client := connect()
		times = append(times, time.Since(before))
		client.Close()
	}
	t.done(t.count, times)
}

func (t *task) echo(client Client, text []byte) {
	times := make([]time.Duration, 0, t.count)
	for i := -warmUp; i < t.count; i++ {
		if i == 0 {
			t.start()
		}
		before := time.Now()
		must(client.Send(text))
		must(client.Receive())
		if i >= 0 {
			times = append(times, time.Since(before))
		}
	}
	t.done(t.count, times)
}

func (t *task) sink(client Client, text []byte) {
	t.start()
	for i := 0; i < t.count; i++ {
		must(client.Send(text))
	}
	must(client.Receive())
	t.done(t.count, nil)
}

func (t *task) burst(client Client, text []byte) {
	times := make([]time.Duration, 0, t.count)
	t.start()
	for i := 0; i < t.count; i++ {
		before := time.Now()
		for k := 0; k < burst; k++ {
			must(client.Send(text))
		}
		for k := 0; k < burst; k++ {
			must(client.Receive())
		}
		times = append(times, time.Since(before))
	}
	t.done(t.count, times)
}

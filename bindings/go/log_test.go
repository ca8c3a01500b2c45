// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A recorder is a handler that keeps what is logged.
type recorder struct {
	level slog.Level

	mu      sync.Mutex
	records []slog.Record
}

func (r *recorder) Enabled(_ context.Context, level slog.Level) bool { return level >= r.level }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler               { return r }
func (r *recorder) WithGroup(string) slog.Handler                    { return r }
func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, record)
	return nil
}

// has says whether a line of this level, or of any if it is below all, with this text was logged.
func (r *recorder) has(level slog.Level, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range r.records {
		if (record.Level == level || level < slog.LevelDebug) && strings.Contains(record.Message, text) {
			return true
		}
	}
	return false
}

// attributes gives those of the first line with this text.
func (r *recorder) attributes(text string) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]string{}
	for _, record := range r.records {
		if strings.Contains(record.Message, text) {
			record.Attrs(func(a slog.Attr) bool {
				found[a.Key] = a.Value.String()
				return true
			})
			break
		}
	}
	return found
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.records)
}

func setLogger(t *testing.T, logger *slog.Logger, level slog.Level) {
	t.Helper()
	if err := SetLogger(logger, level); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { SetLogger(nil, 0) })
}

func TestLog(t *testing.T) {
	start := time.Now()
	r := &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(r), slog.LevelDebug)
	e := newExchange(t)
	c := dial(t, "ws://me:password@"+e.address+"/path?key=secret", quickly(WithMaxReconnectAttempts(1), WithName("feed"),
		WithHeader("Authorization", "Bearer secret"))...)
	if err := c.Send(within(t, soon), Text, []byte("a secret message")); err != nil {
		t.Fatal(err)
	}
	e.connections(1)
	e.kill()
	if _, err := c.Recv(within(t, soon)); err == nil {
		t.Error("no error")
	}
	for _, expected := range []struct {
		level slog.Level
		text  string
	}{{slog.LevelDebug, ""}, {slog.LevelInfo, "connected"}, {slog.LevelWarn, "next attempt"},
		{slog.LevelError, "gave up after 1 attempts"}} {
		eventually(t, "a line with "+expected.text, func() bool { return r.has(expected.level, expected.text) })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range r.records {
		if strings.Contains(record.Message, "secret") || strings.Contains(record.Message, "password") {
			t.Errorf("%v", record.Message)
		}
		if record.Time.Before(start.Add(-time.Second)) || record.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("%v, at %v", record.Time, time.Now())
		}
	}
}

func TestLogLevels(t *testing.T) {
	e := newExchange(t)
	for level, expected := range map[slog.Level]int{slog.LevelDebug - 4: logDebug, slog.LevelDebug: logDebug,
		slog.LevelInfo: logInfo, slog.LevelInfo + 1: logWarning, slog.LevelWarn: logWarning, slog.LevelError: logError,
		slog.LevelError + 9: logError} {
		if got := libraryLevel(level); got != expected {
			t.Errorf("%v is %d, expected %d", level, got, expected)
		}
	}
	r := &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(r), slog.LevelWarn)
	c := dial(t, e.url(), quickly()...)
	e.cut(1)
	eventually(t, "a warning", func() bool { return r.has(slog.LevelWarn, "") })
	if err := c.WaitReady(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	if r.has(slog.LevelInfo, "") || r.has(slog.LevelDebug, "") {
		t.Errorf("%v", r.records)
	}
	c.Close()

	// The level of the handler counts, too; and the last logger that was set.
	strict, loose := &recorder{level: slog.LevelError}, &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(strict), slog.LevelDebug)
	dial(t, e.url(), quickly()...).Close()
	setLogger(t, slog.New(loose), slog.LevelDebug)
	dial(t, e.url(), quickly()...).Close()
	eventually(t, "a line", func() bool { return loose.count() > 0 })
	if strict.count() != 0 {
		t.Errorf("%v", strict.records)
	}
}

// Turning the log off passes on what is there, ends the goroutine, and a panic of a handler does no harm.
func TestLogOffAndOn(t *testing.T) {
	e := newExchange(t)
	goroutines := runtime.NumGoroutine()
	for i := 0; i < 20; i++ {
		r := &recorder{level: slog.LevelDebug}
		if err := SetLogger(slog.New(r), slog.LevelDebug); err != nil {
			t.Fatal(err)
		}
		c := dial(t, e.url(), quickly()...)
		if err := SetLogger(nil, 0); err != nil {
			t.Fatal(err)
		}
		if !r.has(slog.LevelInfo, "connected") {
			// The goroutine may just be handing it on.
			eventually(t, "the line", func() bool { return r.has(slog.LevelInfo, "connected") })
		}
		count := r.count()
		c.Close()
		if r.count() > count+1 {
			t.Errorf("logged after it was turned off: %v", r.records)
		}
	}
	eventually(t, "the goroutine ends", func() bool { return runtime.NumGoroutine() <= goroutines+1 })
	if err := SetLogger(nil, 0); err != nil {
		t.Error(err)
	}
	setLogger(t, slog.New(panicking{}), slog.LevelDebug)
	dial(t, e.url(), quickly()...).Close()
	r := &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(r), slog.LevelDebug)
	dial(t, e.url(), quickly()...).Close()
	eventually(t, "a line", func() bool { return r.has(slog.LevelInfo, "connected") })
}

type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("a bad handler") }

// Failures of the application's functions are logged, too.
func TestLogOfFunctions(t *testing.T) {
	r := &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(r), slog.LevelError)
	Dial(within(t, soon), newExchange(t).url(), WithHeaderFunc(func(context.Context) (http.Header, error) {
		panic("no token")
	}))
	eventually(t, "the line", func() bool { return r.has(slog.LevelWarn, "panic in WithHeaderFunc: no token") })
}

// What a line is about is an attribute, which a handler can filter by, and not part of the message.
func TestLogAttributes(t *testing.T) {
	r := &recorder{level: slog.LevelDebug}
	setLogger(t, slog.New(r), slog.LevelDebug)
	e := newExchange(t)
	url := e.url()
	const name = "feed [btc] 1"
	m, err := NewManager(url, Handlers{OnConnect: func(Event) { panic("oops") }}, quickly(WithName(name),
		WithHeaderFunc(func(context.Context) (http.Header, error) { return nil, errors.New("no token") }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.start(false); err != nil {
		t.Fatal(err)
	}
	line := func(text string) map[string]string {
		t.Helper()
		eventually(t, "a line "+text, func() bool { return r.has(slog.LevelDebug-4, text) })
		return r.attributes(text)
	}
	if found := line("the function of WithHeaderFunc failed"); found["client"] != name {
		t.Errorf("%v", found)
	}
	dial(t, url, quickly(WithName(name))...)
	if found := line("connected to"); found["client"] != name {
		t.Errorf("%v", found)
	}
	unnamed := newExchange(t)
	m, err = NewManager(unnamed.url()+"?key=secret", Handlers{OnConnect: func(Event) { panic("oops") }})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Connect(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	if found := line("panic in OnConnect: oops"); found["client"] != unnamed.url() || found["function"] != "OnConnect" ||
		!strings.Contains(found["stack"], "TestLogAttributes") {
		t.Errorf("%v", found)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range r.records {
		if strings.HasPrefix(record.Message, "[") || strings.Contains(record.Message, "goroutine") ||
			strings.Contains(record.Message, name) {
			t.Errorf("%q", record.Message)
		}
	}
}

func TestLogClientOfALine(t *testing.T) {
	for line, expected := range map[string][2]string{
		"[feed] connected":                     {"feed", "connected"},
		"[ws://[::1]:80/] closed":              {"ws://[::1]:80/", "closed"},
		"[a [b] c] [d] e":                      {"a [b] c", "[d] e"},
		"[a[ b] connected":                     {"a[ b", "connected"},
		"[] x":                                 {"", "x"},
		"3 lines of the log were lost":         {"", "3 lines of the log were lost"},
		"[cut in the name of the client that ": {"", "[cut in the name of the client that "},
		"":                                     {"", ""},
	} {
		if client, text := clientOf(line); client != expected[0] || text != expected[1] {
			t.Errorf("%q: client %q, text %q", line, client, text)
		}
	}
}

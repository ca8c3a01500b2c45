// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestStatisticTable(t *testing.T) {
	table, err := StatisticTable()
	if err != nil || len(table) == 0 {
		t.Fatal(err)
	}
	c := dial(t, newExchange(t).url(), quickly()...)
	values := c.Statistics()
	if len(values) != len(table) {
		t.Errorf("%d statistics, %d in the table", len(values), len(table))
	}
	seen := map[string]bool{}
	for _, entry := range table {
		if seen[entry.Name] || entry.Type != "counter" && entry.Type != "gauge" || entry.Unit == "" || entry.Meaning == "" {
			t.Errorf("%+v", entry)
		}
		seen[entry.Name] = true
		value, ok := values[entry.Name]
		if !ok || entry.Type == "counter" && (math.IsNaN(value) || value < 0) {
			t.Errorf("%s is %v", entry.Name, value)
		}
	}
	for _, name := range []string{"messages_received", "messages_accepted", "reconnections", "errors", "uptime", "latency",
		"queue_size", "state"} {
		if !seen[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestStatistics(t *testing.T) {
	e := newExchange(t, func(e *exchange) {
		e.onText = func(_ *peer, _ int, text string) []string { return []string{text} }
	})
	c := dial(t, e.url(), quickly(WithHeartbeat(10*time.Millisecond))...)
	for i := 0; i < 3; i++ {
		if err := c.Send(within(t, soon), Text, []byte("12345")); err != nil {
			t.Fatal(err)
		}
		recvText(t, c)
	}
	if latency := c.Statistics()["compression_ratio_sent"]; !math.IsNaN(latency) {
		t.Errorf("a ratio of nothing is %v", latency)
	}
	e.until("a heartbeat", func() bool { return e.pings > 0 })
	eventually(t, "the answer is there", func() bool { return c.Statistics()["latency"] > 0 })
	s := balanced(t, c)
	for name, expected := range map[string]float64{"messages_received": 3, "messages_sent": 3, "payload_bytes_sent": 15,
		"payload_bytes_received": 15, "connections": 1, "reconnections": 0, "attempts": 1, "state": float64(Connected)} {
		if s[name] != expected {
			t.Errorf("%s is %v, expected %v", name, s[name], expected)
		}
	}
	status, err := c.Status()
	if err != nil || float64(status.Stats.MessagesAccepted) != s["messages_accepted"] ||
		status.Stats.MessagesDropped != 0 ||
		status.Stats.LatencyP50 <= 0 {
		t.Errorf("%+v, %v", status, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if s := balanced(t, c); s["messages_received"] != 3 {
		t.Errorf("after Close: %v", s)
	}
}

func TestTransitionTable(t *testing.T) {
	table, err := TransitionTable()
	if err != nil || len(table) == 0 {
		t.Fatal(err)
	}
	leads := map[string]bool{}
	for _, line := range table {
		if line.Event == "" || line.Meaning == "" || strings.Contains(line.From.String()+line.To.String(), "State(") {
			t.Errorf("%+v", line)
		}
		leads[fmt.Sprint(line.From, " ", line.Event, " ", line.To)] = true
	}
	for _, line := range []string{"disconnected start connecting", "connecting opened connected",
		"connected retry reconnecting", "reconnecting give_up error", "error reconnect reconnecting",
		"connected disconnect disconnected"} {
		if !leads[line] {
			t.Errorf("the table does not say: %s", line)
		}
	}
}

// The Prometheus text format, as far as it is used: comments, and lines of a name, labels and a number.
var prometheusLine = regexp.MustCompile(
	`^(# (HELP|TYPE) pulsews_[a-z0-9_]+ .+|pulsews_[a-z0-9_]+\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\} (NaN|[-+0-9.eE]+))$`)

func TestPrometheus(t *testing.T) {
	e := newExchange(t)
	one := dial(t, e.url()+"?token=secret", quickly(WithName("one"))...)
	two := dial(t, e.url(), quickly(WithName("two"))...)
	for name, text := range map[string]string{"one": one.Prometheus(), "two": two.Prometheus(), "all": Prometheus()} {
		types := map[string]bool{}
		for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if !prometheusLine.MatchString(line) {
				t.Errorf("%s: %q", name, line)
			}
			if after, ok := strings.CutPrefix(line, "# TYPE "); ok {
				if types[after] {
					t.Errorf("%s: twice: %s", name, line)
				}
				types[after] = true
			}
		}
		if len(types) == 0 || strings.Contains(text, "secret") {
			t.Errorf("%s:\n%s", name, text)
		}
		for _, client := range []string{"one", "two"} {
			if has := strings.Contains(text, `client="`+client+`"`); has != (name == client || name == "all") {
				t.Errorf("%s: client %s: %v", name, client, has)
			}
		}
	}
	two.Close()
	if strings.Contains(Prometheus(), `client="two"`) {
		t.Error("a closed connection is still there")
	}
}

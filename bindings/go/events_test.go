// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"
)

func event(t *testing.T, text string) Event {
	t.Helper()
	event, err := Message{Kind: EventMessage, Data: []byte(text)}.Event()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return event
}

// Every key of every event has a field of its own.
func TestEachKeyOfAnEventHasAField(t *testing.T) {
	for name, keys := range eventKeys {
		bare := event(t, fmt.Sprintf(`{"event":%q}`, name))
		bare.Fields = nil
		for _, key := range keys {
			found := false
			for _, value := range []string{`"PULSEWS_ERESET"`, `7`, `true`, `[[4,6]]`} {
				full := event(t, fmt.Sprintf(`{"event":%q,%q:%s}`, name, key, value))
				full.Fields = nil
				found = found || !reflect.DeepEqual(bare, full)
			}
			if !found {
				t.Errorf("event %s has no field for %s", name, key)
			}
		}
	}
}

func TestEventFields(t *testing.T) {
	e := event(t, `{"event":"gap","key":"btc","expected":9223372036854775806,"received":9223372036854775807,"missing":1}`)
	if e.Key != "btc" || e.Gap == nil || *e.Gap != (Gap{Expected: 9223372036854775806, Received: 9223372036854775807, Missing: 1}) {
		t.Errorf("%+v %+v", e, e.Gap)
	}
	if e := event(t, `{"event":"gap","key":"","expected":5,"received":7,"missing":null}`); e.Gap.Missing != -1 {
		t.Errorf("%+v", e.Gap)
	}
	if e := event(t, `{"event":"step_back","key":"","received":7,"last":9}`); *e.Gap != (Gap{Received: 7, Last: 9}) {
		t.Errorf("%+v", e.Gap)
	}
	e = event(t, `{"event":"journal","recovered":12,"expired":3,"in_doubt":4,"first_in_doubt":4711,`+
		`"in_doubt_ids":[[4711,4713],[4720,4720]],"cut_bytes":64,"cut_messages":1}`)
	expected := JournalReport{Recovered: 12, Expired: 3, InDoubt: 4, FirstInDoubt: 4711, CutBytes: 64, CutMessages: 1,
		InDoubtIDs: [][2]uint64{{4711, 4713}, {4720, 4720}}}
	if e.Journal == nil || !reflect.DeepEqual(*e.Journal, expected) {
		t.Errorf("%+v", e.Journal)
	}
	e = event(t, `{"event":"state","state":"reconnecting","previous":"connected","trigger":"retry","error":"PULSEWS_EPEERCLOSED",`+
		`"cause":"why","attempt":2,"next_delay":0.5,"close_code":1012}`)
	if e.CloseCode != 1012 || e.Attempt != 2 || e.NextDelay != 500*time.Millisecond || e.Gap != nil || e.Journal != nil ||
		e.Rotation != nil {
		t.Errorf("%+v", e)
	}
	e = event(t, `{"event":"rotation","step":"done","cause":"max_age","endpoint":"ws://a/","duplicates":3,"overlap":0.25}`)
	if e.Rotation == nil || *e.Rotation != (Rotation{Step: "done", Duplicates: 3, Overlap: 250 * time.Millisecond}) {
		t.Errorf("%+v", e.Rotation)
	}
}

// Events are told when receiving comes past them and not when they are fetched, however receiving is done, and also
// while a function of the application has messages fetched ahead.
func TestEventsComeInTheirPlace(t *testing.T) {
	one := func(c *Conn, ctx context.Context) ([]Message, error) {
		message, err := c.Recv(ctx)
		return []Message{message}, err
	}
	for name, test := range map[string]struct {
		receive func(*Conn, context.Context) ([]Message, error)
		option  Option
	}{
		"Recv":      {one, nil},
		"RecvBatch": {func(c *Conn, ctx context.Context) ([]Message, error) { return c.RecvBatch(ctx, 2) }, nil},
		"Recv with a login": {one, WithLoginFunc(func(context.Context) ([]Message, error) {
			return []Message{{Data: []byte("login")}}, nil
		})},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExchange(t)
			c := dial(t, e.url(), quickly(WithEvents(true), test.option)...)
			for round := 1; round <= 3; round++ {
				e.connections(round)
				e.say(fmt.Sprint("round ", round))
				eventually(t, "it arrives", func() bool { return c.Statistics()["messages_received"] == float64(round) })
				e.cut(round)
			}
			e.connections(4)
			if err := c.WaitReady(within(t, soon)); err != nil {
				t.Fatal(err)
			}
			rounds, last := 0, uint64(0)
			var told []uint64
			for rounds < 3 {
				messages, err := test.receive(c, within(t, soon))
				if err != nil {
					t.Fatal(err)
				}
				var events []uint64
				for _, message := range messages {
					if message.Sequence <= last || message.ReceivedNS == 0 {
						t.Errorf("%+v after %d", message, last)
					}
					last = message.Sequence
					if message.Kind == EventMessage {
						events = append(events, message.Sequence)
					} else {
						rounds++
					}
				}
				var kept []uint64
				for _, event := range c.Events() {
					kept = append(kept, event.Sequence)
					if event.Received.Before(time.Now().Add(-soon)) {
						t.Errorf("%+v", event)
					}
				}
				if fmt.Sprint(kept) != fmt.Sprint(events) {
					t.Fatalf("Events gave %d, receiving came past %d", kept, events)
				}
				told = append(told, kept...)
			}
			if len(told) < 9 {
				t.Errorf("%d events", len(told))
			}
		})
	}
}

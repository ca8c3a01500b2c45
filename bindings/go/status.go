// SPDX-License-Identifier: Apache-2.0

package pulsews

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// A Status is the state and the statistics of a connection.
type Status struct {
	State     string         // "disconnected", "connecting", "connected", "reconnecting" or "error"
	QueueSize int64          // messages that wait in the outbox
	Stats     Stats          // what was counted
	Fields    map[string]any // all that the library reports, those above included; numbers are json.Number
}

// Stats counts since Dial. What the library does not report is 0.
type Stats struct {
	MessagesReceived int64
	MessagesSent     int64
	BytesReceived    int64
	BytesSent        int64
	Reconnections    int64
	Errors           int64
	Uptime           time.Duration // of the present connection
	Latency          time.Duration // the last round trip of a heartbeat; 0 before the first
	LatencyP50       time.Duration
	LatencyP99       time.Duration
	LastError        string // empty if none
}

// Status reads the state and the statistics; after Close those at its end.
func (c *Conn) Status() (Status, error) {
	c.alive.RLock()
	text := c.last.status
	if !c.freed {
		text = c.native.status()
	}
	c.alive.RUnlock()
	return parseStatus(text)
}

func parseStatus(text []byte) (Status, error) {
	var status Status
	fields, err := parseObject(text)
	if err != nil {
		return status, fmt.Errorf("pulsews: the status is not a JSON object: %w", err)
	}
	status.Fields = fields
	status.State, _ = fields["state"].(string)
	status.QueueSize = integer(fields["queue_size"])
	stats, _ := fields["stats"].(map[string]any)
	status.Stats = Stats{
		MessagesReceived: integer(stats["messages_received"]),
		MessagesSent:     integer(stats["messages_sent"]),
		BytesReceived:    integer(stats["bytes_received"]),
		BytesSent:        integer(stats["bytes_sent"]),
		Reconnections:    integer(stats["reconnections"]),
		Errors:           integer(stats["errors"]),
		Uptime:           seconds(stats["uptime"]),
		Latency:          seconds(stats["latency"]),
		LatencyP50:       seconds(stats["latency_p50"]),
		LatencyP99:       seconds(stats["latency_p99"]),
	}
	status.Stats.LastError, _ = stats["last_error"].(string)
	return status, nil
}

// An Event is something that happened to the connection.
type Event struct {
	Sequence uint64         // its place among the messages
	Received time.Time      // when it happened
	Type     string         // what happened: "state" for a new state, "failed" for messages that could not be sent ...
	State    string         // the new state, for "state"
	Cause    string         // why it happened; empty if there is no more to say
	Fields   map[string]any // all that the library tells about it; numbers are json.Number
}

// Event reads a message of kind EventMessage.
func (m Message) Event() (Event, error) {
	if m.Kind != EventMessage {
		return Event{}, invalid("the message is of kind " + m.Kind.String() + "; allowed: event")
	}
	fields, err := parseObject(m.Data)
	if err != nil {
		return Event{}, fmt.Errorf("pulsews: the event is not a JSON object: %w", err)
	}
	event := Event{Sequence: m.Sequence, Received: m.Received(), Fields: fields}
	event.Type, _ = fields["event"].(string)
	event.State, _ = fields["state"].(string)
	event.Cause, _ = fields["cause"].(string)
	return event, nil
}

// keptEvents is how many events wait for Events; older ones are forgotten.
const keptEvents = 256

// Events gives the events that Recv, RecvBatch and Messages came past since it was called last, at most the 256 newest.
// Only with WithEvents. It is for programs that handle events apart from messages: they skip those of kind EventMessage.
func (c *Conn) Events() []Event {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	events := c.events
	c.events = nil
	return events
}

// keepEvent is called with receiving held.
func (c *Conn) keepEvent(message Message) {
	event, err := message.Event()
	if err != nil {
		return
	}
	if len(c.events) >= keptEvents {
		c.events = append(c.events[:0], c.events[len(c.events)-keptEvents+1:]...)
	}
	c.events = append(c.events, event)
}

func parseObject(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var fields map[string]any
	err := decoder.Decode(&fields)
	return fields, err
}

func integer(value any) int64 {
	if number, ok := value.(json.Number); ok {
		if n, err := number.Int64(); err == nil {
			return n
		}
		f, _ := number.Float64()
		return int64(f)
	}
	return 0
}

func seconds(value any) time.Duration {
	if number, ok := value.(json.Number); ok {
		f, _ := number.Float64()
		return time.Duration(f * float64(time.Second))
	}
	return 0
}

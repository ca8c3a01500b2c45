// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// A Status is the state and the statistics of a connection. Statistics gives more numbers, and cheaper.
type Status struct {
	State         string         // "disconnected", "connecting", "connected", "reconnecting" or "error"
	Ready         bool           // open, logged in, subscribed
	Endpoint      string         // the URL in use, without user and query
	QueueSize     int64          // messages that wait in the outbox
	Subscriptions int64          // keys that are subscribed on every connect
	Stats         Stats          // what was counted
	Fields        map[string]any // all that the library reports, those above included; numbers are json.Number
}

// Stats counts since Dial. What the library does not report is 0. MessagesAccepted is MessagesSent + MessagesDropped +
// MessagesExpired + MessagesFailed + QueueSize, at every moment.
type Stats struct {
	MessagesReceived int64
	MessagesAccepted int64 // by Send
	MessagesSent     int64 // handed to the operating system whole
	MessagesDropped  int64 // by a full outbox, and by Purge
	MessagesExpired  int64 // their time to live was over
	MessagesFailed   int64 // lost with a connection
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
	status.Ready, _ = fields["ready"].(bool)
	status.Endpoint, _ = fields["endpoint"].(string)
	status.QueueSize = integer(fields["queue_size"])
	status.Subscriptions = integer(fields["subscriptions"])
	stats, _ := fields["stats"].(map[string]any)
	status.Stats = Stats{
		MessagesReceived: integer(stats["messages_received"]),
		MessagesAccepted: integer(stats["messages_accepted"]),
		MessagesSent:     integer(stats["messages_sent"]),
		MessagesDropped:  integer(stats["messages_dropped"]),
		MessagesExpired:  integer(stats["messages_expired"]),
		MessagesFailed:   integer(stats["messages_failed"]),
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

// An Event is something that happened to the connection. What does not belong to its type is empty.
type Event struct {
	Sequence uint64         // its place among the messages
	Received time.Time      // when it happened
	Type     string         // "state", "ready", "hold", "dropped", "expired", "failed", "fate", "stale", "breaker" ...
	Cause    string         // why it happened; empty if there is no more to say
	Err      error          // the same as an *Error or *CloseError, where a failure is the cause; else nil
	Endpoint string         // the URL that it is about, without user and query
	Fields   map[string]any // all that the library tells about it; numbers are json.Number

	State     string        // "state": the new state, ...
	Previous  string        // ... the one before, ...
	Trigger   string        // ... and what led from one to the other: the Event of a Transition
	Attempt   int           // the number of the attempt that is under way, or next; 1 is the first
	NextDelay time.Duration // until it; 0 if none is planned
	CloseCode int           // "state": the server's; 1005 if its close frame had none, 1006 without a close frame

	Subscriptions int           // "ready": how many keys are subscribed
	SinceOpen     time.Duration // "ready": since the connection opened
	At            string        // "hold": "connect" or "login"
	Successor     bool          // "hold": for a connection that is to follow the present one
	Breaker       string        // "breaker": "open", "half-open" or "closed"
	Side          string        // "twin": "url" or "twin"

	Messages int         // "dropped", "expired", "failed", "discarded", "receive_dropped", "journal_kept": how many
	Events   int         // "events_dropped": how many
	Bytes    int64       // "receive_dropped": of their payloads
	ID       uint64      // "fate": of which message; "dropped", "expired", "failed": the first
	LastID   uint64      // "dropped", "expired", "failed": the last
	IDs      [][2]uint64 // "dropped", "expired", "failed", with WithJournal: all, in rows as in JournalReport
	Fate     string      // "fate": "sent", "dropped", "expired" or "failed"

	Silence time.Duration // "stale", "fresh", "stale_key", "fresh_key": how long no data came
	Action  string        // "stale": what follows: "event" or "reconnect"
	Key     string        // "gap", "repeat", "step_back", "stale_key", "fresh_key", "subscription_rejected": of which key
	Text    string        // "subscription_rejected": the begin of the server's message

	Gap      *Gap           // "gap", "repeat" and "step_back"; else nil
	Journal  *JournalReport // "journal"; else nil
	Rotation *Rotation      // "rotation"; else nil
}

// A Gap is what an event "gap", "repeat" or "step_back" tells about the numbers of a feed.
type Gap struct {
	Expected int64 // "gap": the number that would have followed; with WithSequencePrevious the last one that was there
	Received int64 // the number that came
	Missing  int64 // "gap": how many were left out; -1 where that can't be known
	Last     int64 // "step_back": the highest number so far
}

// A JournalReport is what an earlier process left in the file of WithJournal.
type JournalReport struct {
	Recovered    int         // messages that are queued again
	Expired      int         // messages whose time to live was over
	InDoubt      int         // messages that had begun to leave, and are not sent again
	FirstInDoubt uint64      // the id of the first of them; 0 if there is none
	InDoubtIDs   [][2]uint64 // the ids of all: rows that follow each other, each as its first and last id
	RecoveredIDs [][2]uint64 // those that are queued again
	ExpiredIDs   [][2]uint64
	Dropped      int // messages that the process before dropped, and did not tell
	DroppedIDs   [][2]uint64
	Unlisted     int   // ids of those that were discarded and not told, for which the file had no room
	CutBytes     int64 // damaged bytes that were cut off
	CutMessages  int   // at most so many messages were in them; -1 where that can't be known
}

// A Rotation is a step on the way from one connection to the next.
type Rotation struct {
	Step       string        // "begin", "done" or "failed"
	Problem    string        // "failed": a sentence
	Duplicates int           // "done": copies that both connections had brought, and were discarded
	Overlap    time.Duration // "done": how long both were ready
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
	for name, target := range map[string]*string{"event": &event.Type, "cause": &event.Cause, "endpoint": &event.Endpoint,
		"state": &event.State, "previous": &event.Previous, "trigger": &event.Trigger, "fate": &event.Fate,
		"at": &event.At, "breaker": &event.Breaker, "side": &event.Side, "action": &event.Action, "key": &event.Key,
		"text": &event.Text} {
		*target, _ = fields[name].(string)
	}
	if name, _ := fields["error"].(string); name != "" {
		if code := byName[name]; code == codePeerClosed {
			event.Err = &CloseError{Code: int(integer(fields["close_code"])), Text: event.Cause}
		} else {
			event.Err = &Error{Code: code, Name: name, Text: event.Cause}
		}
	}
	event.Attempt = int(integer(fields["attempt"]))
	event.NextDelay = seconds(fields["next_delay"])
	event.Messages = int(integer(fields["messages"]))
	event.ID, event.LastID = uint64(integer(fields["id"])), uint64(integer(fields["last_id"]))
	if first, ok := fields["first_id"]; ok {
		event.ID = uint64(integer(first))
	}
	event.IDs = rows(fields["ids"])
	event.CloseCode = int(integer(fields["close_code"]))
	event.Subscriptions = int(integer(fields["subscriptions"]))
	event.SinceOpen = seconds(fields["seconds"])
	event.Successor, _ = fields["successor"].(bool)
	event.Events = int(integer(fields["events"]))
	event.Bytes = integer(fields["bytes"])
	event.Silence = seconds(fields["silence"])
	event.addReport()
	return event, nil
}

// addReport sets what only one type of event has, or three.
func (e *Event) addReport() {
	fields := e.Fields
	switch e.Type {
	case "gap", "repeat", "step_back":
		e.Gap = &Gap{integer(fields["expected"]), integer(fields["received"]), unknown(fields, "missing"),
			integer(fields["last"])}
	case "journal":
		e.Journal = &JournalReport{
			Recovered:    int(integer(fields["recovered"])),
			Expired:      int(integer(fields["expired"])),
			InDoubt:      int(integer(fields["in_doubt"])),
			FirstInDoubt: uint64(integer(fields["first_in_doubt"])),
			CutBytes:     integer(fields["cut_bytes"]),
			CutMessages:  int(unknown(fields, "cut_messages")),
			InDoubtIDs:   rows(fields["in_doubt_ids"]),
			RecoveredIDs: rows(fields["recovered_ids"]),
			ExpiredIDs:   rows(fields["expired_ids"]),
			Dropped:      int(integer(fields["dropped"])),
			DroppedIDs:   rows(fields["dropped_ids"]),
			Unlisted:     int(integer(fields["unlisted"])),
		}
	case "rotation":
		problem, _ := fields["problem"].(string)
		step, _ := fields["step"].(string)
		e.Rotation = &Rotation{step, problem, int(integer(fields["duplicates"])), seconds(fields["overlap"])}
	}
}

// rows reads ids as events list them.
func rows(value any) (ids [][2]uint64) {
	list, _ := value.([]any)
	for _, row := range list {
		if ends, _ := row.([]any); len(ends) == 2 {
			ids = append(ids, [2]uint64{uint64(integer(ends[0])), uint64(integer(ends[1]))})
		}
	}
	return ids
}

// unknown reads a number that is -1 where it is null.
func unknown(fields map[string]any, name string) int64 {
	if value, is := fields[name]; is && value == nil {
		return -1
	}
	return integer(fields[name])
}

// keptEvents is how many events wait for Events; older ones are forgotten.
const keptEvents = 256

// Events gives the events that Recv, RecvBatch and Messages came past since it was called last, at most the 256 newest.
// Only with WithEvents. It is for programs that handle events apart from messages: they skip those of kind
// EventMessage.
func (c *Conn) Events() []Event {
	c.receiving.Lock()
	messages := c.events
	c.events = nil
	c.receiving.Unlock()
	var events []Event
	for _, message := range messages {
		if event, err := message.Event(); err == nil {
			events = append(events, event)
		}
	}
	return events
}

// keepEvent is called with receiving held, for a message that is handed out now. Its text may be changed by who gets it,
// and would keep its batch.
func (c *Conn) keepEvent(message Message) {
	message.Data = bytes.Clone(message.Data)
	if len(c.events) >= keptEvents {
		c.events = append(c.events[:0], c.events[len(c.events)-keptEvents+1:]...)
	}
	c.events = append(c.events, message)
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

// SPDX-License-Identifier: Apache-2.0

// Package pulse has the messages of the subprotocol pulse.v1 as types, for programs that are peers of a hub. It needs
// neither cgo nor the library.
//
//	c, err := pulsews.Dial(ctx, url, pulsews.WithSubprotocols(pulse.Subprotocol))
//	...
//	message, err := pulse.Decode(received.Data)
//	switch m := message.(type) {
//	case pulse.Published:
//	case pulse.Gap:
//	}
//
// docs/PROTOCOL.md says what they mean, and how a peer resumes. Times in T and Time are milliseconds since
// 1970-01-01T00:00:00Z with three decimals; those in Welcome and Auth are of RFC 3339.
package pulse

import (
	"encoding/json"
	"fmt"
)

// Subprotocol is what a peer offers that wants these messages.
const Subprotocol = "pulse.v1"

// An ID of a request comes back in its answer as it was: a number or a text of at most 64 bytes, in JSON; nil for none.
type ID = json.RawMessage

// Stamps say when a message was made at its source, received by the publisher, and published; nil: not known.
type Stamps [3]*float64

// ---- From the hub

// Welcome is the first message of every connection.
type Welcome struct {
	Type string      `json:"type"` // "welcome"
	Data WelcomeData `json:"data"`
}

// WelcomeData is what Welcome tells.
type WelcomeData struct {
	Client       string  `json:"client"`
	Hub          string  `json:"hub"`
	Heartbeat    float64 `json:"heartbeat"` // how often the hub pings, in seconds; 0 for never
	Time         string  `json:"time"`
	ResumeWindow float64 `json:"resume_window"` // how long a peer may be away and go on without a gap, in seconds
}

// Published is a message that was published to a topic. O is its offset, P the one before it as far as this peer is
// concerned: another one than the last O means that messages are missing, unless a Gap has told so.
type Published struct {
	Type    string          `json:"type"` // that of the published object; "message" if it has none
	Topic   string          `json:"topic"`
	O       uint64          `json:"o"`
	P       uint64          `json:"p"`
	Skipped uint64          `json:"skipped,omitempty"` // how many between both newer ones of their keys stand for
	T       Stamps          `json:"t"`
	Data    json.RawMessage `json:"data"` // what was published, byte for byte
}

// Subscribed answers one topic of Subscribe.
type Subscribed struct {
	Type      string  `json:"type"` // "subscribed"
	ID        ID      `json:"id,omitempty"`
	Topic     string  `json:"topic"`
	Number    *uint32 `json:"number,omitempty"` // of binary topics: what their messages begin with
	Epoch     string  `json:"epoch"`
	Offset    uint64  `json:"offset"`    // of the topic's last message at this moment
	Recovered bool    `json:"recovered"` // whether all that was missed follows
	State     State   `json:"state"`
}

// Unsubscribed answers one topic of Unsubscribe.
type Unsubscribed struct {
	Type  string `json:"type"` // "unsubscribed"
	ID    ID     `json:"id,omitempty"`
	Topic string `json:"topic"`
}

// Snapshot says where a topic stands: the latest message of each key, or as many of the last ones as were asked for.
type Snapshot struct {
	Type   string         `json:"type"` // "snapshot"
	Topic  string         `json:"topic"`
	Epoch  string         `json:"epoch"`
	Offset uint64         `json:"offset"`
	Binary int            `json:"binary,omitempty"` // of binary topics: how many binary messages follow as its items
	Items  []SnapshotItem `json:"items"`
}

// A SnapshotItem is a message of the past.
type SnapshotItem struct {
	Type string          `json:"type"`
	O    uint64          `json:"o"`
	T    Stamps          `json:"t"`
	Data json.RawMessage `json:"data"`
}

// A Gap stands for messages that this peer does not get, from the first to the last.
type Gap struct {
	Type  string  `json:"type"` // "gap"
	Topic string  `json:"topic"`
	From  *uint64 `json:"from"` // nil: not known
	To    uint64  `json:"to"`
	Cause string  `json:"cause"` // "history", "slow", "hub_restart", "upstream" or "cluster"
}

// TopicState says how fresh a topic is.
type TopicState struct {
	Type  string   `json:"type"` // "topic_state"
	Topic string   `json:"topic"`
	State State    `json:"state"`
	Age   *float64 `json:"age"` // seconds since its last message; nil if there was none
	Feed  string   `json:"feed,omitempty"`
	Cause string   `json:"cause,omitempty"` // a sentence
}

// Feed says that another source serves.
type Feed struct {
	Type string   `json:"type"` // "feed"
	Data FeedData `json:"data"`
}

// FeedData is what Feed tells.
type FeedData struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Cause string `json:"cause"`
}

// Error says why something was refused.
type Error struct {
	Type  string    `json:"type"` // "error"
	ID    ID        `json:"id,omitempty"`
	Topic string    `json:"topic,omitempty"`
	Data  ErrorData `json:"data"`
}

// ErrorData is what Error tells.
type ErrorData struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Details json.RawMessage `json:"details,omitempty"`
}

// Pong answers Ping.
type Pong struct {
	Type string   `json:"type"` // "pong"
	ID   ID       `json:"id,omitempty"`
	Data PongData `json:"data"`
}

// PongData is what Pong tells.
type PongData struct {
	Sent json.RawMessage `json:"sent,omitempty"` // as it came
	Time float64         `json:"time"`
}

// Heartbeat says only that the connection lives.
type Heartbeat struct {
	Type string   `json:"type"` // "heartbeat"
	Data TimeData `json:"data"`
}

// TimeData is what Heartbeat tells.
type TimeData struct {
	Time float64 `json:"time"`
}

// Authenticated answers Auth.
type Authenticated struct {
	Type string            `json:"type"` // "auth"
	ID   ID                `json:"id,omitempty"`
	Data AuthenticatedData `json:"data"`
}

// AuthenticatedData is what Authenticated tells.
type AuthenticatedData struct {
	User    string `json:"user"` // whose token it is; empty if it does not say
	Expires string `json:"expires"`
}

// AuthExpiring says that the token ends.
type AuthExpiring struct {
	Type string           `json:"type"` // "auth_expiring"
	Data AuthExpiringData `json:"data"`
}

// AuthExpiringData is what AuthExpiring tells.
type AuthExpiringData struct {
	In float64 `json:"in"` // seconds
}

// ---- To the hub

// Subscribe asks for topics, 1 to 256 of them.
type Subscribe struct {
	Type   string  `json:"type"` // "subscribe"
	ID     ID      `json:"id,omitempty"`
	Topics []Topic `json:"topics"`
}

// A Topic is what a peer wants: its name, and where to go on or how much of the past.
type Topic struct {
	Topic   string `json:"topic"`
	Since   *Since `json:"since,omitempty"`
	History int    `json:"history,omitempty"`
}

// Since says where a peer was: the epoch, and the offset of the last message that it has.
type Since struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// Unsubscribe leaves topics.
type Unsubscribe struct {
	Type   string   `json:"type"` // "unsubscribe"
	ID     ID       `json:"id,omitempty"`
	Topics []string `json:"topics"`
}

// Auth shows or renews a token.
type Auth struct {
	Type string   `json:"type"` // "auth"
	ID   ID       `json:"id,omitempty"`
	Data AuthData `json:"data"`
}

// AuthData is what Auth tells.
type AuthData struct {
	Token string `json:"token"`
}

// Ping asks for a Pong.
type Ping struct {
	Type string    `json:"type"` // "ping"
	ID   ID        `json:"id,omitempty"`
	Data *PingData `json:"data,omitempty"`
}

// PingData is what Ping tells: a number or a text that comes back.
type PingData struct {
	Sent json.RawMessage `json:"sent"`
}

// NewSubscribe makes a Subscribe for topics, from now on.
func NewSubscribe(topics ...string) Subscribe {
	wishes := make([]Topic, len(topics))
	for i, topic := range topics {
		wishes[i].Topic = topic
	}
	return Subscribe{Type: "subscribe", Topics: wishes}
}

// NewUnsubscribe makes an Unsubscribe.
func NewUnsubscribe(topics ...string) Unsubscribe {
	return Unsubscribe{Type: "unsubscribe", Topics: topics}
}

// NewAuth makes an Auth.
func NewAuth(token string) Auth { return Auth{Type: "auth", Data: AuthData{token}} }

// NewPing makes a Ping.
func NewPing() Ping { return Ping{Type: "ping"} }

// Decode reads a text that a hub has sent: Welcome, Published, Subscribed, Unsubscribed, Snapshot, Gap, TopicState, Feed,
// Error, Pong, Heartbeat, Authenticated or AuthExpiring. What has a type that it does not know comes as an Unknown,
// since later versions may have more of them; so does what an application sends to one peer.
func Decode(text []byte) (any, error) {
	var head struct {
		Type string           `json:"type"`
		O    *json.RawMessage `json:"o"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("pulse: this is no message of a hub: %w", err)
	}
	if head.O != nil { // it may have any type
		return decode[Published](text)
	}
	switch head.Type {
	case "welcome":
		return decode[Welcome](text)
	case "subscribed":
		return decode[Subscribed](text)
	case "unsubscribed":
		return decode[Unsubscribed](text)
	case "snapshot":
		return decode[Snapshot](text)
	case "gap":
		return decode[Gap](text)
	case "topic_state":
		return decode[TopicState](text)
	case "feed":
		return decode[Feed](text)
	case "error":
		return decode[Error](text)
	case "pong":
		return decode[Pong](text)
	case "heartbeat":
		return decode[Heartbeat](text)
	case "auth":
		return decode[Authenticated](text)
	case "auth_expiring":
		return decode[AuthExpiring](text)
	}
	return Unknown{head.Type, append(json.RawMessage(nil), text...)}, nil
}

// An Unknown is a message of another type.
type Unknown struct {
	Type string
	Text json.RawMessage // all of it
}

func decode[T any](text []byte) (any, error) {
	var message T
	if err := json.Unmarshal(text, &message); err != nil {
		return nil, fmt.Errorf("pulse: this is no %T of a hub: %w", message, err)
	}
	return message, nil
}

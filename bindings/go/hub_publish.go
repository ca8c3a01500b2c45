// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
)

// A Publication is a message of a topic, for Hub.PublishBatch and Hub.Load.
type Publication struct {
	Topic string // Load looks at its own argument instead
	Key   string // empty: what WithTopicConflate finds in the message
	Data  []byte // one JSON value, or any bytes with WithTopicBinary

	// When it was made at its source and received here, in nanoseconds since 1970-01-01T00:00:00Z as
	// time.Time.UnixNano; 0 if not known. Peers of pulse.v1 get both with the message.
	ExchangeNS, ReceivedNS int64

	Offset      uint64 // Load only; 0: the next one
	PublishedNS int64  // Load only: when it was published
}

// Publish publishes one message to a topic, and returns its offset there. It never waits: ctx is only looked at. key is
// what a newer message replaces it by where the topic conflates; empty for what WithTopicConflate finds in the message.
// data is one JSON value (any bytes with WithTopicBinary), is copied, and may be used again at once. The messages of
// one goroutine keep their order.
//
// Nothing was published if there is an error: ErrQueueFull when the loops are behind by WithHubPublishQueueBytes, or
// would be by this message alone; ErrValue for data that is not one JSON value; ErrInvalid for a name that no topic can
// have and for a key of more than 256 bytes; ErrNoMemory when there are 100000 topics.
func (h *Hub) Publish(ctx context.Context, topic, key string, data []byte) (offset uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	h.alive.RLock()
	if h.freed {
		h.alive.RUnlock()
		return 0, errHubClosed
	}
	result := h.native.publish(topic, key, data)
	h.alive.RUnlock()
	if result < 0 {
		return 0, notTaken(int(result), topic)
	}
	return uint64(result), nil
}

func notTaken(status int, topic string) error {
	return hubError(status, fmt.Sprintf("a message of topic %.80q was not taken", topic))
}

var publicationBatches = sync.Pool{New: func() any { return new(publicationBatch) }}

// PublishBatch publishes many in order, to any topics, for less than one call each. It returns how many were taken,
// from the first on; with fewer than all of them, err says why the next one was not. Errors are those of Publish.
func (h *Hub) PublishBatch(ctx context.Context, publications []Publication) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = h.inBatches(publications, func(batch *publicationBatch) (int, error) {
		taken := h.native.publishBatch(batch, nil)
		if taken < 0 {
			return 0, notTaken(taken, publications[n].Topic)
		}
		n += taken
		return taken, nil
	})
	return n, err
}

// Load fills the history of a topic before the start, with rising offsets. With ErrInvalid (an offset that does not
// rise) and ErrValue those in front of the bad one are loaded. Offsets are of this hub's epoch: peers of one that ran
// before get a gap all the same.
func (h *Hub) Load(topic string, publications []Publication) error {
	if err := noNUL("topic", topic); err != nil {
		return err
	}
	return h.inBatches(publications, func(batch *publicationBatch) (int, error) {
		if status := h.native.publishBatch(batch, &topic); status < 0 {
			return 0, hubError(status, fmt.Sprintf("the history of topic %.80q was not taken", topic))
		}
		return len(batch.items), nil
	})
}

// inBatches gives publications to C, as many at a time as fit. give says how many were taken.
func (h *Hub) inBatches(publications []Publication, give func(*publicationBatch) (int, error)) error {
	batch := publicationBatches.Get().(*publicationBatch)
	defer func() {
		if cap(batch.block) <= 1<<20 {
			publicationBatches.Put(batch)
		}
	}()
	return h.do(func() error {
		for len(publications) > 0 {
			if err := batch.fill(publications); err != nil {
				return err
			}
			taken, err := give(batch)
			if err != nil {
				return err
			}
			publications = publications[taken:]
		}
		return nil
	})
}

// fill takes publications as far as they fit, at least one, and up to one whose names can't be given to C: that is an
// error if it is the first.
func (b *publicationBatch) fill(publications []Publication) error {
	b.reset()
	for i := range publications {
		p := &publications[i]
		if len(b.items) > 0 && (len(b.items) >= batchCount || len(b.block)+len(p.Data) > batchBytes) {
			return nil
		}
		if err := noNUL("topic", p.Topic, "key", p.Key); err != nil {
			if len(b.items) > 0 {
				return nil
			}
			return err
		}
		b.add(p)
	}
	return nil
}

// SetTopicState says how fresh a topic is, and why: its peers are told. It stays so until the next call, but TopicStale
// ends with the next message. Of cause 256 bytes are kept; empty for none.
func (h *Hub) SetTopicState(topic string, state TopicState, cause string) error {
	if err := noNUL("topic", topic, "cause", cause); err != nil {
		return err
	}
	var why *string
	if cause != "" {
		why = &cause
	}
	return h.call(fmt.Sprintf("topic %.80q did not become %v", topic, state),
		func() int { return h.native.topicState(topic, state, why) })
}

func (s TopicState) String() string {
	if name, ok := topicStateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("TopicState(%d)", int(s))
}

// ---- Peers

// Send sends a message to one peer, apart from all topics and before their messages: Text (ErrUTF8 if it is not UTF-8)
// or Binary. None is dropped: a peer that lets more than WithHubQueueBytes of them wait is closed with 4008.
func (h *Hub) Send(peer uint64, kind Kind, data []byte) error {
	if peer == 0 {
		return invalid("argument peer is 0, which is no peer; Broadcast sends to all")
	}
	return h.sendTo(peer, kind, data)
}

// Broadcast is Send to all peers, but for those that have still to show a token.
func (h *Hub) Broadcast(kind Kind, data []byte) error { return h.sendTo(0, kind, data) }

func (h *Hub) sendTo(peer uint64, kind Kind, data []byte) error {
	return h.call("the message was not sent", func() int { return h.native.send(peer, kind, data) })
}

// ClosePeer closes a peer, behind the messages that wait for it as far as they leave within WithHubCloseTimeout. code
// is 1000 to 1003, 1007 to 1014 or 3000 to 4999, reason at most 123 bytes of UTF-8.
func (h *Hub) ClosePeer(peer uint64, code int, reason string) error {
	if err := noNUL("reason", reason); err != nil {
		return err
	}
	if code != int(int32(code)) {
		return invalid(fmt.Sprintf("argument code is %d; allowed: 1000 to 1003, 1007 to 1014, 3000 to 4999", code))
	}
	return h.call(fmt.Sprintf("no peer was closed with code %d and a reason of %d bytes", code, len(reason)),
		func() int { return h.native.closePeer(peer, code, reason) })
}

// Subscribe subscribes a peer to a topic, as if it had asked for it.
func (h *Hub) Subscribe(peer uint64, topic string) error {
	if err := noNUL("topic", topic); err != nil {
		return err
	}
	return h.call(fmt.Sprintf("no peer was subscribed to %.80q", topic), func() int { return h.native.subscribe(peer, topic) })
}

// Unsubscribe ends a peer's subscription, as if it had asked for it.
func (h *Hub) Unsubscribe(peer uint64, topic string) error {
	if err := noNUL("topic", topic); err != nil {
		return err
	}
	return h.call(fmt.Sprintf("no peer has left %.80q", topic), func() int { return h.native.unsubscribe(peer, topic) })
}

// Answer answers a request of event HubHTTPRequest, from any goroutine, within WithHubRequestTimeout: with a status of
// 200 to 599, headers (nil for none; without a Content-Type it is text) and a body. ErrValue for what can't be sent. Of
// HubAuthorize, Admit and Refuse are short for it.
func (h *Hub) Answer(request uint64, status int, header http.Header, body []byte) error {
	lines, err := headerLines(header)
	if err != nil {
		return err
	}
	if status != int(int32(status)) {
		return failure(codeValue, fmt.Sprintf("argument status is %d; allowed: 200 to 599", status))
	}
	return h.call(fmt.Sprintf("the answer with status %d was not taken", status),
		func() int { return h.native.answer(request, status, lines, body) })
}

// Admit lets in the peer of an event HubAuthorize.
func (h *Hub) Admit(request uint64) error {
	return h.Answer(request, http.StatusSwitchingProtocols, nil, nil)
}

// Refuse refuses the peer of an event HubAuthorize with a status of 400 to 599, such as 403, and a sentence that it is
// told; empty for the library's.
func (h *Hub) Refuse(request uint64, status int, sentence string) error {
	if status < 400 || status > 599 {
		return failure(codeValue, fmt.Sprintf("argument status is %d, which refuses nobody; allowed: 400 to 599", status))
	}
	return h.Answer(request, status, nil, []byte(sentence))
}

// headerLines gives headers as the library takes them, in lines: so that none brings a line of its own.
func headerLines(header http.Header) (string, error) {
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	sort.Strings(names)
	var lines strings.Builder
	for _, name := range names {
		for _, value := range header[name] {
			if name == "" || strings.ContainsAny(name, ":\r\n\x00") || strings.ContainsAny(value, "\r\n\x00") {
				return "", failure(codeValue, fmt.Sprintf("the header %.80q can't be sent: its name or value is not of one line", name))
			}
			fmt.Fprintf(&lines, "%s: %s\n", name, value)
		}
	}
	return lines.String(), nil
}

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

// A HubEvent is something that happened to a hub. WithHubEvents says which kinds are made. What does not belong to its
// kind is empty.
type HubEvent struct {
	Kind HubEventKind
	Time time.Time // when it happened

	Peer    uint64 // its number, for Send and so on; of HubAuthorize the one that it will have
	Request uint64 // HubHTTPRequest, HubAuthorize: for Answer, Admit and Refuse
	Address string // where it comes from, without a port: "192.0.2.1", "unix"
	Route   string // the path of the route
	Topic   string // its name

	Method string      // HubHTTPRequest: such as "POST"
	Target string      // path and query of the request; of HubConnected the path, whose query may hold a token
	Header http.Header // of the request; of HubConnected without Authorization and Cookie
	Data   []byte      // HubMessage: the message; HubHTTPRequest: the body; HubAuthenticated: the claims; nil if there are no bytes

	MessageKind Kind       // HubMessage: Text or Binary
	Subprotocol string     // HubConnected: the one that was chosen, such as "pulse.v1"; empty if none
	User        string     // HubAuthenticated: whom the token names (sub); Data has all that it says, a JSON object
	Token       string     // HubAuthorize: the bearer token, from wherever it came; empty if there is none
	CloseCode   int        // HubClosed: 1006 without a close frame
	Reason      string     // HubClosed: why, as a sentence
	Policy      SlowPolicy // HubSlow: what was done

	// HubClosed: how many messages were written to it; HubSubscribe, HubUnsubscribe: how many peers the topic has now;
	// HubSlow: how many messages it has lost so far; HubDrained: how many peers were closed.
	Count uint64
}

func (k HubEventKind) String() string {
	if name, ok := hubEventNames[k]; ok {
		return name
	}
	return fmt.Sprintf("HubEventKind(%d)", uint32(k))
}

// complete sets what the library's members code and text mean.
func (e *HubEvent) complete(code int, text string) {
	switch e.Kind {
	case HubConnected:
		e.Subprotocol = text
	case HubClosed:
		e.CloseCode, e.Reason = code, text
	case HubMessage:
		e.MessageKind = Kind(code)
	case HubAuthorize:
		e.Token = text
	case HubAuthenticated:
		e.User = text
	case HubSlow:
		e.Policy = slowPolicies[code]
	}
}

// Next returns the next event, waiting for it until ctx ends. Only kinds that WithHubEvents names come; none of them is
// dropped. When WithHubEventQueueMessages of them wait, the hub reads nothing more from its peers, if HubMessage is
// among the kinds, and refuses requests with 503: an application that asks for events fetches them. Events of one peer
// come in order, and HubClosed is its last one. Several goroutines may call Next: each event goes to one of them.
// ErrClosed behind the last event after Drain, and after Close.
func (h *Hub) Next(ctx context.Context) (HubEvent, error) {
	if err := ctx.Err(); err != nil {
		return HubEvent{}, err
	}
	select {
	case h.reading <- struct{}{}:
	case <-ctx.Done():
		return HubEvent{}, ctx.Err()
	}
	defer func() { <-h.reading }()
	for h.place == len(h.ready) {
		if err := h.await(ctx); err != nil {
			return HubEvent{}, err
		}
	}
	if err := h.check(); err != nil { // what was fetched ahead ends with the hub
		return HubEvent{}, err
	}
	event := h.ready[h.place]
	h.ready[h.place] = HubEvent{}
	h.place++
	return event, nil
}

// await fetches events, and waits for the first; for who holds reading. There may be none yet when it returns nil.
//
// No wake-up is lost: the poller forgets what was signalled before it calls fetch, and hears of what comes after that.
// The library signals the first event of an empty queue, so that fetch empties it before anybody waits.
func (h *Hub) await(ctx context.Context) error {
	var err error
	problem := underDeadline(ctx, h.file, func() error {
		return h.wake.Read(func(uintptr) bool {
			err = h.fetch()
			return err != nil || len(h.ready) > 0
		})
	})
	switch {
	case err != nil || len(h.ready) > h.place:
		return err
	case h.check() != nil:
		return errHubClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case os.IsTimeout(problem):
		return nil
	}
	return failure(codeIO, fmt.Sprintf("the wake descriptor can't be waited for: %v", problem))
}

// fetch fills ready, which is empty.
func (h *Hub) fetch() error {
	h.ready, h.place = h.ready[:0], 0
	return h.do(func() error {
		count := 0
		switch h.ready, count = h.native.next(h.ready); {
		case count >= 0 || count == codeTimeout:
			return nil
		case count == codeClosed:
			return errHubClosed
		}
		return hubError(count, "there are no events")
	})
}

// Events is for ranging over all events (Go 1.23 or newer; before that: Next in a loop):
//
//	for event, err := range hub.Events(ctx) {
//		if err != nil {
//			return err
//		}
//		switch event.Kind {
//		case pulsews.HubMessage:
//			...
//		}
//	}
//
// The loop ends after one pair with an error, which is that of Next: the context's, or ErrClosed behind the last event
// after Drain, and after Close.
func (h *Hub) Events(ctx context.Context) func(yield func(HubEvent, error) bool) {
	return func(yield func(HubEvent, error) bool) {
		for {
			event, err := h.Next(ctx)
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

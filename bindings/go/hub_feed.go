// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

// A FeedMap says what the messages of a known feed become on topics: docs/HUB_FEEDS.md.
type FeedMap struct {
	Name string // for Hub.Feed; that of the preset for the client
	Text string // which feed it is for
	Map  string // its lines
}

// FeedMaps lists the maps of known feeds. The error is a *LibraryError.
func FeedMaps() ([]FeedMap, error) {
	if err := load(); err != nil {
		return nil, err
	}
	return nativeFeedMaps(), nil
}

// Feed publishes what a client receives, as a map says: the name of one of FeedMaps, or lines of one. It happens inside
// the library, in the place of the client's queue: Recv gives no messages any more, but events. While the client is not
// connected, and when its feed is stale or has a gap, the state of the topics says so. The feed ends with the client or
// the hub; either may be closed first. ErrValue for a map that can't be read, ErrBusy if the client is that of a feed,
// ErrClosed if it was closed.
func (h *Hub) Feed(client *Conn, lines string) error {
	if client == nil {
		return invalid("argument client is nil")
	}
	if err := noNUL("lines", lines); err != nil {
		return err
	}
	client.alive.RLock()
	defer client.alive.RUnlock()
	if client.freed {
		return ErrClosed
	}
	return h.do(func() error { return h.native.feed(client.native, lines) })
}

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"fmt"
	"math"
	"time"
)

// A Kind says what a message is.
type Kind uint16

const (
	Text   Kind = 1  // UTF-8 text, checked
	Binary Kind = 2  // any bytes
	Ping   Kind = 9  // only to send; at most 125 bytes
	Pong   Kind = 10 // only to send; at most 125 bytes; pings are answered without it

	// EventMessage is only received, and only with WithEvents: JSON about the connection; see Message.Event.
	EventMessage Kind = 256
)

func (k Kind) String() string {
	switch k {
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	case EventMessage:
		return "event"
	}
	return fmt.Sprintf("Kind(%d)", uint16(k))
}

// Flags say more about a received message.
type Flags uint16

const (
	ASCII      Flags = 1 // a text of ASCII only
	Compressed Flags = 2 // it arrived compressed
)

// A Message is one received message. Data belongs to the receiver; the payloads of a batch share one block of memory,
// so that keeping one keeps them all.
type Message struct {
	Data       []byte // never nil; no bytes of the next message lie in its capacity
	Sequence   uint64 // 1, 2, 3 ... over all messages, events included; left out is only what a full queue discarded
	ReceivedNS int64  // when its last bytes were read: nanoseconds since 1970-01-01T00:00:00Z
	Kind       Kind
	Flags      Flags
}

// Received is the time when the message's last bytes were read from the network.
func (m Message) Received() time.Time { return time.Unix(0, m.ReceivedNS) }

// Text is a copy of the payload as a string.
func (m Message) Text() string { return string(m.Data) }

const (
	// Recv fetches up to this many messages at once ...
	prefetchMessages = 128
	// ... and copies them in blocks of up to this many bytes, which is what a kept message can hold back.
	prefetchBlock = 16 << 10
)

// Recv returns the next message, waiting for it until ctx ends, across any number of reconnects. It fetches several
// messages at a time, so that a loop of Recv is nearly as fast as RecvBatch. When trying to connect has ended, or the
// connection with WithReconnect(false), and all that arrived was received, every call returns why: *CloseError,
// *HandshakeError, ErrReset, ErrDead ...; after Close and Disconnect it is ErrClosed.
func (c *Conn) Recv(ctx context.Context) (Message, error) {
	if err := ctx.Err(); err != nil {
		return Message{}, err
	}
	for {
		c.receiving.Lock()
		c.asked()
		if c.position < len(c.ready) || c.refill() {
			message := c.ready[c.position]
			c.position++
			if c.position == len(c.ready) {
				c.drop()
			}
			c.handed = message.Sequence
			if message.Kind == EventMessage {
				c.keepEvent(message)
			}
			c.receiving.Unlock()
			return message, nil
		}
		generation := c.waker.generation()
		count, err := c.fetch(prefetchMessages)
		c.receiving.Unlock()
		if err != nil {
			return Message{}, err
		}
		if count == 0 {
			if err := c.waker.wait(ctx, generation); err != nil {
				return Message{}, err
			}
		}
	}
}

// RecvBatch returns from 1 to max messages: all that are there, or, if there are none, the first to come before ctx
// ends. Errors are those of Recv.
func (c *Conn) RecvBatch(ctx context.Context, max int) ([]Message, error) {
	if max <= 0 {
		return nil, invalid(fmt.Sprintf("argument max is %d; allowed: 1 or more", max))
	}
	var batch []Message
	_, err := c.recvBatch(ctx, max, func(available int) []Message {
		batch = make([]Message, available)
		return batch
	})
	if err != nil {
		return nil, err
	}
	return batch, nil
}

// RecvBatchInto is RecvBatch into dst, of which it fills the first n elements: one allocation less for each batch. The
// payloads are new memory all the same.
func (c *Conn) RecvBatchInto(ctx context.Context, dst []Message) (n int, err error) {
	if len(dst) == 0 {
		return 0, invalid("argument dst has no room; allowed: a length of 1 or more")
	}
	return c.recvBatch(ctx, len(dst), func(available int) []Message { return dst[:available] })
}

func (c *Conn) recvBatch(ctx context.Context, max int, room func(available int) []Message) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if max > math.MaxInt32 {
		max = math.MaxInt32
	}
	for {
		c.receiving.Lock()
		c.asked()
		if available := len(c.ready) - c.position + len(c.pending); available > 0 {
			if available > max {
				available = max
			}
			dst := room(available)
			n := copy(dst, c.ready[c.position:])
			c.position += n
			if c.position == len(c.ready) {
				c.drop()
			}
			if n < available {
				c.pending = c.pending[convert(dst[n:available], c.pending, math.MaxInt):]
			}
			c.handed = dst[available-1].Sequence
			for i := range dst[:available] {
				if dst[i].Kind == EventMessage {
					c.keepEvent(dst[i])
				}
			}
			c.receiving.Unlock()
			return available, nil
		}
		generation := c.waker.generation()
		count, err := c.fetch(max)
		c.receiving.Unlock()
		if err != nil {
			return 0, err
		}
		if count == 0 {
			if err := c.waker.wait(ctx, generation); err != nil {
				return 0, err
			}
		}
	}
}

// Messages is for ranging over all messages (Go 1.23 or newer):
//
//	for msg, err := range c.Messages(ctx) {
//		if err != nil {
//			return err
//		}
//		...
//	}
//
// The loop ends after one pair with an error, which is that of Recv: the context's, or why the connection ended.
func (c *Conn) Messages(ctx context.Context) func(yield func(Message, error) bool) {
	return func(yield func(Message, error) bool) {
		for {
			message, err := c.Recv(ctx)
			if !yield(message, err) || err != nil {
				return
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// An Option sets one option of a connection, for Dial. The library checks the values; a bad one is an error of Dial
// that names the option, the value and what is allowed. Names, defaults and ranges are the same in all languages.
type Option func(*settings)

type setting struct{ name, value string }

type settings struct {
	list []setting
	wait bool
	err  error

	login  func(context.Context) ([]Message, error)
	header func(context.Context) (http.Header, error)
	url    func(context.Context) (string, error)
}

// last gives the value that an option was set to last; empty if it was not.
func (s *settings) last(name string) string {
	for i := len(s.list) - 1; i >= 0; i-- {
		if s.list[i].name == name {
			return s.list[i].value
		}
	}
	return ""
}

func (s *settings) add(name, value string) {
	if strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0 {
		// Not what was given, which may be a password.
		s.fail(fmt.Sprintf("option %q has a NUL byte, which is not allowed", name))
		return
	}
	s.list = append(s.list, setting{name, value})
}

func (s *settings) fail(text string) {
	if s.err == nil {
		s.err = &Error{Code: codeValue, Name: "PULSEWS_EVALUE", Text: text}
	}
}

// WithOption sets an option by its name and a text, e.g. WithOption("max_message_size", "16MiB"), as in a configuration
// file.
func WithOption(name, value string) Option {
	return func(s *settings) { s.add(name, value) }
}

// WithWait lets Dial go on trying when the first attempt fails, until the connection is open, its context ends, or
// trying ends: after WithMaxReconnectAttempts, or at once after a failure that a retry can't mend (see WithRetryFatal).
// So a program may start while the exchange is down. A Manager does this in any case.
func WithWait() Option { return func(s *settings) { s.wait = true } }

func withDuration(name string, d time.Duration) Option {
	return WithOption(name, strconv.FormatInt(int64(d), 10)+"ns")
}

func withInteger(name string, n int64) Option { return WithOption(name, strconv.FormatInt(n, 10)) }

func withList(name string, values []string) Option {
	return func(s *settings) {
		for _, value := range values {
			s.add(name, value)
		}
	}
}

func withBoolean(name string, on bool) Option { return WithOption(name, strconv.FormatBool(on)) }

// WithHeader adds one header to the upgrade request.
func WithHeader(name, value string) Option {
	return func(s *settings) {
		if name == "" || strings.IndexByte(name, ':') >= 0 {
			s.fail(fmt.Sprintf("option headers does not take the name %q: a name has at least one letter and no colon", name))
			return
		}
		s.add("headers", name+": "+value)
	}
}

// WithHeaders adds headers to the upgrade request.
func WithHeaders(headers http.Header) Option {
	return func(s *settings) {
		names := make([]string, 0, len(headers))
		for name := range headers {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			for _, value := range headers[name] {
				WithHeader(name, value)(s)
			}
		}
	}
}

// WithSubprotocols offers subprotocols, the preferred one first. Conn.Subprotocol tells which one the server chose.
func WithSubprotocols(names ...string) Option { return withList("subprotocols", names) }

// WithOpenTimeout bounds one attempt to connect: name resolution, TCP, TLS and handshake together. Default 10 s. The
// context of Dial can end it earlier.
func WithOpenTimeout(d time.Duration) Option { return withDuration("open_timeout", d) }

// WithCloseTimeout bounds how long a close waits for the peer's close frame before it cuts the connection. Default 5 s.
func WithCloseTimeout(d time.Duration) Option { return withDuration("close_timeout", d) }

// WithHeartbeat is short for WithHeartbeatInterval.
func WithHeartbeat(d time.Duration) Option { return WithHeartbeatInterval(d) }

// WithHeartbeatInterval sets the time between two heartbeats to the peer (pings, or WithHeartbeatMessage); 0 sends
// none. Default 30 s.
func WithHeartbeatInterval(d time.Duration) Option { return withDuration("heartbeat_interval", d) }

// WithHeartbeatTimeout sets the time without any byte from the peer after which the connection counts as dead; 0 turns
// that off. Default 60 s.
func WithHeartbeatTimeout(d time.Duration) Option { return withDuration("heartbeat_timeout", d) }

// WithMaxMessageSize sets the largest message to receive, in bytes after decompression; a larger one closes the
// connection with code 1009. Default 16 MiB.
func WithMaxMessageSize(bytes int64) Option { return withInteger("max_message_size", bytes) }

// WithReceiveQueueBytes sets how many bytes of received messages may wait, 40 for each message included, before reading
// pauses, so that a slow consumer slows the peer. Default 4 MiB.
func WithReceiveQueueBytes(bytes int64) Option { return withInteger("receive_queue_bytes", bytes) }

// WithMessageQueueSize sets how many messages wait in the outbox, while there is no connection or the network does not
// take them. Default 1000.
func WithMessageQueueSize(messages int) Option {
	return withInteger("message_queue_size", int64(messages))
}

// WithMessageQueueBytes sets how many bytes wait in the outbox, 40 for each message included. Default 16 MiB.
func WithMessageQueueBytes(bytes int64) Option { return withInteger("message_queue_bytes", bytes) }

// WithCompression says whether to offer permessage-deflate (RFC 7692). Default true.
func WithCompression(on bool) Option { return withBoolean("compression", on) }

// WithCompressionThreshold sends messages with fewer bytes uncompressed. Default 256.
func WithCompressionThreshold(bytes int64) Option { return withInteger("compression_threshold", bytes) }

// WithCompressionContextTakeover says whether a compressed message may refer to earlier ones: smaller messages, more
// memory for each connection. Default true.
func WithCompressionContextTakeover(on bool) Option {
	return withBoolean("compression_context_takeover", on)
}

// WithCompressionWindowBits sets the base-2 logarithm of the compression window to offer, 9 to 15. Default 15.
func WithCompressionWindowBits(bits int) Option {
	return withInteger("compression_window_bits", int64(bits))
}

// WithCAFile names a PEM file with the certificate authorities to trust in place of the system's.
func WithCAFile(path string) Option { return WithOption("ca_file", path) }

// WithVerify says whether the server's certificate and host name are checked. Default true. False is only for tests: it
// lets anyone read and change the traffic.
func WithVerify(on bool) Option { return withBoolean("verify", on) }

// WithEvents delivers what happens to the connection as messages of kind EventMessage, in order with the data; see
// Message.Event and Conn.Events. Default false.
func WithEvents(on bool) Option { return withBoolean("events", on) }

// WithName sets what the log and the statistics call this connection, at most 64 bytes.
func WithName(name string) Option { return WithOption("name", name) }

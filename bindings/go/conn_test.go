// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// soon bounds what should happen at once; it is long, since the machine may be busy.
const soon = 20 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func dial(t testing.TB, url string, options ...Option) *Conn {
	t.Helper()
	c, err := Dial(within(t, soon), url, options...)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { c.CloseWith(context.Background(), 0, "") })
	return c
}

func TestDialTellsAboutTheConnection(t *testing.T) {
	requests := make(chan *http.Request, 1)
	url := startServer(t, func(p *peer) { requests <- p.request; echo(p) })
	c := dial(t, url+"path?a=b&subprotocol=v2", WithHeader("X-Token", "secret"), WithSubprotocols("v1", "v2"),
		WithHeaders(http.Header{"X-Many": {"one", "two"}}))
	r := <-requests
	if r.URL.Path != "/path" || r.URL.Query().Get("a") != "b" {
		t.Errorf("the server saw %v", r.URL)
	}
	if r.Header.Get("X-Token") != "secret" || fmt.Sprint(r.Header["X-Many"]) != "[one two]" {
		t.Errorf("the server saw the headers %v", r.Header)
	}
	if offered := strings.Join(r.Header["Sec-Websocket-Protocol"], ", "); offered != "v1, v2" {
		t.Errorf("the server saw the subprotocols %q", offered)
	}
	for _, when := range []string{"open", "closed"} {
		if c.Subprotocol() != "v2" {
			t.Errorf("%s: subprotocol %q", when, c.Subprotocol())
		}
		if c.ResponseHeader().Get("X-Server") != "test" {
			t.Errorf("%s: headers %v", when, c.ResponseHeader())
		}
		if when == "open" {
			if c.State() != Connected {
				t.Errorf("state %v", c.State())
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
	if c.State() != Disconnected {
		t.Errorf("state %v after Close", c.State())
	}
}

func TestDialRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, err = Dial(within(t, soon), "ws://"+address+"/")
	if !errors.Is(err, ErrRefused) {
		t.Fatalf("%v, expected ErrRefused", err)
	}
	var e *Error
	if !errors.As(err, &e) || !e.Retryable() || e.Timeout() || e.Text == "" {
		t.Errorf("%#v", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	url := serveRaw(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Dial(ctx, url); err != context.DeadlineExceeded {
		t.Fatalf("%v, expected context.DeadlineExceeded", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Dial(cancelled, url); err != context.Canceled {
		t.Fatalf("%v, expected context.Canceled", err)
	}
}

func TestDialOpenTimeout(t *testing.T) {
	url := serveRaw(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	_, err := Dial(within(t, soon), url, WithOpenTimeout(50*time.Millisecond))
	var e *Error
	if !errors.Is(err, ErrOpenTimeout) || !errors.As(err, &e) || !e.Timeout() {
		t.Fatalf("%v, expected ErrOpenTimeout", err)
	}
}

func TestDialBadInput(t *testing.T) {
	url := startServer(t, echo)
	for _, test := range []struct {
		url    string
		option Option
		is     error
	}{
		{"", nil, ErrURL},
		{"http://127.0.0.1/", nil, ErrURL},
		{"127.0.0.1:80", nil, ErrURL},
		{"ws://", nil, ErrURL},
		{"ws:///path", nil, ErrURL},
		{"ws://127.0.0.1:0/", nil, ErrURL},
		{"ws://127.0.0.1:70000/", nil, ErrURL},
		{"ws://127.0.0.1:http/", nil, ErrURL},
		{"ws://127.0.0.1/\r\nX: y", nil, ErrURL},
		{"ws://127.0.0.1/\x00", nil, ErrURL},
		{"ws://127.0.0.1/#part", nil, ErrURL},
		{url, WithHeader("X", "a\r\nY: b"), ErrValue},
		{url, WithHeader("X", "a\nb"), ErrValue},
		{url, WithHeader("X", "a\x00b"), ErrValue},
		{url, WithHeader("X\r\nY", "b"), ErrValue},
		{url, WithHeader("X: y", "b"), ErrValue},
		{url, WithHeader("", "b"), ErrValue},
		{url, WithHeader("Sec-WebSocket-Key", "b"), ErrValue},
		{url, WithSubprotocols("a b"), ErrValue},
		{url, WithSubprotocols("a", "a"), ErrValue},
		{url, WithOption("no_such_option", "1"), ErrOption},
		{url, WithOption("verify\x00", "true"), ErrValue},
		{url, WithOption("client_key_password", "secret\x00"), ErrValue},
		{url, WithOption("verify", "perhaps"), ErrValue},
		{url, WithHeartbeat(-time.Second), ErrValue},
		{url, WithOpenTimeout(0), ErrValue},
		{url, WithMaxMessageSize(0), ErrValue},
		{url, WithMaxMessageSize(1 << 62), ErrValue},
		{url, WithCompressionWindowBits(16), ErrValue},
		{url, WithMessageQueueSize(-1), ErrValue},
		{url, WithReconnectBaseDelay(0), ErrValue},
		{url, WithJitter(1.5), ErrValue},
		{url, WithJitter(math.NaN()), ErrValue},
		{url, WithEndpoints("http://127.0.0.1/"), ErrValue},
		{url, WithRateLimit("many"), ErrValue},
		{url, WithMessageQueuePolicy("sometimes"), ErrValue},
		{url, WithStaleAction("panic"), ErrValue},
		{url, WithName(strings.Repeat("x", 65)), ErrValue},
		{"wss://127.0.0.1:1/", WithCAFile("/no/such/file"), ErrTrust},
	} {
		c, err := Dial(within(t, soon), test.url, test.option)
		if err == nil {
			c.Close()
		}
		var e *Error
		if !errors.Is(err, test.is) || !errors.As(err, &e) || len(e.Text) < 10 || strings.Contains(e.Text, "secret") {
			t.Errorf("Dial(%q): %v, expected %v", test.url, err, test.is)
		} else {
			t.Log(err)
		}
	}
}

func TestSendAndRecv(t *testing.T) {
	c := dial(t, startServer(t, echo))
	ctx := within(t, soon)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	sequence := uint64(0)
	for _, test := range []struct {
		kind Kind
		data []byte
	}{
		{Text, []byte("hello")},
		{Text, nil},
		{Text, []byte("grüße, 世界 🚀")},
		{Binary, []byte{}},
		{Binary, []byte{0, 255, 128, 0}},
		{Text, large},
		{Binary, large},
	} {
		before := time.Now()
		if err := c.Send(ctx, test.kind, test.data); err != nil {
			t.Fatalf("Send: %v", err)
		}
		msg, err := c.Recv(ctx)
		if err != nil {
			t.Fatalf("Recv: %v", err)
		}
		sequence++
		if msg.Kind != test.kind || !bytes.Equal(msg.Data, test.data) || msg.Data == nil || msg.Sequence != sequence {
			t.Errorf("sent %v of %d bytes, received %v of %d bytes, sequence %d", test.kind, len(test.data), msg.Kind,
				len(msg.Data), msg.Sequence)
		}
		if cap(msg.Data) != len(msg.Data) || msg.Text() != string(test.data) {
			t.Errorf("capacity %d, length %d", cap(msg.Data), len(msg.Data))
		}
		if at := msg.Received(); at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("received at %v, sent at %v", at, before)
		}
	}
}

func TestSendBadInput(t *testing.T) {
	c := dial(t, startServer(t, echo))
	ctx := within(t, soon)
	for _, test := range []struct {
		kind Kind
		data []byte
		is   error
	}{
		{Text, []byte{'a', 0xff}, ErrUTF8},
		{0, []byte("a"), ErrInvalid},
		{EventMessage, []byte("a"), ErrInvalid},
		{77, nil, ErrInvalid},
		{Ping, make([]byte, 126), ErrInvalid},
		{Pong, make([]byte, 126), ErrInvalid},
	} {
		if err := c.Send(ctx, test.kind, test.data); !errors.Is(err, test.is) {
			t.Errorf("Send(%v, %d bytes): %v, expected %v", test.kind, len(test.data), err, test.is)
		}
	}
	if _, err := c.RecvBatch(ctx, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("RecvBatch(0): %v", err)
	}
	if _, err := c.RecvBatch(ctx, -1); !errors.Is(err, ErrInvalid) {
		t.Errorf("RecvBatch(-1): %v", err)
	}
	if _, err := c.RecvBatchInto(ctx, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("RecvBatchInto(nil): %v", err)
	}
	if _, err := (Message{Kind: Text}).Event(); !errors.Is(err, ErrInvalid) {
		t.Errorf("Event of a text: %v", err)
	}
	for _, code := range []int{1, 999, 1004, 1005, 1006, 1015, 2999, 5000, -1, 1 << 40} {
		if err := c.CloseWith(ctx, code, ""); !errors.Is(err, ErrInvalid) {
			t.Errorf("CloseWith(%d): %v", code, err)
		}
	}
	for _, reason := range []string{strings.Repeat("x", 124), "a\x00b", "\xff"} {
		if err := c.CloseWith(ctx, 1000, reason); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUTF8) {
			t.Errorf("CloseWith(%q): %v", reason, err)
		}
	}
	// None of it did any harm.
	if err := c.Send(ctx, Text, []byte("still there")); err != nil {
		t.Fatal(err)
	}
	if msg, err := c.Recv(ctx); err != nil || msg.Text() != "still there" {
		t.Fatalf("%v, %v", msg, err)
	}
}

func TestCloseSendsCodeAndReason(t *testing.T) {
	frames := make(chan frame, 1)
	c := dial(t, startServer(t, func(p *peer) {
		if f, err := p.read(); err == nil {
			frames <- f
			p.write(opClose, f.payload)
		}
	}))
	if err := c.CloseWith(within(t, soon), 3001, "done für heute"); err != nil {
		t.Fatal(err)
	}
	if f := <-frames; f.opcode != opClose || string(f.payload) != "\x0b\xb9done für heute" {
		t.Errorf("%v", f)
	}
}

func TestCloseWithEndedContextCuts(t *testing.T) {
	gone := make(chan struct{})
	c := dial(t, startServer(t, func(p *peer) {
		p.read() // the close frame, which gets no answer
		io.Copy(io.Discard, p.reader)
		close(gone)
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := c.CloseWith(ctx, 1000, ""); err != context.DeadlineExceeded {
		t.Fatalf("%v, expected context.DeadlineExceeded", err)
	}
	select {
	case <-gone:
	case <-time.After(soon):
		t.Fatal("the connection is still open")
	}
	if _, err := c.Recv(context.Background()); err != ErrClosed {
		t.Errorf("Recv: %v", err)
	}
}

func TestUseAfterClose(t *testing.T) {
	c := dial(t, startServer(t, echo))
	ctx := within(t, soon)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(ctx, Text, []byte("x")); !errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send: %v", err)
	}
	if _, err := c.Recv(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("Recv: %v", err)
	}
	if _, err := c.RecvBatch(ctx, 10); !errors.Is(err, ErrClosed) {
		t.Errorf("RecvBatch: %v", err)
	}
	c.Messages(ctx)(func(_ Message, err error) bool {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("Messages: %v", err)
		}
		return true
	})
	if status, err := c.Status(); err != nil {
		t.Errorf("Status: %v, %v", status, err)
	}
	if c.State() != Disconnected || c.Events() != nil {
		t.Error("state or events")
	}
	if err := c.CloseWith(ctx, 3000, "again"); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestStatus(t *testing.T) {
	c := dial(t, startServer(t, echo))
	ctx := within(t, soon)
	for i := 0; i < 3; i++ {
		if err := c.Send(ctx, Text, []byte("12345")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Recv(ctx); err != nil {
			t.Fatal(err)
		}
	}
	status, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	if status.State != "connected" || status.Stats.MessagesReceived != 3 || status.Stats.MessagesSent != 3 ||
		status.Fields["stats"] == nil {
		t.Errorf("%+v", status)
	}
	c.Close()
	if status, err = c.Status(); err != nil || status.Stats.MessagesReceived != 3 {
		t.Errorf("after Close: %+v, %v", status, err)
	}
}

func TestEvents(t *testing.T) {
	c := dial(t, startServer(t, func(p *peer) {
		p.write(opText, []byte("data"))
		p.writeClose(1001, "")
		p.serve(nil)
	}), WithEvents(true), WithReconnect(false))
	var seen []string
	sequence := uint64(0)
	c.Messages(within(t, soon))(func(msg Message, err error) bool {
		if err != nil {
			if !errors.Is(err, ErrPeerClosed) {
				t.Error(err)
			}
			return true
		}
		sequence++
		if msg.Sequence != sequence {
			t.Errorf("sequence %d, expected %d", msg.Sequence, sequence)
		}
		if msg.Kind == EventMessage {
			event, err := msg.Event()
			if err != nil {
				t.Error(err)
			}
			if event.Type == "" || event.Sequence != msg.Sequence {
				t.Errorf("%+v", event)
			}
			seen = append(seen, strings.TrimPrefix(event.Type+":"+event.State, "state:"))
		} else {
			seen = append(seen, msg.Text())
		}
		return true
	})
	if order := strings.Join(seen, " "); order != "connecting connected ready: data error" {
		t.Errorf("seen %v", order)
	}
	events := c.Events()
	if len(events) != len(seen)-1 || len(c.Events()) != 0 {
		t.Errorf("%v", events)
	}
}

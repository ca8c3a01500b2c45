// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// flood sends texts "0", "1", ... in writes of many frames, and then a close frame.
func flood(count int) func(*peer) {
	return func(p *peer) {
		var b []byte
		for i := 0; i < count; i++ {
			b = appendFrame(b, opText, strconv.AppendInt(nil, int64(i), 10))
			if len(b) > 30000 {
				if p.writeRaw(b) != nil {
					return
				}
				b = b[:0]
			}
		}
		p.writeRaw(b)
		p.writeClose(1000, "all")
		p.serve(nil)
	}
}

// check tells whether msg is message number i of a flood.
func check(msg Message, i int) error {
	if msg.Text() != strconv.Itoa(i) || msg.Sequence != uint64(i+1) {
		return fmt.Errorf("message %d is %q, sequence %d", i, msg.Data, msg.Sequence)
	}
	return nil
}

func TestOrder(t *testing.T) {
	const count = 10000
	url := startServer(t, flood(count))
	receivers := map[string]func(ctx context.Context, c *Conn) ([]Message, error){
		"single": func(ctx context.Context, c *Conn) ([]Message, error) {
			msg, err := c.Recv(ctx)
			return []Message{msg}, err
		},
		"batch": func(ctx context.Context, c *Conn) ([]Message, error) { return c.RecvBatch(ctx, 256) },
		"huge":  func(ctx context.Context, c *Conn) ([]Message, error) { return c.RecvBatch(ctx, 1<<40) },
		"into": func() func(ctx context.Context, c *Conn) ([]Message, error) {
			room := make([]Message, 100)
			return func(ctx context.Context, c *Conn) ([]Message, error) {
				n, err := c.RecvBatchInto(ctx, room)
				return room[:n], err
			}
		}(),
		"mixed": func() func(ctx context.Context, c *Conn) ([]Message, error) {
			turn := 0
			return func(ctx context.Context, c *Conn) ([]Message, error) {
				turn++
				if turn%3 == 0 {
					return c.RecvBatch(ctx, turn%77+1)
				}
				msg, err := c.Recv(ctx)
				return []Message{msg}, err
			}
		}(),
	}
	for name, receive := range receivers {
		t.Run(name, func(t *testing.T) {
			c := dial(t, url, WithReconnect(false))
			ctx := within(t, soon)
			next := 0
			for {
				batch, err := receive(ctx, c)
				if errors.Is(err, ErrPeerClosed) {
					break
				}
				if err != nil {
					t.Fatalf("after %d messages: %v", next, err)
				}
				for _, msg := range batch {
					if err := check(msg, next); err != nil {
						t.Fatal(err)
					}
					next++
				}
			}
			if next != count {
				t.Errorf("%d of %d messages", next, count)
			}
		})
	}
	t.Run("range", func(t *testing.T) {
		next := 0
		dial(t, url, WithReconnect(false)).Messages(within(t, soon))(func(msg Message, err error) bool {
			if err == nil {
				err = check(msg, next)
				next++
			}
			if err != nil && !errors.Is(err, ErrPeerClosed) {
				t.Error(err)
			}
			return true
		})
		if next != count {
			t.Errorf("%d of %d messages", next, count)
		}
	})
	t.Run("range that is left", func(t *testing.T) {
		c := dial(t, url)
		seen := 0
		c.Messages(within(t, soon))(func(Message, error) bool { seen++; return seen < 10 })
		if msg, err := c.Recv(within(t, soon)); err != nil || check(msg, 10) != nil {
			t.Errorf("%v, %v", msg, err)
		}
	})
}

// Payloads of one block must not reach into each other, and stay as they are when more is received.
func TestPayloadsAreSeparate(t *testing.T) {
	c := dial(t, startServer(t, flood(1000)))
	ctx := within(t, soon)
	var kept []Message
	for len(kept) < 1000 {
		batch, err := c.RecvBatch(ctx, 50)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch {
			batch[i].Data = append(batch[i].Data, "!!!!!!!!!!"...)
		}
		kept = append(kept, batch...)
	}
	for i, msg := range kept {
		if msg.Text() != strconv.Itoa(i)+"!!!!!!!!!!" {
			t.Fatalf("message %d is %q", i, msg.Data)
		}
	}
}

func TestContextDoesNotClose(t *testing.T) {
	release := make(chan struct{})
	c := dial(t, startServer(t, func(p *peer) {
		<-release
		p.write(opText, []byte("0"))
		echo(p)
	}))
	calls := map[string]func(ctx context.Context) error{
		"Recv":      func(ctx context.Context) error { _, err := c.Recv(ctx); return err },
		"RecvBatch": func(ctx context.Context) error { _, err := c.RecvBatch(ctx, 9); return err },
		"Messages": func(ctx context.Context) (err error) {
			c.Messages(ctx)(func(_ Message, e error) bool { err = e; return true })
			return err
		},
	}
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if err := call(ctx); err != context.DeadlineExceeded {
			t.Errorf("%s: %v, expected context.DeadlineExceeded", name, err)
		}
		cancel()
		ctx, cancel = context.WithCancel(context.Background())
		result := make(chan error)
		go func() { result <- call(ctx) }()
		cancel()
		if err := <-result; err != context.Canceled {
			t.Errorf("%s: %v, expected context.Canceled", name, err)
		}
		if err := call(ctx); err != context.Canceled {
			t.Errorf("%s: %v, expected context.Canceled", name, err)
		}
		if err := c.Send(ctx, Text, nil); err != context.Canceled {
			t.Errorf("Send: %v, expected context.Canceled", err)
		}
	}
	close(release)
	ctx := within(t, soon)
	if msg, err := c.Recv(ctx); err != nil || check(msg, 0) != nil {
		t.Fatalf("%v, %v", msg, err)
	}
	if err := c.Send(ctx, Text, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if msg, err := c.Recv(ctx); err != nil || check(msg, 1) != nil {
		t.Fatalf("%v, %v", msg, err)
	}
}

// Contexts that end all the time while messages arrive: each message comes whole, once, in order.
func TestContextLosesNothing(t *testing.T) {
	const count = 3000
	c := dial(t, startServer(t, func(p *peer) {
		for i := 0; i < count; i++ {
			if p.write(opText, strconv.AppendInt(nil, int64(i), 10)) != nil {
				return
			}
		}
		p.serve(nil)
	}))
	end := time.Now().Add(soon)
	for next, ended := 0, 0; next < count; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration((next+ended)%50)*time.Microsecond)
		msg, err := c.Recv(ctx)
		cancel()
		if err == context.DeadlineExceeded && time.Now().Before(end) {
			ended++
			continue
		}
		if err == nil {
			err = check(msg, next)
		}
		if err != nil {
			t.Fatal(err)
		}
		if next++; next == count {
			t.Logf("%d contexts ended", ended)
		}
	}
}

// Several goroutines wait with contexts of their own. When one gives up, another must take over the watch.
func TestWatchIsHandedOver(t *testing.T) {
	release := make(chan struct{})
	c := dial(t, startServer(t, func(p *peer) {
		<-release
		for i := 0; i < 8; i++ {
			p.write(opText, []byte("x"))
		}
		p.serve(nil)
	}))
	var patient, hasty sync.WaitGroup
	for i := 0; i < 8; i++ {
		hasty.Add(1)
		go func(i int) {
			defer hasty.Done()
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*5*time.Millisecond)
			defer cancel()
			if _, err := c.Recv(ctx); err != context.DeadlineExceeded {
				t.Errorf("%v, expected context.DeadlineExceeded", err)
			}
		}(i)
		patient.Add(1)
		go func() {
			defer patient.Done()
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()
			if _, err := c.Recv(ctx); err != nil {
				t.Error(err)
			}
		}()
	}
	hasty.Wait()
	close(release)
	patient.Wait()
}

func TestManyGoroutines(t *testing.T) {
	const senders, each = 8, 500
	c := dial(t, startServer(t, echo), WithMessageQueuePolicy(Block))
	ctx := within(t, soon)
	var seen [senders * each]atomic.Int32
	var received atomic.Int32
	var wg sync.WaitGroup
	done, finish := context.WithCancel(ctx)
	take := func(batch []Message) {
		for _, msg := range batch {
			seen[binary.BigEndian.Uint32(msg.Data)].Add(1)
			if received.Add(1) == senders*each {
				finish()
			}
		}
	}
	for s := 0; s < senders; s++ {
		wg.Add(3)
		go func(s int) {
			defer wg.Done()
			for i := 0; i < each; i++ {
				if err := c.Send(ctx, Binary, binary.BigEndian.AppendUint32(nil, uint32(s*each+i))); err != nil {
					t.Error(err)
					return
				}
			}
		}(s)
		go func() {
			defer wg.Done()
			for {
				msg, err := c.Recv(done)
				if err != nil {
					return
				}
				take([]Message{msg})
				c.Status()
			}
		}()
		go func() {
			defer wg.Done()
			for {
				batch, err := c.RecvBatch(done, 7)
				if err != nil {
					return
				}
				take(batch)
				c.State()
			}
		}()
	}
	wg.Wait()
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Fatalf("message %d was received %d times", i, n)
		}
	}
	finish()
}

func TestSendWaitsForRoom(t *testing.T) {
	release := make(chan struct{})
	received := make(chan int, 1)
	c := dial(t, startServer(t, func(p *peer) {
		<-release
		count := 0
		p.serve(func(f frame) {
			if f.opcode == opBinary {
				count++
			} else {
				received <- count
			}
		})
	}), WithMessageQueueSize(2), WithMessageQueuePolicy(Block), WithCompression(false))
	data := make([]byte, 1<<20)
	accepted := 0
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		err := c.Send(ctx, Binary, data)
		cancel()
		if err == context.DeadlineExceeded {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if accepted++; accepted > 200 {
			t.Fatal("the outbox never gets full")
		}
	}
	// Room comes while several wait.
	ctx := within(t, soon)
	results := make(chan error)
	for i := 0; i < 4; i++ {
		go func() { results <- c.Send(ctx, Binary, data) }()
	}
	close(release)
	for i := 0; i < 4; i++ {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := c.Send(ctx, Text, nil); err != nil {
		t.Fatal(err)
	}
	if count := <-received; count != accepted+4 {
		t.Errorf("%d messages were accepted, %d arrived", accepted+4, count)
	}
}

func TestCloseEndsWaits(t *testing.T) {
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprint("the peer answers: ", answers), func(t *testing.T) {
			c := dial(t, startServer(t, func(p *peer) {
				if answers {
					p.serve(nil)
				} else {
					io.Copy(io.Discard, p.reader)
				}
			}), WithCloseTimeout(100*time.Millisecond))
			results := make(chan error)
			for i := 0; i < 5; i++ {
				go func() { _, err := c.Recv(context.Background()); results <- err }()
				go func() { _, err := c.RecvBatch(context.Background(), 5); results <- err }()
			}
			time.Sleep(10 * time.Millisecond) // so that most of them wait; the test is right without it
			closed := make(chan error)
			for i := 0; i < 2; i++ {
				go func() { closed <- c.Close() }()
			}
			for i := 0; i < 2; i++ {
				if err := <-closed; err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			for i := 0; i < 10; i++ {
				if err := <-results; !errors.Is(err, ErrClosed) {
					t.Errorf("%v, expected ErrClosed", err)
				}
			}
		})
	}
}

// Everything at once, closed in the middle.
func TestCloseDuringTraffic(t *testing.T) {
	url := startServer(t, echo)
	for round := 0; round < 20; round++ {
		c := dial(t, url)
		var wg sync.WaitGroup
		started := make(chan struct{}, 100)
		use := func(call func() error) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := 0; ; i++ {
					if err := call(); err != nil {
						if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNotConnected) {
							t.Error(err)
						}
						return
					}
					if i == 3 {
						started <- struct{}{}
					}
				}
			}()
		}
		ctx := context.Background()
		for i := 0; i < 2; i++ {
			use(func() error { return c.Send(ctx, Text, []byte("x")) })
			use(func() error { _, err := c.Recv(ctx); return err })
			use(func() error { _, err := c.RecvBatch(ctx, 3); return err })
		}
		<-started
		var closers sync.WaitGroup
		for i := 0; i < 3; i++ {
			closers.Add(1)
			go func() {
				defer closers.Done()
				c.State()
				c.Status()
				c.ResponseHeader()
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
		}
		closers.Wait()
		wg.Wait()
	}
}

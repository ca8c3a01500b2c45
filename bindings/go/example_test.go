// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	pulsews "pulsews.dev/go"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pulsews.Dial(ctx, pulsews.ServerForExamples(), pulsews.WithHeartbeat(20*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(ctx, pulsews.Text, []byte(`{"method":"SUBSCRIBE"}`)); err != nil {
		log.Fatal(err)
	}
	msg, err := c.Recv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(msg.Kind, msg.Text())
	// Output: text {"method":"SUBSCRIBE"}
}

func ExampleConn_RecvBatch() {
	ctx := context.Background()
	c, err := pulsews.Dial(ctx, pulsews.ServerForExamples())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, word := range []string{"one", "two", "three"} {
		if err := c.Send(ctx, pulsews.Text, []byte(word)); err != nil {
			log.Fatal(err)
		}
	}
	for seen := 0; seen < 3; {
		batch, err := c.RecvBatch(ctx, 256)
		if err != nil {
			log.Fatal(err)
		}
		for _, msg := range batch {
			fmt.Println(msg.Sequence, msg.Text())
		}
		seen += len(batch)
	}
	// Output:
	// 1 one
	// 2 two
	// 3 three
}

// From Go 1.23 on: for msg, err := range c.Messages(ctx) { ... }
func ExampleConn_Messages() {
	ctx := context.Background()
	c, err := pulsews.Dial(ctx, pulsews.ServerForExamples())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(ctx, pulsews.Text, []byte("only one")); err != nil {
		log.Fatal(err)
	}
	c.Messages(ctx)(func(msg pulsews.Message, err error) bool {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(msg.Text())
		return false // as break would
	})
	// Output: only one
}

// A context bounds the call; the connection lives on.
func ExampleConn_Recv_timeout() {
	c, err := pulsews.Dial(context.Background(), pulsews.ServerForExamples())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = c.Recv(ctx)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), c.State())
	// Output: true connected
}

// The subscription and what waits in the outbox go out on every connect.
func ExampleManager() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	received := make(chan string)
	m, err := pulsews.NewManager(pulsews.ServerForExamples(), pulsews.Handlers{
		OnConnect: func(pulsews.Event) { fmt.Println("connected") },
		OnMessage: func(msg pulsews.Message) { received <- msg.Text() },
		OnError:   func(err error) { fmt.Println(err) },
	}, pulsews.WithHeartbeat(20*time.Second), pulsews.WithMaxReconnectAttempts(0))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := m.SubscribeWith("btc", `{"method":"SUBSCRIBE"}`, ""); err != nil {
		log.Fatal(err)
	}
	if err := m.Send(ctx, map[string]any{"type": "order"}); err != nil { // waits for the connection
		log.Fatal(err)
	}
	if err := m.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-received)
	fmt.Println(<-received)
	// Output:
	// connected
	// {"method":"SUBSCRIBE"}
	// {"type":"order"}
}

// An order that can't be sent now must not be sent later.
func ExampleConn_SendWith() {
	ctx := context.Background()
	c, err := pulsews.Dial(ctx, pulsews.ServerForExamples())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	id, err := c.SendWith(ctx, pulsews.Text, []byte(`{"type":"order"}`), pulsews.LiveOnly())
	fmt.Println(id, err)
	// Output: 1 <nil>
}

// A login that is signed anew on every connect.
func ExampleWithLoginFunc() {
	ctx := context.Background()
	sign := func(context.Context) ([]pulsews.Message, error) {
		return []pulsews.Message{{Data: []byte(`{"op":"auth","sign":"..."}`)}}, nil
	}
	c, err := pulsews.Dial(ctx, pulsews.ServerForExamples(), pulsews.WithLoginFunc(sign))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	msg, err := c.Recv(ctx)
	fmt.Println(msg.Text(), err)
	// Output: {"op":"auth","sign":"..."} <nil>
}

func ExampleHandshakeError() {
	_, err := pulsews.Dial(context.Background(), pulsews.ServerForExamples()+"forbidden")
	var refusal *pulsews.HandshakeError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Status, refusal.Header.Get("X-Reason"), string(refusal.Body))
	}
	// Output: 403 token no token
}

func ExampleCloseError() {
	c, err := pulsews.Dial(context.Background(), pulsews.ServerForExamples()+"bye",
		pulsews.WithReconnect(false))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Recv(context.Background())
	var closed *pulsews.CloseError
	if errors.As(err, &closed) {
		fmt.Println(closed.Code, closed.Reason)
	}
	// Output: 4000 bye
}

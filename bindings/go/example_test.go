// SPDX-License-Identifier: Apache-2.0

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

func ExampleHandshakeError() {
	_, err := pulsews.Dial(context.Background(), pulsews.ServerForExamples()+"forbidden")
	var refusal *pulsews.HandshakeError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Status, refusal.Header.Get("X-Reason"), string(refusal.Body))
	}
	// Output: 403 token no token
}

func ExampleCloseError() {
	c, err := pulsews.Dial(context.Background(), pulsews.ServerForExamples()+"bye")
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

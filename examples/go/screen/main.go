// SPDX-License-Identifier: Apache-2.0

// Screen is slower than its feed: twice a second it shows what waits, which is never much, and has the latest tick of
// each stream. The preset knows the exchange; connections are replaced before the exchange ends them.
//
//	go run ./screen wss://stream.binance.com:9443/stream 10 btcusdt@bookTicker,ethusdt@bookTicker [OPTION=VALUE ...]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	pulsews "pulsews.dev/go"
)

func run(url string, seconds int, streams, settings []string) error {
	options := []pulsews.Option{pulsews.WithPreset("binance-spot"), pulsews.WithEvents(true),
		pulsews.WithReceiveQueuePolicy(pulsews.ReceiveConflate), pulsews.WithReceiveQueueBytes(4 << 10)}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		options = append(options, pulsews.WithOption(name, value))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds+30)*time.Second)
	defer cancel()
	c, err := pulsews.Dial(ctx, url, options...)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, stream := range streams {
		if err := c.Subscribe(stream); err != nil { // the preset has the text
			return err
		}
	}
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
		time.Sleep(500 * time.Millisecond)
		if err := show(ctx, c); err != nil {
			return err
		}
	}
	s := c.Statistics()
	fmt.Printf("received %.0f, conflated %.0f, rotations %.0f, copies %.0f, repeats %.0f, steps back %.0f\n",
		s["messages_received"], s["receive_conflated"], s["rotations"], s["duplicates_discarded"],
		s["sequence_repeats"], s["sequence_steps_back"])
	return nil
}

// show prints what waits.
func show(ctx context.Context, c *pulsews.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	for {
		batch, err := c.RecvBatch(ctx, 256)
		if errors.Is(err, context.DeadlineExceeded) {
			fmt.Println("--")
			return nil
		}
		if err != nil {
			return err
		}
		for _, message := range batch {
			if message.Kind == pulsews.EventMessage {
				fmt.Print("event ")
			}
			fmt.Println(message.Text())
		}
	}
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: screen URL SECONDS STREAM,STREAM... [OPTION=VALUE ...]")
		os.Exit(2)
	}
	seconds, err := strconv.Atoi(os.Args[2])
	if err == nil {
		err = run(os.Args[1], seconds, strings.Split(os.Args[3], ","), os.Args[4:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "screen:", err)
		os.Exit(1)
	}
}

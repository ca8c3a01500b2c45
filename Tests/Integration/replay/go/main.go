// SPDX-License-Identifier: Apache-2.0

// Replay [-times] [-ca FILE] URL receives until the server closes, then prints one JSON line: how many messages, and the
// SHA-256 over all of them, each followed by a line feed. With -times, before it, a line `received_ns text` for each.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"

	pulsews "pulsews.dev/go"
)

func main() {
	ca := flag.String("ca", "", "")
	times := flag.Bool("times", false, "")
	flag.Parse()
	options := []pulsews.Option{pulsews.WithReconnect(false)}
	if *ca != "" {
		options = append(options, pulsews.WithCAFile(*ca))
	}
	ctx := context.Background()
	c, err := pulsews.Dial(ctx, flag.Arg(0), options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
	defer c.Close()
	out := bufio.NewWriter(os.Stdout)
	digest := sha256.New()
	count, size := 0, 0
	var batch []pulsews.Message
	for err == nil {
		batch, err = c.RecvBatch(ctx, 256)
		for _, m := range batch {
			digest.Write(m.Data)
			digest.Write([]byte("\n"))
			count++
			size += len(m.Data)
			if *times {
				fmt.Fprintf(out, "%d %.60s\n", m.ReceivedNS, m.Data)
			}
		}
	}
	fmt.Fprintf(out, `{"language":"Go","messages":%d,"bytes":%d,"sha256":"%x"}`+"\n", count, size, digest.Sum(nil))
	out.Flush()
	var closed *pulsews.CloseError
	if !errors.As(err, &closed) || closed.Code != 1000 {
		fmt.Fprintln(os.Stderr, "replay: ended with", err)
		os.Exit(1)
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package pulsews holds WebSocket connections for trading services. It is a thin layer over libpulsews, the engine that
// C and Python programs use too: same options, same states, same numbers. Heartbeats, pings and time-outs run in the
// library's own thread, so that a busy Go program never misses one.
//
//	c, err := pulsews.Dial(ctx, "wss://stream.example.com/ws", pulsews.WithHeartbeat(20*time.Second))
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	if err := c.Send(ctx, pulsews.Text, []byte(`{"method":"SUBSCRIBE"}`)); err != nil {
//		return err
//	}
//	for {
//		batch, err := c.RecvBatch(ctx, 256)
//		if err != nil {
//			return err
//		}
//		for _, msg := range batch {
//			handle(msg.Data)
//		}
//	}
//
// # Concurrency
//
// All methods of [Conn] may be called from any goroutine at any time. Several goroutines may receive: each message goes
// to one of them. A waiting goroutine parks in Go's network poller and holds no OS thread. Close ends every wait.
//
// # Contexts
//
// A context bounds one call and nothing else: when it ends, the call returns ctx.Err(), and the connection lives on
// with no message lost. Only Dial and CloseWith end the connection when their context ends.
//
// # Memory
//
// Received payloads belong to the caller and may be kept and changed. The payloads of one batch share one block of
// memory: keeping one keeps the block (Recv: up to 16 KiB, or one larger message; RecvBatch: all of the batch).
// Copy what you keep for long. What is passed to Send may be used again as soon as it returns.
//
// # Errors
//
// Every error of the library is a [*Error] with the code that all languages share, or one of [*CloseError] and
// [*HandshakeError], which say more. Use errors.Is with the Err variables, and errors.As for the types.
//
// # The library
//
// Dial loads libpulsews.so.0 when it is first called: from the path in the environment variable PULSEWS_LIBRARY if it is
// set, else from the folder of the program, the folder of this package's source, or the system. With the build tag
// pulsews_link the program is linked with the library instead, through pkg-config. A library that is missing, or of
// a version that does not fit, is an error of Dial ([*LibraryError]).
package pulsews

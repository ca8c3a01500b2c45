// SPDX-License-Identifier: Apache-2.0

// Package pulsews holds WebSocket connections for trading services. It is a thin layer over libpulsews, the engine that
// C and Python programs use too: same options, same states, same numbers. Heartbeats, reconnects and time-outs run in
// the library's own thread, so that a busy Go program never misses one.
//
//	c, err := pulsews.Dial(ctx, "wss://stream.example.com/ws", pulsews.WithHeartbeat(20*time.Second))
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	if err := c.SubscribeWith("btc", `{"method":"SUBSCRIBE"}`, ""); err != nil { // again on every connect
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
// [Manager] is for programs that would rather be called: handlers for messages, connects, losses and errors.
//
// # Staying connected
//
// [Dial] makes one attempt; with [WithWait] it goes on trying while the exchange is down. A connection that is lost is
// made again, with growing delays; receiving just goes on. On every connect the login ([WithLogin], [WithLoginFunc])
// goes first, then the subscriptions ([Conn.Subscribe], [Conn.SubscribeWith]), then what waits in the outbox.
// When trying ends, since a cause is one that a retry can't mend (status 403, a wrong certificate) or after
// [WithMaxReconnectAttempts], whoever receives gets the reason; [Conn.Reconnect] tries anew. With WithReconnect(false)
// a lost connection is the end.
//
// # Sending
//
// Messages may be sent at any time: without a connection they wait in the outbox, which is bounded
// ([WithMessageQueuePolicy] says what a full one does; by default the oldest message is dropped). Each accepted message
// ends as sent, dropped, expired or failed, and is counted. [Conn.SendWith] says more about a message: a time to live,
// or that it must not be sent late ([LiveOnly]).
//
// # Concurrency
//
// All methods of [Conn] and [Manager] may be called from any goroutine at any time. Several goroutines may receive:
// each message goes to one of them. A waiting goroutine parks in Go's network poller and holds no OS thread (but in
// Flush and Disconnect). Close ends every wait.
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
// # Looking at it
//
// [WithEvents] delivers what happens to the connection among the messages. [Conn.Statistics] gives numbers,
// [Prometheus] a page for all connections, and [SetLogger] sends the library's log to slog, which never holds
// credentials.
//
// # Hubs
//
// [Hub] is the other end of the wire: a server that holds WebSocket peers, and gives them what is published to topics
// ([Hub.Publish]), with history, resume, and the latest of each key for slow ones. It listens itself, or shares the
// port of a server of net/http ([Hub.Handler]). What happens is told as a [HubEvent] ([Hub.Events]). The package pulse
// has the messages that its peers get.
//
// # The library
//
// Dial or NewHub loads libpulsews.so.0 when it is first called: from the path in the environment variable
// PULSEWS_LIBRARY if it is set, else from the folder of the program, the folder of this package's source, or the
// system. With the build tag pulsews_link the program is linked with the library instead, through pkg-config. A library
// that is missing, or of a version that does not fit, is an error of both ([*LibraryError]), and so is a program that
// is linked statically: it has no loader.
package pulsews

//go:generate cp ../../include/pulsews.h ../../include/pulsews_hub.h .

// SPDX-License-Identifier: Apache-2.0

// Plain_gorilla is a client of gorilla/websocket as an older service would have it: it knows no subprotocol. It sends what it
// reads as lines, and prints what it gets, a line of JSON each: {"text"}, {"close","reason"} or {"status","body"} of a refusal.
// The end of its input closes the connection.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

const patience = 20 * time.Second

func tell(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(append(text, '\n'))
}

func send(connection *websocket.Conn) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := connection.WriteMessage(websocket.TextMessage, lines.Bytes()); err != nil {
			return // the end is told by who reads
		}
	}
	farewell := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	connection.WriteControl(websocket.CloseMessage, farewell, time.Now().Add(patience))
}

func main() {
	header := http.Header{}
	if len(os.Args) > 2 {
		header.Set("Origin", os.Args[2])
	}
	dialer := websocket.Dialer{HandshakeTimeout: patience, EnableCompression: true}
	connection, answer, err := dialer.Dial(os.Args[1], header)
	if errors.Is(err, websocket.ErrBadHandshake) {
		body, _ := io.ReadAll(answer.Body)
		tell(map[string]any{"status": answer.StatusCode, "body": string(body)})
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	go send(connection)
	for {
		_, text, err := connection.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			tell(map[string]any{"close": closed.Code, "reason": closed.Text})
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		tell(map[string]any{"text": string(text)})
	}
}

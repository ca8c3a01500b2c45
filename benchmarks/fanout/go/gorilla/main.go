// SPDX-License-Identifier: Apache-2.0

// gorilla/websocket as a server: a goroutine that writes and a channel for each peer, as in its chat example, and prepared
// messages. ../../fanout.h says what a server takes and prints.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

type hub struct {
	sync.Mutex
	peers map[chan *websocket.PreparedMessage]bool
}

var (
	everybody = hub{peers: map[chan *websocket.PreparedMessage]bool{}}
	upgrader  = websocket.Upgrader{EnableCompression: true, CheckOrigin: func(*http.Request) bool { return true }}
)

func serve(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	if err := conn.SetCompressionLevel(1); err != nil {
		fail(err)
	}
	messages := make(chan *websocket.PreparedMessage, 256)
	everybody.Lock()
	everybody.peers[messages] = true
	everybody.Unlock()
	go func() {
		for message := range messages {
			if conn.WritePreparedMessage(message) != nil {
				break
			}
		}
		conn.Close()
	}()
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			break
		}
	}
	everybody.leave(messages)
}

func (h *hub) leave(messages chan *websocket.PreparedMessage) {
	h.Lock()
	defer h.Unlock()
	if h.peers[messages] {
		delete(h.peers, messages)
		close(messages)
	}
}

// broadcast drops a peer whose channel is full.
func (h *hub) broadcast(message *websocket.PreparedMessage) {
	h.Lock()
	defer h.Unlock()
	for messages := range h.peers {
		select {
		case messages <- message:
		default:
			delete(h.peers, messages)
			close(messages)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func report() {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		fail(err)
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		fail(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		fail(err)
	}
	cpu := time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
	fmt.Printf("{\"cpu\": %.6f, \"rss\": %d}\n", cpu, resident*os.Getpagesize()/1024)
}

func publish(count, burst int, interval time.Duration, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		fail(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	due := time.Now()
	for number := 0; number < count; due = due.Add(interval) {
		time.Sleep(time.Until(due))
		for i := 0; i < burst && number < count; i++ {
			body := fmt.Sprintf(`{"n":%d,"s":%d,"d":%s}`, 1000000000+number, time.Now().UnixNano(), lines[number%len(lines)])
			message, err := websocket.NewPreparedMessage(websocket.TextMessage, []byte(body))
			if err != nil {
				fail(err)
			}
			everybody.broadcast(message)
			number++
		}
	}
	fmt.Printf("{\"published\": %d}\n", count)
}

func main() {
	if len(os.Args) != 5 {
		fail(fmt.Errorf("usage: gorilla plain|tls CERTIFICATE KEY FLUSH_US"))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	if os.Args[1] == "tls" {
		certificate, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
		if err != nil {
			fail(err)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	http.HandleFunc("/fanout", serve)
	go func() { fail(http.Serve(listener, nil)) }()
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var count, burst, micros int
		var file string
		if input.Text() == "report" {
			report()
		} else if _, err := fmt.Sscanf(input.Text(), "publish %d %d %d %s", &count, &burst, &micros, &file); err != nil {
			fail(err)
		} else {
			publish(count, burst, time.Duration(micros)*time.Microsecond, file)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"io"
	"net"
	"net/http"
	"sync"
)

var exampleServer struct {
	once sync.Once
	url  string
}

// ServerForExamples gives the URL of the server that the examples talk to; it lives as long as the process.
func ServerForExamples() string {
	exampleServer.once.Do(func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		exampleServer.url = "ws://" + listener.Addr().String() + "/"
		go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/forbidden" {
				w.Header().Set("X-Reason", "token")
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, "no token")
				return
			}
			p, err := upgrade(w, r, "")
			if err != nil {
				return
			}
			defer p.conn.Close()
			if r.URL.Path == "/bye" {
				p.writeClose(4000, "bye")
			}
			echo(p)
		}))
	})
	return exampleServer.url
}

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// An Option sets one option of a connection, for Dial. The library checks the values; a bad one is an error of Dial
// that names the option, the value and what is allowed. Names, defaults and ranges are the same in all languages.
type Option func(*settings)

type setting struct{ name, value string }

type settings struct {
	list []setting
	wait bool
	err  error

	login  func(context.Context) ([]Message, error)
	header func(context.Context) (http.Header, error)
	url    func(context.Context) (string, error)
}

// last gives the value that an option was set to last; empty if it was not.
func (s *settings) last(name string) string {
	for i := len(s.list) - 1; i >= 0; i-- {
		if s.list[i].name == name {
			return s.list[i].value
		}
	}
	return ""
}

func (s *settings) add(name, value string) {
	if strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0 {
		// Not what was given, which may be a password.
		s.fail(fmt.Sprintf("option %q has a NUL byte, which is not allowed", name))
		return
	}
	s.list = append(s.list, setting{name, value})
}

func (s *settings) fail(text string) {
	if s.err == nil {
		s.err = failure(codeValue, text)
	}
}

// WithOption sets an option by its name and a text, e.g. WithOption("max_message_size", "16MiB"), as in a configuration
// file.
func WithOption(name, value string) Option {
	return func(s *settings) { s.add(name, value) }
}

// WithWait lets Dial go on trying when the first attempt fails, until the connection is open, its context ends, or
// trying ends: after WithMaxReconnectAttempts, or at once after a failure that a retry can't mend (see WithRetryFatal).
// So a program may start while the exchange is down. A Manager does this in any case.
func WithWait() Option { return func(s *settings) { s.wait = true } }

func withDuration(name string, d time.Duration) Option {
	return WithOption(name, strconv.FormatInt(int64(d), 10)+"ns")
}

func withInteger(name string, n int64) Option { return WithOption(name, strconv.FormatInt(n, 10)) }

func withList(name string, values []string) Option {
	return func(s *settings) {
		for _, value := range values {
			s.add(name, value)
		}
	}
}

func withIntegers(name string, values []int) Option {
	return func(s *settings) {
		for _, value := range values {
			s.add(name, strconv.Itoa(value))
		}
	}
}

func withBoolean(name string, on bool) Option { return WithOption(name, strconv.FormatBool(on)) }

// WithHeader adds one header to the upgrade request.
func WithHeader(name, value string) Option {
	return func(s *settings) {
		if name == "" || strings.IndexByte(name, ':') >= 0 {
			s.fail(fmt.Sprintf("option headers does not take the name %q: a name has at least one letter and no colon", name))
			return
		}
		s.add("headers", name+": "+value)
	}
}

// WithHeaders adds headers to the upgrade request.
func WithHeaders(headers http.Header) Option {
	return func(s *settings) {
		names := make([]string, 0, len(headers))
		for name := range headers {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			for _, value := range headers[name] {
				WithHeader(name, value)(s)
			}
		}
	}
}

// WithHeartbeat is short for WithHeartbeatInterval.
func WithHeartbeat(d time.Duration) Option { return WithHeartbeatInterval(d) }

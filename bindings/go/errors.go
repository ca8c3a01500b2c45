// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// An Error is a failure that the library reports. errors.Is compares codes, so that
// errors.Is(err, pulsews.ErrReset) finds every *Error with that code.
type Error struct {
	Code int    // the status code, the same in all languages, e.g. -403
	Name string // its name in C, e.g. "PULSEWS_ERESET"
	Text string // one sentence: what was wrong, with which argument or peer

	// Of ErrLogin and ErrSubscribe: the begin of the message with which the server rejected the login or the subscription;
	// empty if it did not.
	ServerMessage string

	verdict verdict // of the client that it came from
	cause   error   // what a function of the application returned; nil if none is to blame
}

// A verdict says whether a client would try again what failed.
type verdict int

const (
	byCode verdict = iota // nothing but the code tells
	retries
	gives
)

func (e *Error) Error() string { return "pulsews: " + e.Text + " (" + e.Name + ")" }

// Unwrap gives the error of a function of the application that led to this one, such as that of WithLoginFunc; else
// nil.
func (e *Error) Unwrap() error { return e.cause }

// Is says whether target is an Error of the same code. ErrClosed is net.ErrClosed too.
func (e *Error) Is(target error) bool {
	if other, ok := target.(*Error); ok {
		return other.Code == e.Code
	}
	return target == net.ErrClosed && e.Code == codeClosed
}

// Timeout says whether a time that an option sets ran out. The end of a context is no Error but ctx.Err().
func (e *Error) Timeout() bool { return e.Code == codeTimeout || e.Code == codeOpenTimeout }

// Retryable says whether trying again can help: a reset yes, a bad URL, a wrong certificate or status 403 no.
func (e *Error) Retryable() bool {
	if e.verdict != byCode {
		return e.verdict == retries
	}
	return load() == nil && nativeRetryable(e.Code)
}

// byName finds the code of a name, as events give it; names is the other way.
var byName, names = map[string]int{}, map[int]string{}

func known(code int, name, text string) error {
	byName[name], names[code] = code, name
	return &Error{Code: code, Name: name, Text: text}
}

// A CloseError says that the peer closed the connection with a close frame. It is ErrPeerClosed.
type CloseError struct {
	Code   int    // the peer's close code; 1005 if its frame had none
	Reason string // the peer's reason, often empty
	Text   string // one sentence, which tells also when trying to connect has ended
}

func (e *CloseError) Error() string {
	if e.Text != "" {
		return "pulsews: " + e.Text
	}
	if e.Reason == "" {
		return fmt.Sprintf("pulsews: the peer closed the connection with code %d", e.Code)
	}
	return fmt.Sprintf("pulsews: the peer closed the connection with code %d: %s", e.Code, e.Reason)
}

func (e *CloseError) Unwrap() error { return ErrPeerClosed }

// A HandshakeError says that the server refused the upgrade to WebSocket. It is ErrHandshake.
type HandshakeError struct {
	Status int         // the HTTP status, e.g. 403
	Header http.Header // the headers of the answer
	Body   []byte      // the first 4 KiB of its body
	Text   string      // one sentence, with a hint at the usual cause

	is *Error
}

func (e *HandshakeError) Error() string { return "pulsews: " + e.Text }

func (e *HandshakeError) Unwrap() error {
	if e.is != nil {
		return e.is
	}
	return ErrHandshake
}

// Retryable says whether trying again can help: 429 and 503 yes, 401, 403 and 404 no.
func (e *HandshakeError) Retryable() bool { return e.is != nil && e.is.Retryable() }

// A PanicError says that a function of the application panicked: a handler of a Manager, or the function of
// WithLoginFunc, WithHeaderFunc or WithURLFunc. The panic was survived.
type PanicError struct {
	Function string // e.g. "OnMessage"
	Value    any    // what it panicked with
	Stack    []byte // where
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("pulsews: panic in %s: %v", e.Function, e.Value)
}

// Unwrap gives the value if it is an error; else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A LibraryError says that libpulsews can't be loaded, or does not fit.
type LibraryError struct {
	Tried []string // each place, and what was wrong there
}

func (e *LibraryError) Error() string {
	return "pulsews: the library libpulsews can't be loaded (PULSEWS_LIBRARY can name its file); tried " +
		strings.Join(e.Tried, "; ")
}

// errorOf makes an Error; an empty text is replaced by the table's.
func errorOf(code int, text string) *Error {
	if text == "" {
		text = nativeErrorText(code)
	}
	return &Error{Code: code, Name: nativeErrorName(code), Text: text}
}

// failure makes an Error without the library.
func failure(code int, text string) *Error { return &Error{Code: code, Name: names[code], Text: text} }

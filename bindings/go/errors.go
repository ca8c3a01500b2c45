// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// The codes that this package itself decides on; a test compares them with the library's table.
const (
	codeInvalid      = -100
	codeValue        = -102
	codeURL          = -103
	codeTimeout      = -200
	codeNotConnected = -201
	codeClosed       = -202
	codePeerClosed   = -203
	codeQueueFull    = -204
	codeRate         = -205
	codeOpenLate     = -405
	codeIO           = -407
	codeHandshake    = -600
	codeLogin        = -603
	codeSubscribe    = -604
	codeNoMemory     = -701
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
func (e *Error) Timeout() bool { return e.Code == codeTimeout || e.Code == codeOpenLate }

// Retryable says whether trying again can help: a reset yes, a bad URL, a wrong certificate or status 403 no.
func (e *Error) Retryable() bool {
	if e.verdict != byCode {
		return e.verdict == retries
	}
	return load() == nil && nativeRetryable(e.Code)
}

// One variable for each code of the library.
var (
	ErrInvalid           = known(-100, "PULSEWS_EINVAL", "an argument is missing or not allowed")
	ErrOption            = known(-101, "PULSEWS_EOPTION", "no option has that name")
	ErrValue             = known(-102, "PULSEWS_EVALUE", "the option does not take that value")
	ErrURL               = known(-103, "PULSEWS_EURL", "the URL is not one that can be connected to")
	ErrUTF8              = known(-104, "PULSEWS_EUTF8", "a text to send is not UTF-8")
	ErrFork              = known(-105, "PULSEWS_EFORK", "the handle was made before fork()")
	ErrBusy              = known(-106, "PULSEWS_EBUSY", "another thread is inside a call that serves one thread at a time")
	ErrTimeout           = known(-200, "PULSEWS_ETIMEOUT", "the time of the call is over")
	ErrNotConnected      = known(-201, "PULSEWS_ENOTCONNECTED", "there is no open connection")
	ErrClosed            = known(-202, "PULSEWS_ECLOSED", "the client was closed by this side")
	ErrPeerClosed        = known(-203, "PULSEWS_EPEERCLOSED", "the peer closed the connection")
	ErrQueueFull         = known(-204, "PULSEWS_EQUEUEFULL", "the outbox is full")
	ErrRate              = known(-205, "PULSEWS_ERATE", "the rate limits left no room in time")
	ErrMoved             = known(-206, "PULSEWS_EMOVED", "this side left the connection for a new one")
	ErrJournal           = known(-207, "PULSEWS_EJOURNAL", "the journal can't be used")
	ErrUnsent            = known(-208, "PULSEWS_EUNSENT", "the close came before accepted messages were sent")
	ErrProtocol          = known(-300, "PULSEWS_EPROTOCOL", "the peer broke the WebSocket protocol")
	ErrPayload           = known(-301, "PULSEWS_EPAYLOAD", "the peer sent a text that is not UTF-8")
	ErrDeflate           = known(-302, "PULSEWS_EDEFLATE", "the peer sent compressed data that does not inflate")
	ErrResolve           = known(-400, "PULSEWS_ERESOLVE", "the host name has no address")
	ErrRefused           = known(-401, "PULSEWS_EREFUSED", "the connection was refused")
	ErrUnreachable       = known(-402, "PULSEWS_EUNREACHABLE", "there is no route to the host")
	ErrReset             = known(-403, "PULSEWS_ERESET", "the connection was reset")
	ErrEOF               = known(-404, "PULSEWS_EEOF", "the connection ended without a close frame")
	ErrOpenTimeout       = known(-405, "PULSEWS_EOPENTIMEOUT", "the connection was not open in time")
	ErrDead              = known(-406, "PULSEWS_EDEAD", "the peer sent nothing within heartbeat_timeout")
	ErrIO                = known(-407, "PULSEWS_EIO", "the operating system reported an error")
	ErrStale             = known(-408, "PULSEWS_ESTALE", "the server sent no data, or no heartbeat, in time")
	ErrProxy             = known(-409, "PULSEWS_EPROXY", "the proxy refused, or is none")
	ErrProxyAuth         = known(-410, "PULSEWS_EPROXYAUTH", "the proxy wants other credentials")
	ErrSlow              = known(-411, "PULSEWS_ESLOW", "the queue of received messages was full (receive_queue_policy=disconnect)")
	ErrTLS               = known(-500, "PULSEWS_ETLS", "TLS failed")
	ErrCertificate       = known(-501, "PULSEWS_ECERTIFICATE", "the server's certificate does not verify")
	ErrHostname          = known(-502, "PULSEWS_EHOSTNAME", "the server's certificate is for another host")
	ErrTrust             = known(-503, "PULSEWS_ETRUST", "the trusted certificates can't be loaded")
	ErrExpired           = known(-504, "PULSEWS_EEXPIRED", "a certificate of the server has expired")
	ErrNotYetValid       = known(-505, "PULSEWS_ENOTYETVALID", "a certificate of the server is not valid yet")
	ErrUnknownCA         = known(-506, "PULSEWS_EUNKNOWNCA", "the server's certificate comes from an authority that is not trusted")
	ErrPurpose           = known(-507, "PULSEWS_EPURPOSE", "the server's certificate is not meant for servers")
	ErrPin               = known(-508, "PULSEWS_EPIN", "no key of the server is one of pin_sha256")
	ErrTLSVersion        = known(-509, "PULSEWS_ETLSVERSION", "the server has no version of TLS that is accepted")
	ErrTruncated         = known(-510, "PULSEWS_ETRUNCATED", "the TLS stream was cut: it ended without close_notify")
	ErrClientCertificate = known(-511, "PULSEWS_ECLIENTCERT", "the server wants a client certificate, or does not accept the one it got")
	ErrHandshake         = known(-600, "PULSEWS_EHANDSHAKE", "the server refused the WebSocket handshake")
	ErrUpgrade           = known(-601, "PULSEWS_EUPGRADE", "the server's answer to the WebSocket handshake is not valid")
	ErrHeaders           = known(-602, "PULSEWS_EHEADERS", "the server's headers are malformed or too large")
	ErrLogin             = known(-603, "PULSEWS_ELOGIN", "the login was rejected, or not confirmed in time")
	ErrSubscribe         = known(-604, "PULSEWS_ESUBSCRIBE", "a subscription was rejected, or not confirmed in time")
	ErrRedirect          = known(-605, "PULSEWS_EREDIRECT", "a redirect of the server can't be followed")
	ErrTooBig            = known(-700, "PULSEWS_ETOOBIG", "a message is larger than allowed")
	ErrNoMemory          = known(-701, "PULSEWS_ENOMEM", "there is no memory")
	ErrFiles             = known(-702, "PULSEWS_EFILES", "there is no file descriptor or thread")
)

// byName finds the code of a name, as events give it.
var byName = map[string]int{}

func known(code int, name, text string) error {
	byName[name] = code
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

// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

/*
#cgo !pulsews_link LDFLAGS: -ldl
#cgo pulsews_link CFLAGS: -DPULSEGO_LINK
#cgo pulsews_link pkg-config: pulsews
#include "native.h"
*/
import "C"

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// This file holds every contact with C: the loader, and one function for each call.

var loading sync.Mutex

func isLoaded() bool {
	loading.Lock()
	defer loading.Unlock()
	return C.pulsego_loaded() != 0
}

// load finds the library once. A failure is not kept: a later Dial looks again.
func load() error {
	loading.Lock()
	defer loading.Unlock()
	if C.pulsego_loaded() != 0 {
		return nil
	}
	var reasons []string
	for _, path := range libraryPaths(os.Getenv("PULSEWS_LIBRARY")) {
		var why [C.PULSEGO_ERROR_SIZE]byte
		if C.pulsego_load(cString(path), (*C.char)(unsafe.Pointer(&why[0])), C.size_t(len(why))) != 0 {
			return nil
		}
		reasons = append(reasons, path+": "+strings.TrimPrefix(missingPackage(path, textOf(why[:])), path+": "))
	}
	return &LibraryError{Tried: reasons}
}

const openSSLPackages = "libssl3 or libssl3t64 (Debian, Ubuntu), openssl-libs (Fedora, Red Hat), libopenssl3 (SUSE)"

// What the library needs, and which packages bring it.
var packagesOf = map[string]string{
	"libssl.so.3":    openSSLPackages,
	"libcrypto.so.3": openSSLPackages,
	"libz.so.1":      "zlib1g (Debian, Ubuntu), zlib or zlib-ng-compat (Fedora, Red Hat), libz1 (SUSE)",
}

// missingPackage puts what the loader says into words if the library at path was found, but not what it needs.
func missingPackage(path, why string) string {
	name, _, isMissing := strings.Cut(why, ": cannot open shared object file: No such file")
	if !isMissing || name == path {
		return why
	}
	if brings, isKnown := packagesOf[name]; isKnown {
		return "it was found, but needs " + name + ", which is in the package " + brings
	}
	return "it was found, but needs " + name + ", which was not"
}

// libraryPaths lists where to look: $PULSEWS_LIBRARY and nowhere else if it is set; else the folder of the program, the
// folder of this package (unless built with -trimpath), the system. The current folder is left out on purpose: whoever
// can write there could run code in the program.
func libraryPaths(environment string) []string {
	if environment != "" {
		return []string{environment}
	}
	var folders, paths []string
	if program, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(program))
	}
	if _, source, _, ok := runtime.Caller(0); ok && filepath.IsAbs(source) {
		folders = append(folders, filepath.Dir(source))
	}
	for _, folder := range folders {
		for _, name := range []string{"libpulsews.so.0", "libpulsews.so"} {
			path := filepath.Join(folder, name)
			if _, err := os.Stat(path); err == nil {
				paths = append(paths, path)
			}
		}
	}
	return append(paths, "libpulsews.so.0")
}

// cString gives a text that ends with NUL, in Go memory: the library copies what it is given. The caller has refused
// texts with a NUL inside.
func cString(text string) *C.char {
	b := make([]byte, len(text)+1)
	copy(b, text)
	return (*C.char)(unsafe.Pointer(&b[0]))
}

// cText gives NULL for nil.
func cText(text *string) *C.char {
	if text == nil {
		return nil
	}
	return cString(*text)
}

// textOf gives the text before the first NUL.
func textOf(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// A sentence is a buffer that the library fills with why a call failed.
type sentence [C.PULSEWS_ERROR_SIZE]byte

func (s *sentence) pointer() *C.char { return (*C.char)(unsafe.Pointer(&s[0])) }

// ---- Tables

func nativeVersion() string { return C.GoString(C.pulsego_version()) }

func nativeErrorName(code int) string { return C.GoString(C.pulsego_error_name(C.int32_t(code))) }
func nativeErrorText(code int) string { return C.GoString(C.pulsego_error_text(C.int32_t(code))) }
func nativeRetryable(code int) bool   { return C.pulsego_error_retryable(C.int32_t(code)) == 1 }

func nativeErrorCodes() []int {
	var codes []int
	for i := 0; ; i++ {
		code := int(C.pulsego_error_at(C.size_t(i)))
		if code == 0 {
			return codes
		}
		codes = append(codes, code)
	}
}

type optionEntry struct{ name, kind, value, allowed, meaning string }

func nativeOptions() []optionEntry {
	var entries []optionEntry
	for i := 0; ; i++ {
		var name, kind, value, allowed, meaning *C.char
		if C.pulsego_option_at(C.size_t(i), &name, &kind, &value, &allowed, &meaning) != 0 {
			return entries
		}
		entries = append(entries, optionEntry{
			C.GoString(name), C.GoString(kind), C.GoString(value), C.GoString(allowed), C.GoString(meaning)})
	}
}

func nativeTransitions() []Transition {
	var entries []Transition
	for i := 0; ; i++ {
		var from, to C.int32_t
		var event, meaning *C.char
		if C.pulsego_transition_at(C.size_t(i), &from, &event, &to, &meaning) != 0 {
			return entries
		}
		entries = append(entries, Transition{State(from), C.GoString(event), State(to), C.GoString(meaning)})
	}
}

func nativeStatistics() []Statistic {
	var entries []Statistic
	for i := 0; ; i++ {
		var name, kind, unit, meaning *C.char
		if C.pulsego_statistic_at(C.size_t(i), &name, &kind, &unit, &meaning) != 0 {
			return entries
		}
		entries = append(entries, Statistic{C.GoString(name), C.GoString(kind), C.GoString(unit), C.GoString(meaning)})
	}
}

func nativePresets() []Preset {
	var entries []Preset
	for i := 0; ; i++ {
		var name, text, options *C.char
		if C.pulsego_preset_at(C.size_t(i), &name, &text, &options) != 0 {
			return entries
		}
		entry := Preset{Name: C.GoString(name), Text: C.GoString(text)}
		for _, line := range strings.Split(C.GoString(options), "\n") {
			if option, value, found := strings.Cut(line, "="); found {
				entry.Options = append(entry.Options, PresetOption{option, value})
			}
		}
		entries = append(entries, entry)
	}
}

// ---- The log

func nativeLogQueue(level, capacity int) int {
	return int(C.pulsego_log_queue(C.int32_t(level), C.size_t(capacity)))
}

// nativeLogNext fills buffer with the next line; it returns its length or a negative code, its level and its time.
func nativeLogNext(buffer []byte, wait time.Duration) (int, int, int64) {
	var level C.int32_t
	var at C.int64_t
	length := C.pulsego_log_next((*C.char)(unsafe.Pointer(&buffer[0])), C.size_t(len(buffer)), &level, &at,
		C.int64_t(wait))
	return int(length), int(level), int64(at)
}

// messageLayout gives the size of the message struct and where its fields are.
func messageLayout() []uintptr {
	var m C.pulsews_message
	return []uintptr{
		unsafe.Sizeof(m), unsafe.Offsetof(m.data), unsafe.Offsetof(m.length), unsafe.Offsetof(m.kind),
		unsafe.Offsetof(m.flags), unsafe.Offsetof(m.received_ns), unsafe.Offsetof(m.sequence)}
}

// ---- One client

// A pendingMessage is a message in the memory of the C batch.
type pendingMessage = C.pulsews_message

// A native is the C half of a connection. Its calls, but for disconnect and flush, never wait. Who calls them keeps it
// from being freed meanwhile; receive and the results of it are for one goroutine at a time.
type native struct{ conn *C.pulsego_conn }

// createNative makes a client and returns its wake descriptor, which the caller closes.
func createNative(url string, settings []setting) (native, int, error) {
	var why sentence
	config := C.pulsego_config_create()
	if config == nil {
		return native{}, -1, errorOf(codeNoMemory, "")
	}
	defer C.pulsego_config_free(config)
	for _, s := range settings {
		status := C.pulsego_config_set(config, cString(s.name), cString(s.value), why.pointer(), C.size_t(len(why)))
		if status != 0 {
			return native{}, -1, errorOf(int(status), textOf(why[:]))
		}
	}
	var conn *C.pulsego_conn
	var descriptor C.int
	status := C.pulsego_create(cString(url), config, &conn, &descriptor, why.pointer(), C.size_t(len(why)))
	if status != 0 {
		return native{}, -1, errorOf(int(status), textOf(why[:]))
	}
	return native{conn}, int(descriptor), nil
}

func (n native) freeClient() { C.pulsego_free_client(n.conn) }
func (n native) free()       { C.pulsego_free(n.conn) }

func (n native) open() (int, string) {
	var why sentence
	status := C.pulsego_open(n.conn, 0, why.pointer(), C.size_t(len(why)))
	return int(status), textOf(why[:])
}

func (n native) start() int     { return int(C.pulsego_start(n.conn)) }
func (n native) reconnect() int { return int(C.pulsego_reconnect(n.conn)) }
func (n native) release() int   { return int(C.pulsego_release(n.conn)) }
func (n native) purge() int     { return int(C.pulsego_purge(n.conn)) }

// These two wait, for ever if wait is negative.
func (n native) disconnect(wait time.Duration) int {
	return int(C.pulsego_disconnect(n.conn, C.int64_t(wait)))
}
func (n native) flush(wait time.Duration) int { return int(C.pulsego_flush(n.conn, C.int64_t(wait))) }

func (n native) waitReady() (int, string) {
	var why sentence
	status := C.pulsego_wait_ready(n.conn, 0, why.pointer(), C.size_t(len(why)))
	return int(status), textOf(why[:])
}

// setHeader removes the header if value is nil.
func (n native) setHeader(name string, value *string) (int, string) {
	var why sentence
	status := C.pulsego_set_header(n.conn, cString(name), cText(value), why.pointer(), C.size_t(len(why)))
	return int(status), textOf(why[:])
}

func (n native) setURL(url string) (int, string) {
	var why sentence
	status := C.pulsego_set_url(n.conn, cString(url), why.pointer(), C.size_t(len(why)))
	return int(status), textOf(why[:])
}

func (n native) subscribe(key string, message, unsubscribe *string) (int, string) {
	var why sentence
	status := C.pulsego_subscribe(n.conn, cString(key), cText(message), cText(unsubscribe), why.pointer(),
		C.size_t(len(why)))
	return int(status), textOf(why[:])
}

func (n native) unsubscribe(key string) int { return int(C.pulsego_unsubscribe(n.conn, cString(key))) }

// sendWith returns the message's id, or a negative code.
func (n native) sendWith(kind Kind, data []byte, flags uint32, ttl time.Duration) int64 {
	handle := C.uintptr_t(uintptr(unsafe.Pointer(n.conn)))
	if len(data) == 0 {
		return int64(C.pulsego_send_with(handle, C.uint32_t(kind), nil, 0, C.uint32_t(flags), C.int64_t(ttl)))
	}
	return int64(C.pulsego_send_with(handle, C.uint32_t(kind), unsafe.Pointer(&data[0]), C.size_t(len(data)),
		C.uint32_t(flags), C.int64_t(ttl)))
}

// An outBatch holds the payloads of many messages one behind another, so that C gets no memory with pointers of Go.
type outBatch struct {
	block   []byte
	lengths []C.size_t
	kinds   []C.uint32_t
}

func (b *outBatch) reset() { b.block, b.lengths, b.kinds = b.block[:0], b.lengths[:0], b.kinds[:0] }

func (b *outBatch) add(kind Kind, data []byte) {
	b.block = append(b.block, data...)
	b.lengths = append(b.lengths, C.size_t(len(data)))
	b.kinds = append(b.kinds, C.uint32_t(kind))
}

// sendBatch returns how many were accepted and the id of the first, or a negative code.
func (n native) sendBatch(b *outBatch, flags uint32, ttl time.Duration) (int, uint64) {
	var first C.uint64_t
	block := unsafe.Pointer(unsafe.SliceData(b.block))
	if block == nil {
		block = unsafe.Pointer(&b.lengths[0]) // all are empty: any address will do
	}
	accepted := C.pulsego_send_batch(n.conn, block, &b.lengths[0], &b.kinds[0], C.size_t(len(b.kinds)), C.uint32_t(flags),
		C.int64_t(ttl), &first)
	return int(accepted), uint64(first)
}

// statistics fills values in the order of the table and returns how many there are.
func (n native) statistics(values []float64) int {
	if len(values) == 0 {
		return int(C.pulsego_statistics(n.conn, nil, 0))
	}
	return int(C.pulsego_statistics(n.conn, (*C.double)(unsafe.Pointer(&values[0])), C.size_t(len(values))))
}

func (n native) send(kind Kind, data []byte) int {
	handle := C.uintptr_t(uintptr(unsafe.Pointer(n.conn)))
	if len(data) == 0 {
		return int(C.pulsego_send(handle, C.uint32_t(kind), nil, 0))
	}
	// The form &data[0] lets cgo check these bytes only, and not the object they lie in.
	return int(C.pulsego_send(handle, C.uint32_t(kind), unsafe.Pointer(&data[0]), C.size_t(len(data))))
}

// receive fetches up to max messages and returns how many, or a negative code.
func (n native) receive(max int) int {
	return int(C.pulsego_receive(C.uintptr_t(uintptr(unsafe.Pointer(n.conn))), C.size_t(max)))
}

func (n native) acknowledge(sequence uint64) { C.pulsego_acknowledge(n.conn, C.uint64_t(sequence)) }

// fetched gives the messages of the last receive.
func (n native) fetched(count int) []pendingMessage {
	return unsafe.Slice((*C.pulsews_message)(unsafe.Pointer(n.conn.messages)), count)
}

// convert copies as many of messages into dst as fit there and into limit bytes, but at least one. Their payloads
// become one block of Go memory.
func convert(dst []Message, messages []pendingMessage, limit int) int {
	count, total := 0, 0
	for count < len(dst) && count < len(messages) {
		length := int(messages[count].length)
		if count > 0 && total+length > limit {
			break
		}
		total += length
		count++
	}
	source := unsafe.Slice((*byte)(messages[0].data), total)
	block := make([]byte, len(source)) // make and copy side by side: the compiler then leaves out the zeroing
	copy(block, source)
	at := 0
	for i := 0; i < count; i++ {
		m := &messages[i]
		end := at + int(m.length)
		dst[i] = Message{
			Data:       block[at:end:end],
			Sequence:   uint64(m.sequence),
			ReceivedNS: int64(m.received_ns),
			Kind:       Kind(m.kind),
			Flags:      Flags(m.flags),
		}
		at = end
	}
	return count
}

func (n native) close(code int, reason string) int {
	return int(C.pulsego_close(n.conn, C.int32_t(code), cString(reason), 0))
}

func (n native) state() int           { return int(C.pulsego_client_state(n.conn)) }
func (n native) closeCode() int       { return int(C.pulsego_close_code(n.conn)) }
func (n native) handshakeStatus() int { return int(C.pulsego_handshake_status(n.conn)) }

func (n native) lastError() (int, string) {
	var why sentence
	status := C.pulsego_client_error(n.conn, why.pointer(), C.size_t(len(why)))
	return int(status), textOf(why[:])
}

func (n native) closeReason() []byte      { return n.text(C.PULSEGO_CLOSE_REASON) }
func (n native) serverMessage() []byte    { return n.text(C.PULSEGO_SERVER_MESSAGE) }
func (n native) retryable() bool          { return C.pulsego_client_retryable(n.conn) == 1 }
func (n native) handshakeHeaders() []byte { return n.text(C.PULSEGO_HANDSHAKE_HEADERS) }
func (n native) handshakeBody() []byte    { return n.text(C.PULSEGO_HANDSHAKE_BODY) }
func (n native) subprotocol() []byte      { return n.text(C.PULSEGO_SUBPROTOCOL) }
func (n native) status() []byte           { return n.text(C.PULSEGO_STATUS) }

// prometheus of a native without a connection tells about all of the process.
func (n native) prometheus() []byte { return n.text(C.PULSEGO_PROMETHEUS) }

// text reads a text of the client; it may grow between two calls.
func (n native) text(which C.int) []byte {
	for size := 1024; ; {
		b := make([]byte, size)
		length := int(C.pulsego_text(n.conn, which, (*C.char)(unsafe.Pointer(&b[0])), C.size_t(size)))
		if length < 0 {
			return nil
		}
		if length < size {
			return b[:length]
		}
		size = length + 256
	}
}

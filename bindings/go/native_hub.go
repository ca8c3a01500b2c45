// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

/*
#include "native.h"
*/
import "C"

import (
	"time"
	"unsafe"
)

// This file holds the contacts of hubs with C: one function for each call.

// ---- Tables

type hubOptionEntry struct{ of, name, kind, value, allowed string }

func nativeHubOptions() []hubOptionEntry {
	var entries []hubOptionEntry
	for i := 0; ; i++ {
		var of, name, kind, value, allowed *C.char
		if C.pulsego_hub_option_at(C.size_t(i), &of, &name, &kind, &value, &allowed) != 0 {
			return entries
		}
		entries = append(entries, hubOptionEntry{
			C.GoString(of), C.GoString(name), C.GoString(kind), C.GoString(value), C.GoString(allowed)})
	}
}

func nativeHubStatistics() []Statistic {
	var entries []Statistic
	for i := 0; ; i++ {
		var name, kind, unit, meaning *C.char
		if C.pulsego_hub_statistic_at(C.size_t(i), &name, &kind, &unit, &meaning) != 0 {
			return entries
		}
		entries = append(entries, Statistic{C.GoString(name), C.GoString(kind), C.GoString(unit), C.GoString(meaning)})
	}
}

func nativeFeedMaps() []FeedMap {
	var entries []FeedMap
	for i := 0; ; i++ {
		var name, text, lines *C.char
		if C.pulsego_hub_map_at(C.size_t(i), &name, &text, &lines) != 0 {
			return entries
		}
		entries = append(entries, FeedMap{C.GoString(name), C.GoString(text), C.GoString(lines)})
	}
}

// hubLayout gives the sizes of the structs of events and publications, and where some of their fields are.
func hubLayout() []uintptr {
	var e C.pulsews_hub_event
	var p C.pulsews_hub_publication
	return []uintptr{unsafe.Sizeof(e), unsafe.Offsetof(e.peer), unsafe.Offsetof(e.address), unsafe.Offsetof(e.length),
		unsafe.Sizeof(p), unsafe.Offsetof(p.length), unsafe.Offsetof(p.published_ns)}
}

// ---- One hub

// A nativeHub is the C half of a hub. None of its calls waits but drain. Who calls them keeps it from being freed
// meanwhile; next and its result are for one goroutine at a time.
type nativeHub struct {
	hub    *C.pulsews_hub
	events *C.pulsews_hub_event
}

// createNativeHub makes a hub and returns its wake descriptor, which the caller closes.
func createNativeHub() (nativeHub, int, error) {
	var why sentence
	var n nativeHub
	var descriptor C.int
	status := C.pulsego_hub_create(&n.hub, &n.events, &descriptor, why.pointer(), C.size_t(len(why)))
	if status != 0 {
		return nativeHub{}, -1, errorOf(int(status), textOf(why[:]))
	}
	return n, int(descriptor), nil
}

func (n nativeHub) free() {
	C.pulsego_hub_free(n.hub)
	C.pulsego_hub_free_events(n.events)
}

// told makes the call of a function that says why it failed.
func told(call func(why *C.char, size C.size_t) C.int32_t) error {
	var why sentence
	if status := call(why.pointer(), C.size_t(len(why))); status != 0 {
		return errorOf(int(status), textOf(why[:]))
	}
	return nil
}

func (n nativeHub) set(name, value string) error {
	return told(func(why *C.char, size C.size_t) C.int32_t {
		return C.pulsego_hub_set(n.hub, cString(name), cString(value), why, size)
	})
}

func (n nativeHub) listen(address string) error {
	return told(func(why *C.char, size C.size_t) C.int32_t {
		return C.pulsego_hub_listen(n.hub, cString(address), why, size)
	})
}

// route sets an option of a route; name and value nil: only makes it.
func (n nativeHub) route(path string, name, value *string) error {
	return told(func(why *C.char, size C.size_t) C.int32_t {
		return C.pulsego_hub_route(n.hub, cString(path), cText(name), cText(value), why, size)
	})
}

func (n nativeHub) topic(pattern string, name, value *string) error {
	return told(func(why *C.char, size C.size_t) C.int32_t {
		return C.pulsego_hub_topic(n.hub, cString(pattern), cText(name), cText(value), why, size)
	})
}

func (n nativeHub) key(name, algorithm string, material []byte) error {
	return told(func(why *C.char, size C.size_t) C.int32_t {
		return C.pulsego_hub_key(n.hub, cString(name), cString(algorithm), bytesOf(material), C.size_t(len(material)), why, size)
	})
}

func (n nativeHub) feed(from native, lines string) error {
	return told(func(why *C.char, size C.size_t) C.int32_t {
		return C.pulsego_hub_feed(n.hub, from.conn.client, cString(lines), why, size)
	})
}

func (n nativeHub) start() error {
	return told(func(why *C.char, size C.size_t) C.int32_t { return C.pulsego_hub_start(n.hub, why, size) })
}

func (n nativeHub) reload() error {
	return told(func(why *C.char, size C.size_t) C.int32_t { return C.pulsego_hub_reload(n.hub, why, size) })
}

// bytesOf gives the address of the bytes; NULL for none.
func bytesOf(data []byte) unsafe.Pointer {
	if len(data) == 0 {
		return nil
	}
	return unsafe.Pointer(&data[0])
}

// drain waits, up to wait.
func (n nativeHub) drain(spread, wait time.Duration) int {
	return int(C.pulsego_hub_drain(n.hub, C.int64_t(spread), C.int64_t(wait)))
}

// publish returns the offset, or a negative code. Pointers to C.char are not looked through by cgo.
func (n nativeHub) publish(topic, key string, data []byte) int64 {
	return int64(C.pulsego_hub_publish(n.hub, (*C.char)(unsafe.Pointer(unsafe.StringData(topic))), C.size_t(len(topic)),
		(*C.char)(unsafe.Pointer(unsafe.StringData(key))), C.size_t(len(key)),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(data))), C.size_t(len(data))))
}

// A publicationBatch holds texts and data of many publications one behind another, so that C gets no memory with
// pointers of Go.
type publicationBatch struct {
	block []byte
	items []C.pulsego_publication
}

func (b *publicationBatch) reset() { b.block, b.items = b.block[:0], b.items[:0] }

func (b *publicationBatch) add(p *Publication) {
	b.block = append(append(b.block, p.Topic...), 0)
	b.block = append(append(b.block, p.Key...), 0)
	b.block = append(b.block, p.Data...)
	b.items = append(b.items, C.pulsego_publication{
		topic_length: C.size_t(len(p.Topic)), key_length: C.size_t(len(p.Key)), length: C.size_t(len(p.Data)),
		offset: C.uint64_t(p.Offset), exchange_ns: C.int64_t(p.ExchangeNS), received_ns: C.int64_t(p.ReceivedNS),
		published_ns: C.int64_t(p.PublishedNS)})
}

// publishBatch returns how many were taken, or a negative code; with load not nil it loads that topic's history.
func (n nativeHub) publishBatch(b *publicationBatch, load *string) int {
	return int(C.pulsego_hub_publish_batch(n.hub, cText(load), (*C.char)(unsafe.Pointer(&b.block[0])), &b.items[0],
		C.size_t(len(b.items))))
}

func (n nativeHub) topicState(topic string, state TopicState, cause *string) int {
	return int(C.pulsego_hub_topic_state(n.hub, cString(topic), C.int32_t(state), cText(cause)))
}

func (n nativeHub) send(peer uint64, kind Kind, data []byte) int {
	return int(C.pulsego_hub_send(n.hub, C.uint64_t(peer), C.uint32_t(kind), bytesOrEmpty(data), C.size_t(len(data))))
}

func (n nativeHub) closePeer(peer uint64, code int, reason string) int {
	return int(C.pulsego_hub_close_peer(n.hub, C.uint64_t(peer), C.int32_t(code), cString(reason)))
}

func (n nativeHub) subscribe(peer uint64, topic string) int {
	return int(C.pulsego_hub_subscribe(n.hub, C.uint64_t(peer), cString(topic)))
}

func (n nativeHub) unsubscribe(peer uint64, topic string) int {
	return int(C.pulsego_hub_unsubscribe(n.hub, C.uint64_t(peer), cString(topic)))
}

func (n nativeHub) answer(request uint64, status int, headers string, body []byte) int {
	return int(C.pulsego_hub_answer(n.hub, C.uint64_t(request), C.int32_t(status), cString(headers), bytesOrEmpty(body),
		C.size_t(len(body))))
}

func (n nativeHub) adopt(descriptor int, first []byte) int {
	return int(C.pulsego_hub_adopt(n.hub, C.int32_t(descriptor), bytesOrEmpty(first), C.size_t(len(first))))
}

var empty [1]byte

// bytesOrEmpty gives an address even if there are no bytes.
func bytesOrEmpty(data []byte) unsafe.Pointer {
	if len(data) == 0 {
		return unsafe.Pointer(&empty[0])
	}
	return unsafe.Pointer(&data[0])
}

// next appends what has happened to events; it returns how many there were, or a negative code.
func (n nativeHub) next(events []HubEvent) ([]HubEvent, int) {
	count := int(C.pulsego_hub_next(n.hub, n.events))
	if count > 0 {
		for i, all := 0, unsafe.Slice(n.events, count); i < count; i++ {
			events = append(events, hubEventOf(&all[i]))
		}
	}
	return events, count
}

func hubEventOf(e *C.pulsews_hub_event) HubEvent {
	event := HubEvent{
		Kind:    HubEventKind(e.kind),
		Time:    time.Unix(0, int64(e.time_ns)),
		Peer:    uint64(e.peer),
		Request: uint64(e.request),
		Count:   uint64(e.count),
		Address: C.GoString(e.address),
		Route:   C.GoString(e.route),
		Target:  C.GoString(e.target),
		Method:  C.GoString(e.method),
		Topic:   C.GoString(e.topic),
	}
	if e.length > 0 {
		source := unsafe.Slice((*byte)(e.data), int(e.length))
		event.Data = append(make([]byte, 0, len(source)), source...)
	}
	if headers := C.GoString(e.headers); headers != "" {
		event.Header = parseHeader([]byte(headers))
	}
	event.complete(int(e.code), C.GoString(e.text))
	return event
}

// ---- What a hub tells about itself

// address gives the address number index; false if there is none.
func (n nativeHub) address(index int) (string, bool) {
	if index < 0 {
		return "", false
	}
	text, status := grown(func(b []byte) int {
		return int(C.pulsego_hub_address(n.hub, C.size_t(index), (*C.char)(unsafe.Pointer(&b[0])), C.size_t(len(b))))
	})
	return string(text), status >= 0
}

func (n nativeHub) status() []byte {
	text, _ := grown(func(b []byte) int {
		return int(C.pulsego_hub_status_json(n.hub, (*C.char)(unsafe.Pointer(&b[0])), C.size_t(len(b))))
	})
	return text
}

func (n nativeHub) peers() ([]byte, int) {
	return grown(func(b []byte) int {
		return int(C.pulsego_hub_peers_json(n.hub, (*C.char)(unsafe.Pointer(&b[0])), C.size_t(len(b))))
	})
}

func (n nativeHub) topicJSON(topic string) ([]byte, int) {
	name := cString(topic)
	return grown(func(b []byte) int {
		return int(C.pulsego_hub_topic_json(n.hub, name, (*C.char)(unsafe.Pointer(&b[0])), C.size_t(len(b))))
	})
}

func (n nativeHub) prometheus() []byte {
	text, _ := grown(func(b []byte) int {
		return int(C.pulsego_hub_prometheus(n.hub, (*C.char)(unsafe.Pointer(&b[0])), C.size_t(len(b))))
	})
	return text
}

// grown reads a text that may grow between two calls. Without one it gives the negative code.
func grown(fill func([]byte) int) ([]byte, int) {
	for size := 4096; ; {
		b := make([]byte, size)
		length := fill(b)
		if length < 0 {
			return nil, length
		}
		if length < size {
			return b[:length], length
		}
		size = length + 4096
	}
}

// statistics fills values in the order of the table and returns how many there are.
func (n nativeHub) statistics(values []float64) int {
	return int(C.pulsego_hub_statistics(n.hub, (*C.double)(unsafe.Pointer(unsafe.SliceData(values))), C.size_t(len(values))))
}

// madeUpEvent is an event of that kind in which every member says something, for tests: those can't use cgo themselves.
func madeUpEvent(kind HubEventKind) HubEvent {
	data := []byte("data")
	return hubEventOf(&C.pulsews_hub_event{kind: C.uint32_t(kind), code: 2, peer: 7, request: 7, time_ns: 7, count: 7,
		address: cString("address"), route: cString("route"), target: cString("target"), method: cString("method"),
		headers: cString("Name: value\n"), topic: cString("topic"), text: cString("text"), data: unsafe.Pointer(&data[0]),
		length: C.size_t(len(data))})
}

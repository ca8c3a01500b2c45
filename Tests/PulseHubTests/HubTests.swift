// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseClient
import PulseFlow
import PulseProcess
import PulseText
import PulseTopics
import PulseTransport
import Synchronization
import Testing

@testable import PulseHub

private let patience: Int64 = 30_000_000_000

private func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }

private func makeHub(_ options: [(String, String)], topics: [(String, String, String)] = [("**", "history", "1000")]) throws -> Hub {
  let hub = try Hub(host: nil)
  for (name, value) in options { #expect(hub.set(utf8(name), utf8(value)) == nil, "\(name)=\(value)") }
  for (pattern, name, value) in topics { #expect(hub.topic(utf8(pattern), utf8(name), utf8(value)) == nil) }
  #expect(hub.listen(utf8("ws://127.0.0.1:0")) == nil)
  if let problem = hub.start() { throw problem }
  return hub
}

private func makePeer(_ hub: Hub, _ query: String) throws -> Client {
  var options = ClientOptions()
  for (name, value) in [("subprotocols", "pulse.v1"), ("reconnect", "false"), ("receive_queue_bytes", "64MiB")] {
    #expect(options.set(name, value) == nil)
  }
  let address = try #require(hub.address(0))
  let peer = try ClientFactory.make(url: "ws://\(address)/ws/stream\(query)", options: options, host: nil).get()
  if let problem = peer.open(timeout: patience) { throw problem }
  return peer
}

@discardableResult
private func publish(_ hub: Hub, _ topic: String, _ json: String) -> UInt64? {
  utf8(topic).withUnsafeBytes { topic in
    utf8(json).withUnsafeBytes { try? hub.publish(topic, nil, $0, Stamps()).get() }
  }
}

private func send(_ peer: Client, _ text: String) -> StatusCode {
  utf8(text).withUnsafeBytes { peer.send(kind: MessageCode.text, payload: $0, timeout: patience) }
}

/// Messages of topics that a peer got: each behind the one before.
private struct Chain {
  var last: [String: UInt64] = [:]
  var count = 0

  mutating func add(_ text: String) throws {
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    guard let offset = object["o"] as? UInt64, let topic = object["topic"] as? String else { return }
    let previous = try #require(object["p"] as? UInt64)
    if let last = last[topic] { #expect(previous == last) }
    last[topic] = offset
    count += 1
  }
}

private func receive(_ peer: Client, _ batch: Batch) -> [String]? {
  let count = peer.receive(into: batch, max: 256, timeout: patience)
  guard count > 0, let records = batch.records else { return nil }
  return (0..<Int(count)).filter { records[$0].kind != MessageCode.event }.map { String(decoding: records[$0].payload, as: UTF8.self) }
}

@Suite(.serialized) struct HubTests {
  /// Loops, publishers, peers that come and go, and whoever looks at it, at the same time.
  @Test func everybodyAtOnce() throws {
    let hub = try makeHub([
      ("loops", "3"), ("queue_messages", "100000"), ("events", "connected"), ("events", "closed"), ("events", "message"),
      ("events", "subscribe"),
    ])
    let publishers = 3
    let each = 400
    let isOver = Atomic<Bool>(false)
    let peers = try (0..<12).map { _ in try makePeer(hub, "?topics=a,b") }
    var threads: [PulseTransport.Thread] = []
    for index in 0..<publishers {
      threads.append(
        try PulseTransport.Thread.start(name: "publisher") {
          for number in 0..<each { publish(hub, number % 2 == 0 ? "a" : "b", #"{"type":"n","by":\#(index),"n":\#(number)}"#) }
        })
    }
    threads.append(
      try PulseTransport.Thread.start(name: "guest") {
        while !isOver.load(ordering: .relaxed) {
          guard let guest = try? makePeer(hub, "") else { continue }
          _ = send(guest, #"{"type":"subscribe","topics":[{"topic":"a","history":10},"c"]}"#)
          _ = send(guest, #"{"type":"order"}"#)
          _ = send(guest, #"{"type":"unsubscribe","topics":["a"]}"#)
          guest.finish()
        }
      })
    threads.append(
      try PulseTransport.Thread.start(name: "application") {
        while let events = hub.nextEvents(64, until: Clock.monotonic() + 50_000_000) {
          for event in events where event.kind == .message {
            _ = utf8("taken").withUnsafeBytes { hub.send(event.peer, isText: true, $0) }
          }
          _ = hub.totals()
          _ = hub.statusJSON()
          _ = hub.peersJSON()
        }
      })
    let batch = Batch()
    for peer in peers {
      var chain = Chain()
      while chain.count < publishers * each {
        guard let messages = receive(peer, batch) else { break }
        for message in messages { try chain.add(message) }
      }
      #expect(chain.count == publishers * each)
      #expect(chain.last == ["a": UInt64(publishers * each / 2), "b": UInt64(publishers * each / 2)])
    }
    isOver.store(true, ordering: .relaxed)
    threads[publishers].join()
    for peer in peers { peer.finish() }
    #expect(hub.drain(spread: 0, until: Clock.monotonic() + patience) == .ok)
    for (index, thread) in threads.enumerated() where index != publishers { thread.join() }
    let totals = hub.totals()
    #expect(totals.messagesOffered == totals.messagesWritten + totals.messagesConflated + totals.messagesDropped + totals.messagesQueued)
    #expect(totals.messagesQueued == 0 && totals.activeConnections == 0 && totals.subscriptions == 0)
    #expect(totals.messagesPublished == UInt64(publishers * each))
    hub.finish()
  }

  /// It ends with connections, timers, posts and requests on their way.
  @Test func endsInTheMiddleOfEverything() throws {
    for round in 0..<8 {
      let hub = try makeHub([("loops", "2"), ("heartbeat", "10ms")], topics: [("**", "flush", "5ms"), ("**", "stale_after", "20ms")])
      let peers = try (0..<4).map { _ in try makePeer(hub, "?topics=t") }
      for number in 0..<round * 20 { publish(hub, "t", "\(number)") }
      if round % 2 == 1 { _ = hub.drain(spread: 1_000_000_000, until: 0) }
      hub.finish()
      for peer in peers { peer.finish() }
    }
  }

  /// Publishing is refused, and not blocked, when the loops are behind.
  @Test func aBudgetIsKept() throws {
    let host = try LoopHost(hasThread: false)
    let hub = try Hub(host: host)
    #expect(hub.set(utf8("publish_queue_bytes"), utf8("64KiB")) == nil)
    #expect(hub.topic(utf8("**"), utf8("history"), utf8("10")) == nil)
    #expect(hub.listen(utf8("ws://127.0.0.1:0")) == nil)
    #expect(hub.start() == nil)
    let address = try #require(hub.address(0))
    let peer = try ClientFactory.make(url: "ws://\(address)/ws/stream?topics=t", options: ClientOptions(), host: nil).get()
    #expect(peer.start() == .ok)
    while hub.totals().subscriptions == 0 { _ = host.driveOnce(timeout: 10_000_000) }
    let message = "\"" + String(repeating: "x", count: 1022) + "\""
    var taken = 0
    while publish(hub, "t", message) != nil { taken += 1 }
    #expect(taken == 64)
    #expect(hub.totals().publishesRefused == 1)
    while hub.totals().messagesWritten < 64 { _ = host.driveOnce(timeout: 10_000_000) }
    #expect(publish(hub, "t", message) != nil)
    peer.finish()
    hub.finish()
  }
}

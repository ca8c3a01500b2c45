// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import EchoServer
import Foundation
import PulseFlow
import PulseProcess
import PulseTransport
import Testing

@testable import PulseClient

private let patience: Int64 = 20_000_000_000

/// An echo server and clients of it, all gone at the end.
private func withServer(_ body: (UInt16) throws -> Void) throws {
  let server = try EchoServer()
  try server.start()
  defer { server.stop() }
  try body(server.port)
}

private func makeClient(_ port: UInt16, _ settings: [String: String] = [:], host: LoopHost? = nil) throws -> Client {
  var options = ClientOptions()
  _ = options.set("message_queue_policy", "block")
  for (name, value) in settings { #expect(options.set(name, value) == nil) }
  return try ClientFactory.make(url: "ws://127.0.0.1:\(port)/", options: options, host: host).get()
}

private func send(_ client: Client, _ text: String, timeout: Int64 = patience) -> StatusCode {
  Array(text.utf8).withUnsafeBytes { client.send(kind: MessageCode.text, payload: $0, timeout: timeout) }
}

private func receive(_ client: Client, _ batch: Batch, max: Int = 64, timeout: Int64 = patience) -> [String] {
  let count = client.receive(into: batch, max: max, timeout: timeout)
  guard count > 0, let records = batch.records else { return [] }
  return (0..<Int(count)).map { String(decoding: records[$0].payload, as: UTF8.self) }
}

private func runThread(_ body: @escaping @Sendable () -> Void) throws -> PulseTransport.Thread {
  try PulseTransport.Thread.start(name: "test", body)
}

@Suite(.serialized) struct ClientTests {
  @Test func aCounterIsReadFromItsPlace() throws {
    let client = try makeClient(9)
    client.mutex.withLock {
      for (number, path) in counterPaths {
        client.first.statistics = ClientStatistics()
        client.first.statistics[keyPath: path] = 7
        for (other, _) in counterPaths { #expect(client.first.value(other, now: 0) == (other == number ? 7 : 0), "\(number): \(other)") }
      }
    }
    client.finish()
  }

  @Test func opensEchoesAndCloses() throws {
    try withServer { port in
      let client = try makeClient(port)
      #expect(client.open(timeout: patience) == nil)
      #expect(client.currentState == SessionState.connected.rawValue)
      let batch = Batch()
      for index in 0..<50 {
        #expect(send(client, "message \(index)") == .ok)
        #expect(receive(client, batch) == ["message \(index)"])
      }
      #expect(client.close(code: 1000, reason: [], timeout: patience, forGood: true) == .ok)
      #expect(client.closeCode == 1000)
      #expect(client.currentState == SessionState.disconnected.rawValue)
      #expect(client.receive(into: batch, max: 1, timeout: patience) == StatusCode.closed.rawValue)
      client.finish()
    }
  }

  @Test(arguments: ["true", "false"])
  func manyMessagesComeInOrder(compression: String) throws {
    try withServer { port in
      let client = try makeClient(port, ["compression": compression, "compression_threshold": "64"])
      #expect(client.open(timeout: patience) == nil)
      let filler = String(repeating: "abcdef", count: 30)
      let sender = try runThread {
        for index in 0..<5000 { #expect(send(client, "\(index) \(filler)") == .ok) }
      }
      let batch = Batch()
      var next = 0
      while next < 5000 {
        let messages = receive(client, batch)
        if messages.isEmpty { break }
        for message in messages {
          #expect(message == "\(next) \(filler)")
          next += 1
        }
      }
      #expect(next == 5000)
      sender.join()
      client.finish()
    }
  }

  @Test func severalThreadsUseOneClient() throws {
    try withServer { port in
      let client = try makeClient(port)
      #expect(client.open(timeout: patience) == nil)
      let received = Mutex()
      nonisolated(unsafe) var count = 0
      var threads: [PulseTransport.Thread] = []
      for number in 0..<4 {
        threads.append(
          try runThread {
            for index in 0..<300 { #expect(send(client, "\(number) \(index)") == .ok) }
          })
        threads.append(
          try runThread {
            let batch = Batch()
            while true {
              let got = client.receive(into: batch, max: 8, timeout: patience)
              if got <= 0 { break }
              let isLast = received.withLock {
                count += Int(got)
                return count == 1200
              }
              if isLast { _ = client.close(code: 1000, reason: [], timeout: patience, forGood: true) }
            }
          })
      }
      for thread in threads { thread.join() }
      #expect(count == 1200)
      client.finish()
    }
  }

  @Test func aSlowConsumerPausesReadingAndLosesNothing() throws {
    try withServer { port in
      let client = try makeClient(port, ["receive_queue_bytes": "4KiB"])
      #expect(client.open(timeout: patience) == nil)
      let sender = try runThread {
        for index in 0..<3000 { #expect(send(client, "message number \(index)") == .ok) }
      }
      let batch = Batch()
      var next = 0
      while next < 3000 {
        let messages = receive(client, batch, max: 3)
        if messages.isEmpty { break }
        for message in messages {
          #expect(message == "message number \(next)")
          next += 1
        }
      }
      #expect(next == 3000)
      sender.join()
      client.finish()
    }
  }

  @Test func clientsThatComeAndGoLeaveNoThreadBehind() throws {
    try withServer { port in
      for _ in 0..<20 {
        let client = try makeClient(port)
        #expect(client.open(timeout: patience) == nil)
        #expect(client.close(code: 1000, reason: [], timeout: patience, forGood: true) == .ok)
        client.finish()
      }
    }
  }

  @Test func aLoopWithoutAThreadIsDrivenByTheCaller() throws {
    try withServer { port in
      let host = try ClientFactory.makeHost(hasThread: false).get()
      let client = try makeClient(port, [:], host: host)
      #expect(client.start() == .ok)
      let deadline = Clock.monotonic() + patience
      while client.open(timeout: 0) != nil && Clock.monotonic() < deadline { _ = host.driveOnce(timeout: 10_000_000) }
      #expect(client.currentState == SessionState.connected.rawValue)
      #expect(send(client, "by hand", timeout: 0) == .ok)
      let batch = Batch()
      var got: [String] = []
      while got.isEmpty && Clock.monotonic() < deadline {
        _ = host.driveOnce(timeout: 10_000_000)
        got = receive(client, batch, timeout: 0)
      }
      #expect(got == ["by hand"])
      client.finish()
      DefaultHost.release(host)
    }
  }

  @Test func closeAndFinishEndWaitingCalls() throws {
    try withServer { port in
      for useClose in [true, false] {
        let client = try makeClient(port)
        #expect(client.open(timeout: patience) == nil)
        let waiting = Mutex()
        nonisolated(unsafe) var results: [Int32] = []
        let threads = try (0..<3).map { _ in
          try runThread {
            let status = client.receive(into: Batch(), max: 1, timeout: -1)
            waiting.withLock { results.append(status) }
          }
        }
        if useClose { #expect(client.close(code: 1000, reason: [], timeout: patience, forGood: true) == .ok) }
        client.finish()
        for thread in threads { thread.join() }
        #expect(results == [-202, -202, -202])
      }
    }
  }

  @Test func eventsComeInOrderWithTheMessages() throws {
    try withServer { port in
      let client = try makeClient(port, ["events": "true"])
      #expect(client.open(timeout: patience) == nil)
      #expect(send(client, "between") == .ok)
      let batch = Batch()
      var all: [String] = []
      while all.count < 4 { all += receive(client, batch) }
      #expect(client.close(code: 1000, reason: [], timeout: patience, forGood: true) == .ok)
      all += receive(client, batch)
      #expect(all.count == 5)
      #expect(all[0].contains("\"connecting\"") && all[1].contains("\"connected\""))
      #expect(all[2].contains("\"ready\""))
      #expect(all[3] == "between")
      #expect(all[4].contains("\"disconnected\""))
      for text in [all[0], all[1], all[2], all[4]] {
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(text.utf8)) }
      }
      client.finish()
    }
  }

  @Test func heartbeatsMeasureRoundTrips() throws {
    try withServer { port in
      let client = try makeClient(port, ["heartbeat_interval": "10ms", "heartbeat_timeout": "10s"])
      #expect(client.open(timeout: patience) == nil)
      let deadline = Clock.monotonic() + patience
      let batch = Batch()
      while client.first.roundTrips.count < 5 && Clock.monotonic() < deadline {
        _ = client.receive(into: batch, max: 1, timeout: 20_000_000)
      }
      client.mutex.withLock {
        #expect(client.first.roundTrips.count >= 5)
        #expect(client.first.roundTrips.minimum > 0)
      }
      client.finish()
    }
  }

  @Test func theBooksBalance() throws {
    try withServer { port in
      let client = try makeClient(port, ["message_queue_size": "10"])
      #expect(client.open(timeout: patience) == nil)
      var accepted: UInt64 = 0
      for index in 0..<2000 where send(client, String(repeating: "x", count: 50_000) + "\(index)", timeout: 0) == .ok {
        accepted += 1
      }
      client.finish()
      client.mutex.withLock {
        #expect(client.outbound.counts.accepted == accepted)
        #expect(client.outbound.counts.sent + client.outbound.outbox.book.failed == accepted)
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseTransport
import PulseWire
import Testing

@testable import PulseClient

private let patience: Int64 = 20_000_000_000

/// A server of one connection at a time, driven by the test: it reads only when it is told to.
private final class StalledPeer {
  private let listener: Listener
  private var stream: TCPStream?
  private var request = UpgradeRequestParser()
  private var wire = WireConnection(configuration: WireConfiguration(role: .server))
  private(set) var texts: [String] = []

  init() throws { listener = try Listener(.loopback(port: 0)) }

  var port: UInt16 { listener.port }

  /// Takes the next connection as far as its upgrade.
  func accept() throws {
    let deadline = Clock.monotonic() + patience
    while stream == nil && Clock.monotonic() < deadline {
      if case .stream(let accepted, from: _) = listener.accept() { stream = accepted } else { Thread.yield() }
    }
    request = UpgradeRequestParser()
    while Clock.monotonic() < deadline {
      guard case .bytes(let bytes) = read() else { continue }
      guard case .request(let info) = bytes.withUnsafeBytes({ request.receive($0) }) else { continue }
      let choice = negotiateDeflate(offers: info.deflateOffers, policy: DeflatePolicy())
      var configuration = WireConfiguration(role: .server)
      configuration.deflate = choice?.parameters
      wire = WireConnection(configuration: configuration)
      let answer = try UpgradeResponse.accept(info, deflateAnswer: choice?.answer).get()
      answer.withUnsafeBytes { _ = stream?.write($0) }
      return
    }
    Issue.record("no upgrade")
  }

  /// Reads messages until `last` is one of them, or the peer has gone.
  func read(until last: String) {
    let deadline = Clock.monotonic() + patience
    while Clock.monotonic() < deadline {
      switch read() {
      case .nothing: continue
      case .end: return
      case .bytes(var bytes):
        var offset = 0
        bytes.withUnsafeMutableBytes { chunk in
          reading: while true {
            switch wire.receive(chunk, from: &offset) {
            case .needMoreBytes, .failure: break reading
            case .message(let message): texts.append(String(decoding: message.payload, as: UTF8.self))
            default: continue
            }
          }
        }
        if texts.contains(last) { return }
      }
    }
    Issue.record("\(last) did not come")
  }

  /// Ends the connection; since it has bytes that were not read, that is a reset.
  func cut() {
    stream?.close()
    stream = nil
  }

  private enum Chunk { case bytes([UInt8]), nothing, end }

  private func read() -> Chunk {
    var chunk = [UInt8](repeating: 0, count: 256 << 10)
    let result = chunk.withUnsafeMutableBytes { stream?.read(into: $0) ?? .end }
    switch result {
    case .bytes(let count): return .bytes(Array(chunk[..<count]))
    case .wouldBlock: return .nothing
    case .end, .failed: return .end
    }
  }
}

@Suite struct StalledPeerTests {
  private let filler = String((0..<60_000).map { _ in "abcdefghijklmnopqrstuvwxyz0123456789".randomElement()! })

  private func connect(_ peer: StalledPeer, _ settings: [String: String]) throws -> Client {
    var options = ClientOptions()
    for (name, value) in ["reconnect_base_delay": "1ms", "backlog_interval": "0"].merging(settings, uniquingKeysWith: { $1 }) {
      #expect(options.set(name, value) == nil)
    }
    let client = try ClientFactory.make(url: "ws://127.0.0.1:\(peer.port)/", options: options, host: nil).get()
    #expect(client.start() == .ok)
    try peer.accept()
    #expect(client.waitReady(timeout: patience) == nil)
    return client
  }

  private func send(_ client: Client, _ text: String, ttl: Int64 = 0) -> StatusCode {
    var id: UInt64 = 0
    return Array(text.utf8).withUnsafeBytes {
      client.send(kind: MessageCode.text, payload: $0, flags: [], ttl: ttl, timeout: 0, id: &id)
    }
  }

  /// Sends until the system takes no more. How many that were.
  private func fill(_ client: Client) -> Int {
    var count = 0
    while !client.mutex.withLock({ client.first.connection?.writeIsBlocked == true }) {
      #expect(send(client, "\(count) \(filler)") == .ok)
      count += 1
    }
    return count
  }

  private func queued(_ client: Client) -> Int {
    client.mutex.withLock { client.outbound.outbox.count + (client.first.connection?.ledger.pending ?? 0) }
  }

  @Test(arguments: ["true", "false"])
  func whatExpiresMeanwhileIsNeverSent(compression: String) throws {
    let peer = try StalledPeer()
    let client = try connect(peer, ["compression": compression])
    defer { client.finish() }
    let before = fill(client)
    #expect(send(client, "an order", ttl: 1_000_000) == .ok)
    #expect(send(client, "the end") == .ok)
    #expect(queued(client) >= 2)
    let late = Clock.monotonic() + 2_000_000
    while Clock.monotonic() < late { Thread.yield() }
    peer.read(until: "the end")
    #expect(peer.texts.count == before + 1)
    #expect(!peer.texts.contains("an order"))
    #expect(client.mutex.withLock { client.outbound.outbox.book.expired } == 1)
    #expect(client.flush(timeout: patience) == .ok)
    #expect(queued(client) == 0)
  }

  /// Many small ones were framed together when the peer stopped reading.
  @Test(arguments: ["true", "false"])
  func whatWasFramedIsTakenBack(compression: String) throws {
    // On a slow machine all may expire before the peer is there again: then they get more time.
    let times: [Int64] = [500_000_000, 4_000_000_000, 32_000_000_000]
    #expect(try times.contains { try takesBackWhatWasFramed(compression, ttl: $0) })
  }

  /// False: nothing was sent before all expired.
  private func takesBackWhatWasFramed(_ compression: String, ttl: Int64) throws -> Bool {
    let peer = try StalledPeer()
    let client = try connect(
      peer, ["compression": compression, "message_queue_size": "100000", "message_queue_bytes": "1GiB"])
    defer { client.finish() }
    peer.cut()
    while client.mutex.withLock({ client.first.isReady }) { Thread.yield() }
    let order = String(filler.prefix(1000))
    let count = 20_000
    let refused = (0..<count).filter { send(client, "\($0) \(order)", ttl: ttl) != .ok }
    #expect(refused.isEmpty)
    let late = Clock.monotonic() + ttl
    try peer.accept()
    while Clock.monotonic() < late { Thread.yield() }
    let sent = client.mutex.withLock { Int(client.outbound.counts.sent) }
    if sent == 0 { return false }
    #expect(sent < count)
    #expect(send(client, "the end") == .ok)
    peer.read(until: "the end")
    // One may have been cut in the middle.
    #expect(peer.texts.count - 1 == sent || peer.texts.count - 1 == sent + 1)
    #expect(client.flush(timeout: patience) == .ok)
    client.mutex.withLock {
      #expect(client.outbound.counts.sent + client.outbound.outbox.book.expired == UInt64(count + 1))
      #expect(client.outbound.counts.sent == UInt64(peer.texts.count))
    }
    return true
  }

  /// Nothing twice, nothing left out but what was cut.
  @Test(arguments: ["true", "false"])
  func whatWasNotWrittenGoesToTheNextConnection(compression: String) throws {
    let peer = try StalledPeer()
    let client = try connect(peer, ["compression": compression])
    defer { client.finish() }
    var count = fill(client)
    for index in 0..<30 { #expect(send(client, "\(count + index) \(filler)") == .ok) }
    count += 30
    peer.cut()
    try peer.accept()
    #expect(send(client, "the end") == .ok)
    peer.read(until: "the end")
    let numbers = peer.texts.dropLast().compactMap { Int($0.prefix { $0 != " " }) }
    #expect(numbers == Array((count - numbers.count)..<count))
    #expect(numbers.count >= 30)
    client.mutex.withLock {
      #expect(client.outbound.outbox.book.failed <= 1)
      // What the first connection took and the peer did not read is sent, as far as this side can tell.
      #expect(
        client.outbound.counts.sent + client.outbound.outbox.book.failed == UInt64(count + 1))
      #expect(client.outbound.counts.sent >= UInt64(peer.texts.count))
    }
  }
}

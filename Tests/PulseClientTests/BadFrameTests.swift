// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseTransport
import PulseWire
import Testing

@testable import PulseClient

private let patience: Int64 = 20_000_000_000

/// Answers one upgrade with the response and `frames` in one write, and notes what comes back until the client ends.
private final class ScriptedPeer: EventHandler, @unchecked Sendable {  // one thread drives it; read after `join`
  private let loop: EventLoop
  private let listener: Listener
  private let frames: [UInt8]
  private let request = UpgradeRequestParser()
  private let wire = WireConnection(configuration: WireConfiguration(role: .server))
  private var stream: TCPStream?
  private var registration: Registration?
  private var isUpgraded = false
  private var isDone = false
  private var thread: PulseTransport.Thread?
  private(set) var received: [String] = []

  init(frames: [UInt8]) throws {
    self.frames = frames
    loop = try EventLoop()
    listener = try Listener(.loopback(port: 0))
    super.init()
    registration = try loop.register(listener.descriptor, self, for: .readable)
    let deadline = Clock.monotonic() + patience
    thread = try PulseTransport.Thread.start(name: "peer") {
      while !self.isDone && Clock.monotonic() < deadline { _ = self.loop.runOnce(timeoutNs: 1_000_000_000) }
    }
  }

  var port: UInt16 { listener.port }

  /// Everything that came, once the client has gone.
  func join() -> [String] {
    thread?.join()
    return received
  }

  override func handle(_ ready: Readiness) {
    if stream == nil, case .stream(let accepted, from: _) = listener.accept() {
      stream = accepted
      if let registration { loop.unregister(registration) }
      registration = try? loop.register(accepted.descriptor, self, for: .readable)
    }
    guard let stream else { return }
    var chunk = [UInt8](repeating: 0, count: 4096)
    chunk.withUnsafeMutableBytes { bytes in
      while !isDone {
        switch stream.read(into: bytes) {
        case .bytes(let count): take(UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]), stream)
        case .wouldBlock: return
        case .end, .failed: finish(stream)
        }
      }
    }
  }

  private func take(_ bytes: UnsafeMutableRawBufferPointer, _ stream: TCPStream) {
    if !isUpgraded {
      guard case .request(let info) = request.receive(UnsafeRawBufferPointer(bytes)),
        case .success(let answer) = UpgradeResponse.accept(info, deflateAnswer: nil)
      else { return }
      isUpgraded = true
      (answer + frames).withUnsafeBytes { _ = stream.write($0) }
      return
    }
    var offset = 0
    while true {
      switch wire.receive(bytes, from: &offset) {
      case .needMoreBytes: return
      case .message(let message): received.append(String(decoding: message.payload, as: UTF8.self))
      case .close(let code, _):
        received.append("close \(code)")
        return finish(stream)
      default: received.append("unexpected")
      }
    }
  }

  private func finish(_ stream: TCPStream) {
    if let registration { loop.unregister(registration) }
    stream.close()
    isDone = true
  }
}

/// Bad frames that come in one chunk with messages.
@Suite struct BadFrameTests {
  /// Two texts, then a frame with the reserved opcode 3 (RFC 6455 §5.2).
  private static let frames: [UInt8] = [0x81, 1, 0x61, 0x81, 1, 0x62, 0x83, 0]

  private func open(_ peer: ScriptedPeer, grace: Int64?) throws -> Client {
    var options = ClientOptions()
    _ = options.set("reconnect", "false")
    let client = try ClientFactory.make(
      url: "ws://127.0.0.1:\(peer.port)/", options: options, host: nil
    ).get()
    if let grace { client.answerGrace = grace }
    #expect(client.open(timeout: patience) == nil)
    return client
  }

  @Test func theMessagesBeforeAreAnsweredFirst() throws {
    let peer = try ScriptedPeer(frames: Self.frames)
    let client = try open(peer, grace: patience)
    let batch = Batch()
    for text in ["a", "b"] {
      #expect(client.receive(into: batch, max: 1, timeout: patience) == 1)
      let records = try #require(batch.records)
      #expect(String(decoding: records[0].payload, as: UTF8.self) == text)
      #expect(client.send(kind: MessageCode.text, payload: records[0].payload, timeout: patience) == .ok)
    }
    #expect(client.receive(into: batch, max: 1, timeout: patience) == StatusCode.protocolError.rawValue)
    #expect(client.currentState == SessionState.error.rawValue)
    #expect(peer.join() == ["a", "b", "close 1002"])
    client.finish()
  }

  @Test func aConsumerThatIsAwayDelaysItOnlyShortly() throws {
    let peer = try ScriptedPeer(frames: Self.frames)
    let client = try open(peer, grace: nil)
    #expect(peer.join() == ["close 1002"])
    let batch = Batch()
    #expect(client.receive(into: batch, max: 9, timeout: patience) == 2)
    #expect(client.receive(into: batch, max: 9, timeout: patience) == StatusCode.protocolError.rawValue)
    client.finish()
  }

  @Test func closingDoesNotWaitForIt() throws {
    let peer = try ScriptedPeer(frames: Self.frames)
    let client = try open(peer, grace: patience)
    #expect(client.receive(into: Batch(), max: 1, timeout: patience) == 1)
    #expect(client.close(code: 1000, reason: [], timeout: patience, forGood: true) == .ok)
    #expect(client.currentState == SessionState.disconnected.rawValue)
    #expect(peer.join() == ["close 1002"])
    client.finish()
  }

  @Test func withoutMessagesItIsAnsweredAtOnce() throws {
    let peer = try ScriptedPeer(frames: [0x83, 0])
    let client = try open(peer, grace: patience)
    #expect(peer.join() == ["close 1002"])
    client.finish()
  }
}

// SPDX-License-Identifier: Apache-2.0

/// What the targets ClientFrames and ServerFrames do with one input.
///
/// The input picks the configuration and the chunks. Byte 0: bit 0 permessage-deflate, bits 1 and 2 no context
/// takeover of client and server, bits 3 and 4 the size limit (16, 125, 1000, 70000). Byte 1: the window bits, client
/// low, server high, from 8. Byte 2: the number of chunk sizes (modulo 8), which follow and are used in turn; without
/// any the stream comes whole. The rest is the stream.
func fuzzFrames(receiver role: Role, _ input: UnsafeRawBufferPointer) {
  guard input.count >= 3 else { return }
  let flags = input[0]
  let limit = [16, 125, 1000, 70_000][Int(flags >> 3 & 3)]
  let deflate =
    flags & 1 == 0
    ? nil
    : DeflateParameters(
      clientNoContextTakeover: flags & 2 != 0, serverNoContextTakeover: flags & 4 != 0,
      clientMaxWindowBits: 8 + Int(input[1] & 7), serverMaxWindowBits: 8 + Int(input[1] >> 4 & 7))
  let sizeCount = min(Int(input[2] & 7), input.count - 3)
  let sizes = input[3..<3 + sizeCount].map { max(1, Int($0)) }
  let stream = Array(input[(3 + sizeCount)...])
  let configuration = WireConfiguration(
    role: role, maxMessageSize: limit, deflate: deflate, compressionThreshold: 8, compressionLevel: 1)

  var whole = FrameFuzzer(configuration)
  whole.feed(stream)
  var parts = FrameFuzzer(configuration)
  var start = 0
  var turn = 0
  while start < stream.count {
    let size = sizes.isEmpty ? stream.count : sizes[turn % sizes.count]
    let end = min(start + size, stream.count)
    parts.feed(Array(stream[start..<end]))
    start = end
    turn += 1
  }
  // How the stream was cut must not show.
  fuzzRequire(whole.seen == parts.seen, "chunks changed the events")
}

private struct FrameFuzzer {
  enum Seen: Equatable {
    case message(MessageKind, [UInt8], isASCII: Bool, wasCompressed: Bool)
    case ping([UInt8]), pong([UInt8])
    case close(UInt16, [UInt8])
    case failure(WireFailureKind)
  }

  let limit: Int
  let connection: WireConnection
  /// Sends back what arrived, and its peer receives that.
  let echo: WireConnection
  let peer: WireConnection
  var seen: [Seen] = []
  var hasEnded = false

  init(_ configuration: WireConfiguration) {
    limit = configuration.maxMessageSize
    connection = WireConnection(configuration: configuration)
    echo = WireConnection(configuration: configuration)
    var opposite = configuration
    opposite.role = configuration.role == .client ? .server : .client
    peer = WireConnection(configuration: opposite)
  }

  mutating func feed(_ chunk: [UInt8]) {
    // Memory of exactly this size: the address sanitizer sees a read beyond it.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk.count, alignment: 1)
    defer { memory.deallocate() }
    memory.copyBytes(from: chunk)
    var offset = 0
    while true {
      let before = offset
      let event = connection.receive(memory, from: &offset)
      fuzzRequire(offset >= before && offset <= memory.count, "the offset left the chunk")
      fuzzRequire(connection.bufferedCapacity <= max(limit + 1, 256) + 256, "memory beyond the limit")
      if case .needMoreBytes = event {
        fuzzRequire(offset == memory.count, "bytes were left over")
        return
      }
      if case .failure(let failure) = event {
        let last = Seen.failure(failure.kind)
        fuzzRequire(!hasEnded || seen.last == last, "another failure, or one after a close")
        if !hasEnded { seen.append(last) }
        hasEnded = true
        fuzzRequire(connection.failure != nil && offset == memory.count, "a failure that is not final")
        return
      }
      fuzzRequire(!hasEnded, "an event after the end")
      fuzzRequire(offset > before, "no progress")
      take(event)
    }
  }

  private mutating func take(_ event: WireEvent) {
    switch event {
    case .needMoreBytes, .failure: break
    case .message(let message):
      let body = Array(message.payload)
      fuzzRequire(body.count <= limit, "a message beyond the limit")
      let isASCII = body.allSatisfy { $0 < 0x80 }
      if message.kind == .text {
        fuzzRequire(String(validating: body, as: UTF8.self) != nil, "a text that is not UTF-8")
        fuzzRequire(message.isASCII == isASCII, "the wrong ASCII flag")
      } else {
        fuzzRequire(!message.isASCII, "an ASCII flag on binary")
      }
      seen.append(
        .message(message.kind, body, isASCII: message.isASCII, wasCompressed: message.wasCompressed))
      roundTrip(message.kind, body)
    case .ping(let body):
      fuzzRequire(body.count <= 125, "a ping beyond 125 bytes")
      seen.append(.ping(Array(body)))
    case .pong(let body):
      fuzzRequire(body.count <= 125, "a pong beyond 125 bytes")
      seen.append(.pong(Array(body)))
    case .close(let code, let reason):
      fuzzRequire(code == CloseCode.absent || CloseCode.isAllowedOnWire(code), "a close code that must not be sent")
      fuzzRequire(reason.count <= 123 && String(validating: reason, as: UTF8.self) != nil, "a bad close reason")
      seen.append(.close(code, Array(reason)))
      hasEnded = true
    }
  }

  /// What this side sends, the other side must receive.
  private func roundTrip(_ kind: MessageKind, _ body: [UInt8]) {
    var queue = ByteQueue()
    let key = UInt32(truncatingIfNeeded: body.count &* 0x9E37_79B1)
    let isSent = body.withUnsafeBytes { echo.encode(kind, $0, maskKey: key, into: &queue) }
    fuzzRequire(isSent, "a message was not encoded")
    var offset = 0
    guard case .message(let message) = peer.receive(queue.writable, from: &offset) else {
      fatalError("invariant: the encoded message was not received")
    }
    fuzzRequire(message.kind == kind && message.payload.elementsEqual(body), "the message changed on its way")
    fuzzRequire(offset == queue.count, "the encoded frame was not used up")
    guard case .needMoreBytes = peer.receive(queue.writable, from: &offset) else {
      fatalError("invariant: something follows the encoded message")
    }
  }
}

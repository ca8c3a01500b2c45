// SPDX-License-Identifier: Apache-2.0
import PulseWire
import Testing

struct WireConnectionTests {
  private func pair(
    _ deflate: DeflateParameters? = nil, limit: Int = 16 << 20, threshold: Int = 64
  ) -> (client: WireConnection, server: WireConnection) {
    func make(_ role: Role) -> WireConnection {
      WireConnection(
        configuration: WireConfiguration(
          role: role, maxMessageSize: limit, deflate: deflate, compressionThreshold: threshold))
    }
    return (make(.client), make(.server))
  }

  /// Cuts bytes at random places.
  private func cut(_ bytes: [UInt8], _ numbers: inout Numbers) -> [[UInt8]] {
    var chunks: [[UInt8]] = []
    var rest = bytes[...]
    let choices = bytes.count < 10_000 ? [1, 7, 100] : [1000, 5000, 100_000]
    let largest = choices.randomElement(using: &numbers) ?? 1
    while !rest.isEmpty {
      let count = Int.random(in: 1...largest, using: &numbers)
      chunks.append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    return chunks
  }

  @Test func roundTripsOfRandomConversations() {
    var numbers = Numbers(seed: 1)
    for round in 0..<80 {
      let deflate =
        round % 4 == 0
        ? nil
        : DeflateParameters(
          clientNoContextTakeover: .random(using: &numbers), serverNoContextTakeover: .random(using: &numbers),
          clientMaxWindowBits: .random(in: 8...15, using: &numbers),
          serverMaxWindowBits: .random(in: 8...15, using: &numbers))
      let (client, server) = pair(deflate, threshold: round % 3 == 0 ? 0 : 64)
      for (sender, receiver) in [(client, server), (server, client)] {
        var queue = ByteQueue()
        var expected: [SeenEvent] = []
        for _ in 0..<Int.random(in: 1...12, using: &numbers) {
          let key = UInt32(truncatingIfNeeded: numbers.next())
          let size = Int.random(in: 0...([0, 10, 130, 1000, 1000, 1000, 70_000].randomElement(using: &numbers) ?? 0), using: &numbers)
          switch numbers.next() % 6 {
          case 0:
            let body = numbers.bytes(size % 126)
            body.withUnsafeBytes { _ = sender.encodePing($0, maskKey: key, into: &queue) }
            expected.append(.ping(body))
          case 1:
            let body = numbers.bytes(size % 126)
            body.withUnsafeBytes { _ = sender.encodePong($0, maskKey: key, into: &queue) }
            expected.append(.pong(body))
          case 2:
            let kind: MessageKind = .random(using: &numbers) ? .text : .binary
            let body = kind == .text ? numbers.text(size) : numbers.bytes(size)
            var rest = body[...]
            var first: MessageKind? = kind
            repeat {
              let part = Array(rest.prefix(Int.random(in: 0...max(1, size / 2), using: &numbers)))
              rest = rest.dropFirst(part.count)
              let isFinal = rest.isEmpty
              part.withUnsafeBytes {
                _ = sender.encodeFragment(first, isFinal: isFinal, $0, maskKey: key, into: &queue)
              }
              first = nil
            } while !rest.isEmpty
            expected.append(.message(kind, body))
          default:
            let kind: MessageKind = .random(using: &numbers) ? .text : .binary
            var body = kind == .text ? numbers.text(size) : numbers.bytes(size)
            // Something to look back at.
            if .random(using: &numbers) { body += body }
            body.withUnsafeBytes { _ = sender.encode(kind, $0, maskKey: key, into: &queue) }
            expected.append(.message(kind, body))
          }
        }
        let seen = receiver.events(chunks: cut(Array(queue.readable), &numbers))
        #expect(seen == expected, "round \(round)")
      }
      #expect(client.plainBytesOut == server.inflatedBytes)
      #expect(client.compressedBytesOut == server.compressedBytesIn)
      #expect(server.plainBytesOut == client.inflatedBytes)
      if deflate?.clientMaxWindowBits == 8 { #expect(client.compressedBytesOut == 0) }
    }
  }

  @Test func slicesOfTheChunkAreNotCopied() {
    let (client, server) = pair(DeflateParameters(), threshold: 1000)
    for (sender, receiver, header) in [(client, server, 6), (server, client, 2)] {
      let chunk = sender.encoded(.text, Array("twelve bytes".utf8))
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk.count, alignment: 1)
      defer { memory.deallocate() }
      memory.copyBytes(from: chunk)
      var offset = 0
      guard case .message(let message) = receiver.receive(memory, from: &offset) else {
        Issue.record("no message")
        return
      }
      #expect(message.payload.baseAddress == UnsafeRawPointer(memory.baseAddress! + header))
      #expect(message.payload.count == 12)
      #expect(message.isASCII && !message.wasCompressed)
      #expect(offset == chunk.count)
      #expect(receiver.bufferedCapacity == 0)
    }
  }

  @Test func asciiFlag() {
    func flag(_ connection: WireConnection, _ chunks: [[UInt8]]) -> Bool? {
      for chunk in chunks {
        var copy = chunk
        var offset = 0
        let event = copy.withUnsafeMutableBytes { connection.receive($0, from: &offset) }
        if case .message(let message) = event { return message.isASCII }
      }
      return nil
    }
    let cases: [(MessageKind, [UInt8], Bool)] = [
      (.text, Array("plain".utf8), true), (.text, Array("gr\u{fc}n".utf8), false), (.binary, [65], false), (.text, [], true),
      (.text, [UInt8](repeating: 97, count: 2000), true), (.text, [UInt8](repeating: 97, count: 2000) + [0xC3, 0xA9], false),
    ]
    for (kind, body, expected) in cases {
      for deflate in [nil, DeflateParameters()] {
        let (client, server) = pair(deflate)
        #expect(flag(server, [client.encoded(kind, body)]) == expected)
        #expect(flag(server, client.encoded(kind, body).map { [$0] }) == expected)
      }
    }
  }

  @Test func memoryFollowsWhatArrivedNotWhatIsClaimed() {
    let connection = WireConnection(configuration: WireConfiguration(role: .client))
    _ = connection.events([0x82, 0x7F, 0, 0, 0, 0, 0x00, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 1, count: 1000))
    #expect(connection.bufferedCapacity <= 4096)
  }

  @Test func largeMemoryIsGivenBack() {
    let (client, server) = pair()
    let body = [UInt8](repeating: 7, count: 3 << 20)
    let frame = client.encoded(.binary, body)
    #expect(server.events(chunks: [Array(frame[..<1000]), Array(frame[1000...])]) == [.message(.binary, body)])
    #expect(server.bufferedCapacity <= ByteQueue.retained)
    #expect(server.events(client.encoded(.binary, [1])) == [.message(.binary, [1])])
  }

  @Test func memoryOfABombStaysAtTheLimit() {
    // 64 MiB of zeros are about 64 KiB of deflate.
    let bomb = [UInt8](repeating: 0, count: 64 << 20)
    let sender = WireConnection(
      configuration: WireConfiguration(role: .client, deflate: DeflateParameters(), compressionLevel: 1))
    let receiver = WireConnection(
      configuration: WireConfiguration(role: .server, maxMessageSize: 1 << 20, deflate: DeflateParameters()))
    let frame = sender.encoded(.binary, bomb)
    #expect(frame.count < 1 << 20)
    var offset = 0
    var copy = frame
    var failed = false
    copy.withUnsafeMutableBytes { memory in
      var start = 0
      while start < memory.count && !failed {
        let end = min(start + 512, memory.count)
        offset = 0
        let event = receiver.receive(UnsafeMutableRawBufferPointer(rebasing: memory[start..<end]), from: &offset)
        if case .failure(let failure) = event { failed = failure.kind == .tooBig && failure.closeCode == 1009 }
        #expect(receiver.bufferedCapacity <= (1 << 20) + 1)
        start = end
      }
    }
    #expect(failed)
    #expect(receiver.inflatedBytes == (1 << 20) + 1)
  }

  @Test func emptyBlocksDoNotGoOnForEver() {
    let receiver = WireConnection(
      configuration: WireConfiguration(role: .client, maxMessageSize: 100, deflate: DeflateParameters()))
    // Fragments that inflate to nothing: 00 00 00 ff ff is an empty block.
    var seen = receiver.events([0x42, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF])
    for _ in 0..<2000 where seen.isEmpty { seen = receiver.events([0x00, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF]) }
    #expect(seen == [.failure(.tooBig)])
  }

  @Test func sixtyFiveThousandFragments() {
    let (client, server) = pair()
    var queue = ByteQueue()
    for index in 0..<65_536 {
      [UInt8(truncatingIfNeeded: index)].withUnsafeBytes {
        _ = client.encodeFragment(
          index == 0 ? .binary : nil, isFinal: index == 65_535, $0, maskKey: UInt32(index), into: &queue)
      }
    }
    let body = (0..<65_536).map { UInt8(truncatingIfNeeded: $0) }
    let frames = Array(queue.readable)
    #expect(server.events(frames) == [.message(.binary, body)])
  }

  @Test func sixteenMebibytes() {
    let (client, server) = pair(DeflateParameters())
    var numbers = Numbers(seed: 3)
    let block = numbers.bytes(1 << 16)
    var body: [UInt8] = []
    for _ in 0..<256 { body += block }
    let frame = client.encoded(.binary, body)
    let chunks = stride(from: 0, to: frame.count, by: 60_000).map { Array(frame[$0..<min($0 + 60_000, frame.count)]) }
    #expect(server.events(chunks: chunks) == [.message(.binary, body)])
    #expect(client.events(server.encoded(.binary, body)) == [.message(.binary, body)])
  }

  @Test func badOffsetIsHarmless() {
    let connection = WireConnection(configuration: WireConfiguration(role: .client))
    var chunk: [UInt8] = [0x81, 0x00]
    for start in [3, -1, Int.max, Int.min + 2] {
      var offset = start
      let event = chunk.withUnsafeMutableBytes { connection.receive($0, from: &offset) }
      guard case .needMoreBytes = event else {
        Issue.record("an event out of nothing")
        continue
      }
    }
    #expect(connection.events([0x81, 0x00]) == [.message(.text, [])])
    #expect(connection.events([]) == [])
  }
}

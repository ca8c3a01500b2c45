// SPDX-License-Identifier: Apache-2.0
import PulseWire

/// An event with its bytes copied, to compare.
enum SeenEvent: Equatable {
  case message(MessageKind, [UInt8])
  case ping([UInt8])
  case pong([UInt8])
  case close(UInt16, [UInt8])
  case failure(WireFailureKind)
}

/// A repeatable source of numbers (splitmix64).
struct Numbers: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    let words = (0..<(count + 7) / 8).map { _ in next() }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
  }

  /// UTF-8 of about `count` bytes with characters of all lengths.
  mutating func text(_ count: Int) -> [UInt8] {
    var text = String.UnicodeScalarView()
    var size = 0
    while size < count {
      let value: UInt32
      switch next() % 8 {
      case 0: value = .random(in: 0x80...0x7FF, using: &self)
      case 1: value = .random(in: 0x800...0xD7FF, using: &self)
      case 2: value = .random(in: 0xE000...0xFFFF, using: &self)
      case 3: value = .random(in: 0x10000...0x10FFFF, using: &self)
      default: value = .random(in: 0x20...0x7E, using: &self)
      }
      guard let scalar = Unicode.Scalar(value) else { continue }
      text.append(scalar)
      size += UTF8.width(scalar)
    }
    return Array(String(text).utf8)
  }
}

extension WireConnection {
  /// Feeds one chunk, in memory of exactly its size so that the address sanitizer sees a read beyond it, and gives
  /// all events up to and with the first failure.
  func events(_ chunk: [UInt8]) -> [SeenEvent] {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk.count, alignment: 1)
    defer { memory.deallocate() }
    memory.copyBytes(from: chunk)
    var seen: [SeenEvent] = []
    var offset = 0
    while true {
      let before = offset
      switch receive(memory, from: &offset) {
      case .needMoreBytes:
        precondition(offset == chunk.count, "bytes were left over")
        return seen
      case .message(let message): seen.append(.message(message.kind, Array(message.payload)))
      case .ping(let body): seen.append(.ping(Array(body)))
      case .pong(let body): seen.append(.pong(Array(body)))
      case .close(let code, let reason): seen.append(.close(code, Array(reason)))
      case .failure(let failure):
        seen.append(.failure(failure.kind))
        return seen
      }
      precondition(offset > before || chunk.isEmpty, "no progress")
    }
  }

  /// Feeds chunks until one gives a failure.
  func events(chunks: [[UInt8]]) -> [SeenEvent] {
    var seen: [SeenEvent] = []
    for chunk in chunks {
      seen += events(chunk)
      if case .failure = seen.last { break }
    }
    return seen
  }

  func encoded(_ kind: MessageKind, _ payload: [UInt8], maskKey: UInt32 = 0x0102_F3F4) -> [UInt8] {
    var queue = ByteQueue()
    payload.withUnsafeBytes { _ = encode(kind, $0, maskKey: maskKey, into: &queue) }
    return Array(queue.readable)
  }
}

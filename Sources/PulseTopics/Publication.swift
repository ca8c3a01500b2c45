// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseFlow
import PulseText
import PulseWire

/// Why a message is not published.
package enum PublishProblem: UInt8, Error, Sendable {
  case notUTF8, notJSON, keyTooLong

  /// One sentence for the publisher.
  package var sentence: Literal {
    switch self {
    case .notUTF8: "the payload is not UTF-8"
    case .notJSON: "the payload is not one JSON value (a topic for other bytes is declared with binary = true)"
    case .keyTooLong: "the key is longer than 256 bytes"
    }
  }
}

/// When a message was made, taken and published, in ns since 1970; 0 for not known.
package struct Stamps: Equatable, Sendable {
  package var exchange: Int64
  package var received: Int64
  package var published: Int64

  package init(exchange: Int64 = 0, received: Int64 = 0, published: Int64 = 0) {
    self.exchange = exchange
    self.received = received
    self.published = published
  }
}

/// A message of a topic. It is made without a lock; `Topic.append` then gives it its place, before any other thread
/// knows of it.
package final class Publication: @unchecked Sendable {  // nothing changes after `Topic.append`
  /// The payload, then the key.
  private let memory: UnsafeMutableRawPointer
  private let size: Int
  private let keySize: Int32
  private let typeStart: UInt32
  private let typeSize: UInt32
  package let stamps: Stamps
  package let isBinary: Bool

  /// Set by `Topic.append`. The key's number is -1 without a key.
  package internal(set) var offset: UInt64 = 0
  package internal(set) var ordinal: UInt64 = 0
  package internal(set) var keyID: Int32 = -1
  /// On the owner's monotonic clock.
  var appendedAt: Int64 = 0

  /// The frames of the plain form, which are the same whatever the peer has got before.
  let frames = FrameSlots()

  private init(
    _ payload: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer?, _ stamps: Stamps, isBinary: Bool,
    type: UnsafeRawBufferPointer?
  ) {
    size = payload.count
    keySize = Int32(truncatingIfNeeded: key?.count ?? -1)
    let total = payload.count &+ (key?.count ?? 0)
    guard let memory = pulse_memory_resize(nil, total < 1 ? 1 : total) else { pulse_out_of_memory() }
    self.memory = memory
    pulse_memory_copy(memory, payload.baseAddress, payload.count)
    if let key { pulse_memory_copy(memory + payload.count, key.baseAddress, key.count) }
    var start = 0
    if let type, let at = type.baseAddress, let base = payload.baseAddress { start = at - base }
    typeStart = UInt32(truncatingIfNeeded: start)
    typeSize = UInt32(truncatingIfNeeded: type?.count ?? 0)
    self.stamps = stamps
    self.isBinary = isBinary
  }

  deinit { pulse_memory_free(memory) }

  /// These are valid as long as the publication.
  package var payload: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: size) }

  /// Payload and key.
  package var footprint: Int { size &+ max(0, Int(keySize)) }

  /// nil without a key.
  package var key: UnsafeRawBufferPointer? {
    keySize < 0 ? nil : UnsafeRawBufferPointer(start: memory + size, count: Int(keySize))
  }

  /// The string that the JSON object has as "type", between its quotation marks as it stands there; empty if there is none.
  package var type: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory + Int(typeStart), count: Int(typeSize))
  }
}

// MARK: Making one

extension Publication {
  /// A payload for the topic, with its key if it has one; an empty key is none.
  package static func make(
    _ topic: TopicInfo, _ payload: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer? = nil, _ stamps: Stamps
  ) -> Result<Publication, PublishProblem> {
    var type: UnsafeRawBufferPointer?
    if !topic.isBinary {
      if !isValidUTF8(payload) { return .failure(.notUTF8) }
      if !check(payload, &type) { return .failure(.notJSON) }
    }
    var key = key
    if key?.count == 0 { key = nil }
    if let key, key.count > KeyTable.maxKeySize { return .failure(.keyTooLong) }
    var field: [UInt8] = []
    if key == nil, !topic.isBinary, let path = topic.settings.conflate { read(path, payload, &field) }
    if field.count > KeyTable.maxKeySize { return .failure(.keyTooLong) }
    if field.isEmpty { return .success(Publication(payload, key, stamps, isBinary: topic.isBinary, type: type)) }
    return .success(field.withUnsafeBytes { Publication(payload, $0, stamps, isBinary: false, type: type) })
  }

  private static let maxType = 64

  /// Whether it is one JSON value; of an object also the member "type", if that is a text.
  private static func check(_ payload: UnsafeRawBufferPointer, _ type: inout UnsafeRawBufferPointer?) -> Bool {
    var scanner = JSONScanner(payload)
    if scanner.next() != UInt8(ascii: "{") { return scanner.skipValue() && scanner.isAtEnd() }
    if !scanner.enter() { return false }
    var name = JSONString.empty
    var isFirst = true
    while true {
      switch scanner.nextMember(&name) {
      case .invalid: return false
      case .end: return scanner.isAtEnd()
      case .item: break
      }
      if isFirst, name.equals("type") {
        isFirst = false
        if scanner.next() == UInt8(ascii: "\"") {
          guard let text = scanner.readString() else { return false }
          if text.raw.count <= maxType { type = text.raw }
          continue
        }
      }
      if !scanner.skipValue() { return false }
    }
  }

  /// What the path finds: a text without its quotation marks and escapes, a number or boolean as it stands there.
  @inline(never)
  private static func read(_ path: JSONPath, _ payload: UnsafeRawBufferPointer, _ key: inout [UInt8]) {
    guard let value = path.value(in: payload), let first = value.first else { return }
    if first == UInt8(ascii: "\"") {
      let text = value.unquoted
      // No escape is longer than six bytes.
      if text.count <= 6 &* KeyTable.maxKeySize {
        JSONString(raw: text, hasEscapes: true).append(to: &key)
      } else {
        JSONText.append(text, to: &key)
      }
    } else if first != UInt8(ascii: "{"), first != UInt8(ascii: "["), first != UInt8(ascii: "n") {
      JSONText.append(value, to: &key)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
import PulseWire

/// Names of topics: `price.SOL`, `price.*` (any one segment between dots), `price.**` (one or more segments, as the last
/// one only).
package struct TopicPattern: Equatable, Sendable {
  package let text: [UInt8]

  /// nil if it is no pattern: a `*` stands for whole segments only.
  package init?(_ text: [UInt8]) {
    self.text = text
    if !text.withUnsafeBytes({ TopicName.isValid($0) }) { return nil }
    var start = 0
    while true {
      let end = TopicPattern.segmentEnd(text, start)
      var stars = 0
      for index in start..<end where text[index] == UInt8(ascii: "*") { stars &+= 1 }
      if stars > 0, stars != end &- start || stars > 2 || (stars == 2 && end < text.count) { return nil }
      if end == text.count { return }
      start = end &+ 1
    }
  }

  /// There is no `*` in it.
  package var isName: Bool {
    for byte in text where byte == UInt8(ascii: "*") { return false }
    return true
  }

  @inline(never) package func matches(_ name: [UInt8]) -> Bool {
    var at = 0
    var place = 0
    while true {
      let end = TopicPattern.segmentEnd(text, at)
      let nameEnd = TopicPattern.segmentEnd(name, place)
      switch rank(at, end) {
      case 0: return place < name.count
      case 1: if nameEnd == place { return false }
      default: if !HTTPText.same(text[at..<end], name[place..<nameEnd]) { return false }
      }
      if end == text.count || nameEnd == name.count { return end == text.count && nameEnd == name.count }
      at = end &+ 1
      place = nameEnd &+ 1
    }
  }

  /// Whether it says more than `other`, for a name that both match: a word says more than `*`, `*` more than `**`, and the
  /// first difference decides.
  package func isMoreSpecific(than other: TopicPattern) -> Bool {
    var at = 0
    var otherAt = 0
    while true {
      let end = TopicPattern.segmentEnd(text, at)
      let otherEnd = TopicPattern.segmentEnd(other.text, otherAt)
      let rank = rank(at, end)
      let otherRank = other.rank(otherAt, otherEnd)
      if rank != otherRank { return rank > otherRank }
      if end == text.count || otherEnd == other.text.count { return false }
      at = end &+ 1
      otherAt = otherEnd &+ 1
    }
  }

  /// 0 for `**`, 1 for `*`, 2 for a word.
  @inline(never) private func rank(_ start: Int, _ end: Int) -> Int {
    if start >= end || text[start] != UInt8(ascii: "*") { return 2 }
    return end &- start == 2 ? 0 : 1
  }

  @inline(never) private static func segmentEnd(_ text: [UInt8], _ start: Int) -> Int {
    var end = start
    while end < text.count, text[end] != UInt8(ascii: ".") { end &+= 1 }
    return end
  }
}

/// Names of topics.
package enum TopicName {
  package static let maxSize = 256

  /// Whether it may be the name of a topic: 1 to 256 bytes of UTF-8 without control characters.
  @inline(never) package static func isValid(_ name: UnsafeRawBufferPointer) -> Bool {
    if name.isEmpty || name.count > maxSize || !isValidUTF8(name) { return false }
    var before: UInt8 = 0
    for byte in name {
      // U+0080 to U+009F are C2 80 to C2 9F.
      if byte < 0x20 || byte == 0x7F || (before == 0xC2 && byte < 0xA0) { return false }
      before = byte
    }
    return true
  }
}

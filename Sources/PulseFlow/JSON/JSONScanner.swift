// SPDX-License-Identifier: Apache-2.0

/// Reads JSON text (RFC 8259) in place: no allocation, no recursion, nesting up to `maxDepth`. What it passes it has
/// checked, except for UTF-8, which the layer below checks in text messages. A lone surrogate as \uD800 is accepted, as
/// other parsers do.
///
/// To visit the items of an object or array: `enter`, then `nextMember` or `nextElement` until it says `end`; behind
/// each `item` the value has to be read or skipped. Once something is not valid, the scanner has no further use.
package struct JSONScanner {
  package static let maxDepth = 64

  package enum Step: UInt8 {
    /// The scanner is before a value.
    case item
    /// The scanner is behind the object or array.
    case end
    case invalid
  }

  private let bytes: UnsafeRawBufferPointer
  package private(set) var position = 0
  private var depth = 0
  /// Behind the bracket that opens: an item comes without a comma.
  private var isFresh = false

  package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Skips white space. The byte that is next tells what kind of value there is; 0 at the end.
  @inline(never) package mutating func next() -> UInt8 {
    position = skipSpace(position)
    return byte(position)
  }

  /// Nothing but white space is left.
  package mutating func isAtEnd() -> Bool {
    _ = next()
    return position >= bytes.count
  }

  /// Goes back to the begin of the value that was read last.
  @inline(__always) mutating func reread(_ start: Int) { position = start }

  package func slice(from start: Int) -> UnsafeRawBufferPointer {
    let isInside = start >= 0 && start <= position && position <= bytes.count
    return UnsafeRawBufferPointer(rebasing: isInside ? bytes[start..<position] : bytes[0..<0])
  }

  // MARK: Items

  /// Goes into the object or array that `next` found there; false if it is nested too deep.
  @inline(never) package mutating func enter() -> Bool {
    if depth >= JSONScanner.maxDepth { return false }
    depth &+= 1
    position &+= 1
    isFresh = true
    return true
  }

  @inline(never) package mutating func nextMember(_ name: inout JSONString) -> Step {
    var at = skipSpace(position)
    if byte(at) == UInt8(ascii: "}") { return leave(at) }
    if !isFresh {
      if byte(at) != UInt8(ascii: ",") { return refuse(at) }
      at = skipSpace(at &+ 1)
    }
    isFresh = false
    if byte(at) != UInt8(ascii: "\"") { return refuse(at) }
    let start = at &+ 1
    var hasEscapes = false
    let end = end(ofStringFrom: start, &hasEscapes)
    if end < 0 { return refuse(-1 &- end) }
    at = skipSpace(end)
    if byte(at) != UInt8(ascii: ":") { return refuse(at) }
    position = at &+ 1
    name = JSONString(raw: UnsafeRawBufferPointer(rebasing: bytes[start..<(end &- 1)]), hasEscapes: hasEscapes)
    return .item
  }

  @inline(never) package mutating func nextElement() -> Step {
    let at = skipSpace(position)
    if byte(at) == UInt8(ascii: "]") { return leave(at) }
    if !isFresh, byte(at) != UInt8(ascii: ",") { return refuse(at) }
    position = isFresh ? at : at &+ 1
    isFresh = false
    return .item
  }

  @inline(__always) private mutating func leave(_ at: Int) -> Step {
    depth &-= 1
    isFresh = false
    position = at &+ 1
    return .end
  }

  @inline(__always) private mutating func refuse(_ at: Int) -> Step {
    position = at
    return .invalid
  }

  // MARK: Values

  /// The string that `next` found there.
  @inline(never) package mutating func readString() -> JSONString? {
    let start = position &+ 1
    var hasEscapes = false
    let end = end(ofStringFrom: start, &hasEscapes)
    position = end < 0 ? -1 &- end : end
    if end < 0 { return nil }
    return JSONString(raw: UnsafeRawBufferPointer(rebasing: bytes[start..<(end &- 1)]), hasEscapes: hasEscapes)
  }

  /// The value that is next, as it stands in the text.
  @inline(never) package mutating func readValue() -> UnsafeRawBufferPointer? {
    _ = next()
    let start = position
    return skipValue() ? slice(from: start) : nil
  }

  /// Skips a value with all that is inside; false if it is not valid or nested too deep.
  @inline(never) package mutating func skipValue() -> Bool {
    let end = end(ofValueAt: position)
    position = end < 0 ? -1 &- end : end
    return end >= 0
  }

  /// Here and below: where what begins at `start` ends, or how far the text is valid, as -1 - position. Positions go
  /// through the processor's registers: this is what each byte of a feed passes through.
  private func end(ofValueAt start: Int) -> Int {
    let room = JSONScanner.maxDepth &- depth
    var at = start
    var open = 0
    // A bit for each open bracket, the innermost lowest: 1 for an object.
    var objects: UInt64 = 0
    while true {
      at = skipSpace(at)
      let byte = byte(at)
      switch byte {
      case UInt8(ascii: "\""):
        at = end(ofStringAt: at)
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        if open >= room { return -1 &- at }
        let isObject = byte == UInt8(ascii: "{")
        at = skipSpace(at &+ 1)
        // Both closing brackets are two above the opening ones.
        if self.byte(at) != byte &+ 2 {
          open &+= 1
          objects = objects << 1 | (isObject ? 1 : 0)
          if isObject {
            at = end(ofNameAt: at)
            if at < 0 { return at }
          }
          continue
        }
        at &+= 1
      case UInt8(ascii: "t"):
        at = end(ofWordAt: at, 0x6575_7274, 4)
      case UInt8(ascii: "f"):
        at = end(ofWordAt: at, 0x65_736C_6166, 5)
      case UInt8(ascii: "n"):
        at = end(ofWordAt: at, 0x6C6C_756E, 4)
      default:
        at = end(ofNumberAt: at)
      }
      if at < 0 { return at }
      // Behind a value: close what ends here, then there is another item, unless that was all.
      while true {
        if open == 0 { return at }
        at = skipSpace(at)
        let byte = self.byte(at)
        if byte == UInt8(ascii: ",") {
          at &+= 1
          if objects & 1 != 0 {
            at = end(ofNameAt: skipSpace(at))
            if at < 0 { return at }
          }
          break
        }
        if byte != (objects & 1 != 0 ? UInt8(ascii: "}") : UInt8(ascii: "]")) { return -1 &- at }
        at &+= 1
        open &-= 1
        objects >>= 1
      }
    }
  }

  @inline(__always) private func byte(_ at: Int) -> UInt8 { at < bytes.count ? bytes[at] : 0 }

  @inline(__always) private func word(_ at: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
  }

  @inline(__always) private func skipSpace(_ start: Int) -> Int {
    var at = start
    while at < bytes.count, bytes[at] <= 0x20, isJSONSpace(bytes[at]) { at &+= 1 }
    return at
  }

  /// A member's name with the colon.
  private func end(ofNameAt start: Int) -> Int {
    if byte(start) != UInt8(ascii: "\"") { return -1 &- start }
    var at = end(ofStringAt: start)
    if at < 0 { return at }
    at = skipSpace(at)
    return byte(at) == UInt8(ascii: ":") ? at &+ 1 : -1 &- at
  }

  @inline(__always) private func end(ofStringAt start: Int) -> Int {
    // Most strings are shorter than a word.
    let at = start &+ 1
    if at &+ 8 <= bytes.count {
      let stops = stopBits(word(at))
      let stop = at &+ (stops.trailingZeroBitCount >> 3)
      if stops != 0, bytes[stop] == UInt8(ascii: "\"") { return stop &+ 1 }
    }
    var hasEscapes = false
    return end(ofStringFrom: at, &hasEscapes)
  }

  /// `start` is behind the quotation mark.
  @inline(never) private func end(ofStringFrom start: Int, _ hasEscapes: inout Bool) -> Int {
    var at = start
    while true {
      while at &+ 8 <= bytes.count {
        let stops = stopBits(word(at))
        if stops != 0 {
          at &+= stops.trailingZeroBitCount >> 3
          break
        }
        at &+= 8
      }
      let byte = byte(at)
      if byte == UInt8(ascii: "\"") { return at &+ 1 }
      if byte < 0x20 { return -1 &- at }
      if byte == UInt8(ascii: "\\") {
        let size = escapeSize(at)
        if size == 0 { return -1 &- at }
        at &+= size
        hasEscapes = true
      } else {
        at &+= 1
      }
    }
  }

  /// The size of the escape sequence at `at`; 0 if it is none.
  @inline(never) private func escapeSize(_ at: Int) -> Int {
    switch byte(at &+ 1) {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return 2
    case UInt8(ascii: "u"):
      return hexUnit(bytes, at &+ 2) == nil ? 0 : 6
    default:
      return 0
    }
  }

  /// `letters` are the word's bytes, the first lowest.
  @inline(never) private func end(ofWordAt start: Int, _ letters: UInt64, _ count: Int) -> Int {
    for index in 0..<count
    where byte(start &+ index) != UInt8(truncatingIfNeeded: letters >> UInt64(index &* 8)) { return -1 &- start }
    return start &+ count
  }

  private func end(ofNumberAt start: Int) -> Int {
    let first = byte(start) == UInt8(ascii: "-") ? start &+ 1 : start
    var at = skipDigits(first)
    // No number begins with 0, except for 0 itself.
    if at == first || (bytes[first] == UInt8(ascii: "0") && at > first &+ 1) { return -1 &- first }
    if byte(at) == UInt8(ascii: ".") {
      let digits = at &+ 1
      at = skipDigits(digits)
      if at == digits { return -1 &- at }
    }
    if byte(at) | 0x20 == UInt8(ascii: "e") {
      let sign = byte(at &+ 1)
      let digits = sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") ? at &+ 2 : at &+ 1
      at = skipDigits(digits)
      if at == digits { return -1 &- at }
    }
    return at
  }

  private func skipDigits(_ start: Int) -> Int {
    var at = start
    while at &+ 8 <= bytes.count {
      let word = word(at)
      let ones: UInt64 = 0x0101_0101_0101_0101
      // Marks as in `stopBits`, for what is above 9 or below 0.
      let others = ((word &+ (ones &* 0x46)) | (word &- (ones &* 0x30))) & (ones &* 0x80)
      if others != 0 { return at &+ (others.trailingZeroBitCount >> 3) }
      at &+= 8
    }
    while at < bytes.count, bytes[at] &- UInt8(ascii: "0") < 10 { at &+= 1 }
    return at
  }
}

@inline(__always) private func isJSONSpace(_ byte: UInt8) -> Bool {
  byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
}

/// Marks a control character, quotation mark or backslash in the top bit of its byte. Above the lowest mark there may
/// be wrong ones, by the borrow of a subtraction; the lowest is right.
@inline(__always) private func stopBits(_ word: UInt64) -> UInt64 {
  let ones: UInt64 = 0x0101_0101_0101_0101
  let quotes = word ^ (ones &* 0x22)
  let backslashes = word ^ (ones &* 0x5C)
  let control = (word &- (ones &* 0x20)) & ~word
  return (control | ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes)) & (ones &* 0x80)
}

/// The four hexadecimal digits at `at`; nil if they are not there.
func hexUnit(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32? {
  if at < 0 || bytes.count &- at < 4 { return nil }
  var unit: UInt32 = 0
  for index in at..<(at &+ 4) {
    let byte = bytes[index]
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    if byte &- UInt8(ascii: "0") < 10 {
      unit = unit << 4 | UInt32(byte &- UInt8(ascii: "0"))
    } else if letter < 6 {
      unit = unit << 4 | UInt32(letter &+ 10)
    } else {
      return nil
    }
  }
  return unit
}

// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Turns the path of a target into the one that routes and files go by. It is decoded once. Whatever two readers may
/// take for different paths is refused, not repaired.
enum RequestPath {
  /// `raw` begins with "/" and has no query.
  @inline(never) static func read(_ raw: ArraySlice<UInt8>) -> Result<[UInt8], Refusal> {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(raw.count)
    var isASCII = true
    var at = raw.startIndex
    while at < raw.endIndex {
      var byte = raw[at]
      var length = 1
      if byte == UInt8(ascii: "%") {
        guard let value = escaped(raw, at) else {
          return refuse(raw, "has a percent sign that no two hex digits follow")
        }
        if value == UInt8(ascii: "/") { return refuse(raw, "has an encoded slash (%2F)") }
        byte = value
        length = 3
      }
      if byte == UInt8(ascii: "\\") { return refuse(raw, "has a backslash") }
      if byte == 0 { return refuse(raw, "has a NUL") }
      if byte < 0x20 || byte == 0x7F { return refuse(raw, "has the control character \(byte: byte)") }
      // U+0080 to U+009F are control characters, too.
      if byte < 0xA0, decoded.last == 0xC2 { return refuse(raw, "has a control character beyond ASCII") }
      if byte >= 0x80 { isASCII = false }
      decoded.add(byte)
      at += length
    }
    // Refuses overlong forms, too.
    if !isASCII, !decoded.withUnsafeBytes({ isValidUTF8($0) }) { return refuse(raw, "is not UTF-8 when it is decoded") }
    return withoutDots(decoded, raw)
  }

  /// RFC 3986 §5.2.4.
  private static func withoutDots(_ decoded: [UInt8], _ raw: ArraySlice<UInt8>) -> Result<[UInt8], Refusal> {
    var path: [UInt8] = []
    path.reserveCapacity(decoded.count)
    var at = 1
    while at <= decoded.count {
      var end = at
      while end < decoded.count, decoded[end] != UInt8(ascii: "/") { end += 1 }
      let segment = decoded[at..<end]
      let isLast = end == decoded.count
      at = end + 1
      if segment.isEmpty, !isLast { return refuse(raw, "has two slashes in a row") }
      if HTTPText.same(segment, Literal(".")) {
        if isLast { path.add(UInt8(ascii: "/")) }
      } else if HTTPText.same(segment, Literal("..")) {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return refuse(raw, "leads above the root (..)") }
        path.removeLast(path.count - slash)
        if isLast { path.add(UInt8(ascii: "/")) }
      } else {
        path.add(UInt8(ascii: "/"))
        path.append(contentsOf: segment)
      }
    }
    return .success(path)
  }

  /// The byte that "%41" at `at` stands for.
  @inline(never) static func escaped(_ text: ArraySlice<UInt8>, _ at: Int) -> UInt8? {
    guard text.endIndex - at >= 3, let high = HTTPText.hexValue(text[at + 1]), let low = HTTPText.hexValue(text[at + 2])
    else { return nil }
    return high << 4 | low
  }

  /// A path as it stands in a Location header.
  @inline(never) static func encoded(_ path: ArraySlice<UInt8>) -> [UInt8] {
    let hex: Literal = "0123456789ABCDEF"
    var out: [UInt8] = []
    for byte in path {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        out.add(byte)
      default:
        out.add(UInt8(ascii: "%"))
        out.add(hex.start[Int(byte >> 4)])
        out.add(hex.start[Int(byte & 15)])
      }
    }
    return out
  }

  private static func refuse(_ raw: ArraySlice<UInt8>, _ what: Sentence) -> Result<[UInt8], Refusal> {
    .failure(.badRequest("the path \(quoted: raw) \(what)"))
  }
}

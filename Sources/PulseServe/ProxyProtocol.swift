// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// The header that a load balancer puts before the first byte of a connection: PROXY protocol, versions 1 and 2.
package enum ProxyProtocol {
  package static let maxSize = 536
  /// Of version 1, with its line end.
  static let maxLine = 107

  package enum Progress {
    case needsMore
    /// The client behind the balancer; `size`: bytes of the header, what is behind them is the client's.
    case address(IPAddress, port: UInt16, size: Int)
    /// The balancer speaks for itself (a health check), or of a client without an address: the peer is the client.
    case local(size: Int)
    case failed(Literal)
  }

  /// `bytes`: from the begin of the connection, as far as they are there. Never needs more than `maxSize`.
  package static func parse(_ bytes: UnsafeRawBufferPointer) -> Progress {
    guard let first = bytes.first else { return .needsMore }
    return first == UInt8(ascii: "P") ? parse1(bytes) : parse2(bytes)
  }

  private static let noHeader: Literal = "the connection does not begin with a PROXY header"

  // MARK: Version 2

  private static func parse2(_ bytes: UnsafeRawBufferPointer) -> Progress {
    // CR LF CR LF NUL CR LF QUIT LF, as numbers.
    let mark: (UInt64, UInt64) = (0x0D0A_0D0A_000D_0A51, 0x5549_540A)
    for index in 0..<min(bytes.count, 12) {
      let expected = index < 8 ? mark.0 >> UInt64(56 &- 8 &* index) : mark.1 >> UInt64(88 &- 8 &* index)
      if bytes[index] != UInt8(truncatingIfNeeded: expected) { return .failed(noHeader) }
    }
    if bytes.count < 16 { return .needsMore }
    let command = bytes[12] & 15
    if bytes[12] >> 4 != 2 || command > 1 { return .failed("the PROXY header has an unknown version or command") }
    let length = Int(bytes[14]) << 8 | Int(bytes[15])
    let size = 16 &+ length
    if size > maxSize { return .failed("the PROXY header has more than 536 bytes") }
    let family = bytes[13]
    let needed: Int
    switch family {
    case 0x11: needed = 12
    case 0x21: needed = 36
    case 0x00, 0x31: needed = 0
    default:
      // Of a balancer's own connection it says nothing.
      if command == 1 { return .failed("the PROXY header is not for TCP") }
      needed = 0
    }
    if command == 1, length < needed { return .failed("the PROXY header is too short for its addresses") }
    if bytes.count < size { return .needsMore }
    if command == 0 || needed == 0 { return .local(size: size) }
    if family == 0x11 {
      let address = IPAddress(ipv4: UInt32(truncatingIfNeeded: number(bytes, 16, 4)))
      return .address(address, port: UInt16(truncatingIfNeeded: number(bytes, 24, 2)), size: size)
    }
    let address = IPAddress(high: number(bytes, 16, 8), low: number(bytes, 24, 8))
    return .address(address, port: UInt16(truncatingIfNeeded: number(bytes, 48, 2)), size: size)
  }

  @inline(never) private static func number(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ count: Int) -> UInt64 {
    var number: UInt64 = 0
    for index in at..<(at &+ count) where index < bytes.count { number = number << 8 | UInt64(bytes[index]) }
    return number
  }

  // MARK: Version 1

  private static func parse1(_ bytes: UnsafeRawBufferPointer) -> Progress {
    let begin: Literal = "PROXY "
    for index in 0..<min(bytes.count, 6) where bytes[index] != begin.start[index] { return .failed(noHeader) }
    var end = 0
    while end < bytes.count, bytes[end] != 0x0D {
      if bytes[end] < 0x20 || bytes[end] >= 0x7F { return .failed("the PROXY line has a character that can't be there") }
      end &+= 1
    }
    if end &+ 2 > maxLine { return .failed("the PROXY line has more than 107 bytes") }
    if end &+ 2 > bytes.count { return .needsMore }
    if bytes[end &+ 1] != 0x0A { return .failed("the PROXY line does not end with CR LF") }
    return line([UInt8](bytes[..<end]), size: end &+ 2)
  }

  /// "PROXY TCP4 client server port port"
  private static func line(_ line: [UInt8], size: Int) -> Progress {
    var words = Pieces(line[...], separator: UInt8(ascii: " "))
    _ = words.next()
    let family = words.next() ?? []
    if HTTPText.same(family, Literal("UNKNOWN")) { return .local(size: size) }
    // By its text: an IPv6 address may hold an IPv4 one.
    let isIPv6 = HTTPText.same(family, Literal("TCP6"))
    guard isIPv6 || HTTPText.same(family, Literal("TCP4")), let client = address(words.next(), isIPv6),
      address(words.next(), isIPv6) != nil, let from = port(words.next()), port(words.next()) != nil, words.next() == nil
    else { return .failed("the PROXY line has no two addresses and ports of its family") }
    return .address(client, port: from, size: size)
  }

  @inline(never) private static func address(_ word: ArraySlice<UInt8>?, _ isIPv6: Bool) -> IPAddress? {
    guard let word, word.contains(UInt8(ascii: ":")) == isIPv6 else { return nil }
    return IPAddress.parse(word)
  }

  @inline(never) private static func port(_ text: ArraySlice<UInt8>?) -> UInt16? {
    guard let text, text.count == 1 || text.first != UInt8(ascii: "0") else { return nil }
    return HTTPText.decimal(text, limit: 65_535).map { UInt16(truncatingIfNeeded: $0) }
  }
}

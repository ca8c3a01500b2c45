// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Who is behind a proxy.
package enum ForwardedFor {
  package static let maxHops = 32

  package enum Client {
    /// The peer itself: it is no proxy, or says nothing.
    case peer
    case client(IPAddress)
    case refused(Refusal)
  }

  /// X-Forwarded-For, read from the right: each hop was written by the one behind it, so that the first one that is not
  /// trusted is the client, and what is left of it may be a lie. If all are trusted, it is the leftmost.
  package static func client(of head: HTTPHead, peer: IPAddress?, trusted: TrustedProxies) -> Client {
    if !trusted.trusts(peer) { return .peer }
    var leftmost: IPAddress?
    var hops = 0
    var index = head.fields.count
    while index > 0 {
      index &-= 1
      let field = head.fields[index]
      if !HTTPText.sameIgnoringCase(head.bytes[field.name], "x-forwarded-for") { continue }
      var rest: ArraySlice<UInt8>? = head.bytes[field.value]
      while let list = rest {
        let comma = list.lastIndex(of: UInt8(ascii: ","))
        let hop = comma.map { list[($0 &+ 1)...] } ?? list
        rest = comma.map { list[..<$0] }
        hops &+= 1
        if hops > maxHops { return .refused(.badRequest("the X-Forwarded-For header has more than \(maxHops) addresses")) }
        guard let address = address(HTTPText.trimmed(hop)) else {
          return .refused(.badRequest("the X-Forwarded-For header has an entry that is no address"))
        }
        if !trusted.trusts(address) { return .client(address) }
        leftmost = address
      }
    }
    return leftmost.map { .client($0) } ?? .peer
  }

  /// An address as proxies write it: also with a port, IPv6 then in brackets.
  @inline(never) private static func address(_ hop: ArraySlice<UInt8>) -> IPAddress? {
    let colon = UInt8(ascii: ":")
    if hop.first == UInt8(ascii: "[") {
      guard let end = hop.firstIndex(of: UInt8(ascii: "]")) else { return nil }
      let host = hop[(hop.startIndex &+ 1)..<end]
      let behind = hop[(end &+ 1)...]
      guard host.contains(colon), behind.isEmpty || behind.first == colon && isPort(behind.dropFirst()) else { return nil }
      return IPAddress.parse(host)
    }
    if let first = hop.firstIndex(of: colon), hop.lastIndex(of: colon) == first {
      return isPort(hop[(first &+ 1)...]) ? IPAddress.parse(hop[..<first]) : nil
    }
    return IPAddress.parse(hop)
  }

  private static func isPort(_ text: ArraySlice<UInt8>) -> Bool { HTTPText.decimal(text, limit: 65_535) != nil }
}

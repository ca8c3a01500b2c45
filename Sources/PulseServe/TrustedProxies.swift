// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// The proxies whose word on their client counts.
package struct TrustedProxies: Sendable {
  private struct Block {
    let address: IPAddress
    /// Of 128 bits.
    let prefix: Int

    func holds(_ other: IPAddress) -> Bool {
      let high = Block.mask(prefix)
      let low = Block.mask(prefix &- 64)
      return address.isIPv4 == other.isIPv4 && (address.high ^ other.high) & high == 0 && (address.low ^ other.low) & low == 0
    }

    /// No address inside has another begin.
    var isWhole: Bool {
      address.high & ~Block.mask(prefix) == 0 && address.low & ~Block.mask(prefix &- 64) == 0
    }

    private static func mask(_ bits: Int) -> UInt64 {
      bits <= 0 ? 0 : bits >= 64 ? UInt64.max : UInt64.max << UInt64(64 &- bits)
    }
  }

  private var blocks: [Block] = []
  private var trustsUnix = false

  package init() {}

  package var isEmpty: Bool { blocks.isEmpty && !trustsUnix }

  /// "10.0.0.0/8", "2001:db8::/32", an address alone, or "unix" for all Unix sockets. Why not, or nil.
  package mutating func add(_ text: [UInt8]) -> String? {
    if HTTPText.same(text[...], Literal("unix")) {
      trustsUnix = true
      return nil
    }
    let slash = text.firstIndex(of: UInt8(ascii: "/"))
    let name = text[..<(slash ?? text.endIndex)]
    guard let address = IPAddress.parse(name) else {
      return sentence("the trusted proxy \(quoted: text[...]) is no address like 10.0.0.1, 10.0.0.0/8, 2001:db8::/32, or unix")
    }
    let isIPv4 = !name.contains(UInt8(ascii: ":"))
    let size = isIPv4 ? 32 : 128
    var prefix = 128
    if let slash {
      guard let bits = HTTPText.decimal(text[(slash &+ 1)...], limit: size), isIPv4 || !address.isIPv4 || bits >= 96 else {
        return sentence("the prefix of the trusted proxy \(quoted: text[...]) is no number up to \(size)")
      }
      prefix = 128 &- size &+ bits
    }
    let block = Block(address: address, prefix: prefix)
    if !block.isWhole { return sentence("the trusted proxy \(quoted: text[...]) has bits behind its prefix") }
    blocks.append(block)
    return nil
  }

  /// nil: a Unix socket.
  package func trusts(_ peer: IPAddress?) -> Bool {
    guard let peer else { return trustsUnix }
    for block in blocks where block.holds(peer) { return true }
    return false
  }
}

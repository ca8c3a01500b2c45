// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Addresses and blocks of addresses that may call a webhook.
struct AddressList: Equatable, Sendable {
  /// Lists that the daemon knows by name.
  static let named = [
    // From TradingView's page on webhooks.
    "tradingview": ["52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7"]
  ]

  private struct Block: Equatable {
    let bytes: [UInt8]
    let bits: Int

    func contains(_ other: [UInt8]) -> Bool {
      guard other.count == bytes.count else { return false }
      let whole = bits / 8
      guard bytes.prefix(whole) == other.prefix(whole) else { return false }
      let rest = bits % 8
      if rest == 0 { return true }
      let mask = UInt8(truncatingIfNeeded: 0xFF << (8 - rest))
      return bytes[whole] & mask == other[whole] & mask
    }
  }

  private var blocks: [Block] = []
  /// Whether connections of a Unix socket may.
  private var hasUnix = false

  var isEmpty: Bool { blocks.isEmpty && !hasUnix }

  /// Adds an address, a block such as "10.0.0.0/8", the name of a list, or "unix". False if it is none of these.
  mutating func add(_ text: String) -> Bool {
    if text == "unix" {
      hasUnix = true
      return true
    }
    if let list = AddressList.named[text] { return list.allSatisfy { add($0) } }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let bytes = AddressList.bytes(String(parts[0])) else { return false }
    var bits = bytes.count * 8
    if parts.count == 2 {
      guard parts[1].utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let given = Int(parts[1]), given <= bits else { return false }
      bits = given
    }
    blocks.append(Block(bytes: bytes, bits: bits))
    return true
  }

  func contains(_ address: String) -> Bool {
    if address == "unix" { return hasUnix }
    guard let bytes = AddressList.bytes(address) else { return false }
    return blocks.contains { $0.contains(bytes) }
  }

  /// 4 or 16 bytes; an IPv4 address that is written as one of IPv6 is the IPv4 address.
  private static func bytes(_ text: String) -> [UInt8]? {
    var four = [UInt8](repeating: 0, count: 4)
    if inet_pton(AF_INET, text, &four) == 1 { return four }
    var sixteen = [UInt8](repeating: 0, count: 16)
    guard inet_pton(AF_INET6, text, &sixteen) == 1 else { return nil }
    let mapped = sixteen.prefix(10).allSatisfy { $0 == 0 } && sixteen[10] == 0xFF && sixteen[11] == 0xFF
    return mapped ? Array(sixteen.suffix(4)) : sixteen
  }
}

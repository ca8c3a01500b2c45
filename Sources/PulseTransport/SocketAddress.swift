// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// An IPv4 or IPv6 address with a port.
package struct SocketAddress: Equatable, Sendable, CustomStringConvertible {
  package let storage: psys_address

  package init(_ storage: psys_address) { self.storage = storage }

  package var isIPv6: Bool { storage.family == 6 }
  package var port: UInt16 { storage.port }

  package func with(port: UInt16) -> SocketAddress {
    var copy = storage
    copy.port = port
    return SocketAddress(copy)
  }

  /// The address alone: "127.0.0.1", "::1".
  package var host: String {
    var address = storage
    var bytes = [CChar](repeating: 0, count: 80)
    bytes.withUnsafeMutableBufferPointer { buffer in
      if let start = buffer.baseAddress { psys_address_text(&address, start, buffer.count) }
    }
    return text(of: bytes)
  }

  /// "127.0.0.1:443", "[::1]:443".
  package var description: String { sentence(isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)") }

  @inline(never) package static func == (a: SocketAddress, b: SocketAddress) -> Bool {
    a.storage.family == b.storage.family && a.storage.port == b.storage.port && a.storage.scope == b.storage.scope
      && a.storage.high == b.storage.high && a.storage.low == b.storage.low
  }

  package static func loopback(port: UInt16) -> SocketAddress {
    SocketAddress(psys_address(high: 0, low: UInt64(littleEndian: 0x0100_007f), scope: 0, port: port, family: 4))
  }

  package static func loopback6(port: UInt16) -> SocketAddress {
    SocketAddress(psys_address(high: 0, low: UInt64(bigEndian: 1), scope: 0, port: port, family: 6))
  }
}

extension [SocketAddress] {
  /// One body for all who make such lists.
  @inline(never) package mutating func add(_ address: SocketAddress) { append(address) }
}

package enum AddressResolver {
  /// The address if `host` is a literal: IPv4 with four parts, or IPv6 without brackets. Never waits.
  package static func literal(_ host: String, port: UInt16) -> SocketAddress? {
    var address = psys_address()
    return psys_address_parse(host.cString, port, &address) != 0 ? SocketAddress(address) : nil
  }

  /// All addresses in the order of RFC 6724. Blocks as long as the system's resolver does: not for a loop's thread.
  package static func resolve(host: String, port: UInt16) -> Result<[SocketAddress], TransportError> {
    if let address = literal(host, port: port) { return .success([address]) }
    let isLocal = isLocalhost(host)
    var problem: Int32 = 0
    var errno: Int32 = 0
    var found = query(host, port, configuredOnly: !isLocal, &problem, &errno)
    if found.isEmpty, !isLocal, psys_resolve_is_no_name(problem) != 0 {
      // On a machine with no network at all "configured only" hides names of /etc/hosts too.
      found = query(host, port, configuredOnly: false, &problem, &errno)
    }
    // RFC 6761 §6.3: localhost is the loopback address, whatever the name service knows.
    if found.isEmpty, isLocal { found = [.loopback6(port: port), .loopback(port: port)] }
    if !found.isEmpty { return .success(found) }
    let cause = errno != 0 ? systemText(errno) : lowercasingFirst(String(cText: psys_resolve_text(problem)))
    return .failure(TransportError(.resolve, errno: errno, "can't resolve the host name \(host): \(cause)"))
  }

  private static func isLocalhost(_ host: String) -> Bool {
    var name = host.bytes
    for index in name.indices where name[index] >= 65 && name[index] <= 90 { name[index] |= 0x20 }
    if name.last == 46 { name.removeLast() }
    let local = "localhost".bytes
    guard name.count >= local.count, Array(name.suffix(local.count)) == local else { return false }
    return name.count == local.count || name[name.count - local.count - 1] == 46
  }

  @inline(never)
  private static func query(
    _ host: String, _ port: UInt16, configuredOnly: Bool, _ problem: inout Int32, _ errno: inout Int32
  ) -> [SocketAddress] {
    var raw = [psys_address](repeating: psys_address(), count: 32)
    var count: Int32 = 0
    let name = host.cString
    raw.withUnsafeMutableBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return }
      count = psys_resolve(name, port, configuredOnly ? 1 : 0, start, Int32(buffer.count), &problem, &errno)
    }
    var list: [SocketAddress] = []
    for index in 0..<min(max(Int(count), 0), raw.count) {
      let address = SocketAddress(raw[index])
      if !list.contains(address) { list.add(address) }
    }
    return list
  }
}

// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseServe
import PulseTransport

extension IPAddress {
  init(_ address: SocketAddress) {
    let storage = address.storage
    if storage.family == 6 {
      self.init(high: UInt64(bigEndian: storage.high), low: UInt64(bigEndian: storage.low))
    } else {
      // The first four bytes of `low`.
      let bytes = withUnsafeBytes(of: storage.low) { $0.loadUnaligned(as: UInt32.self) }
      self.init(ipv4: UInt32(bigEndian: bytes))
    }
  }

  func socketAddress(port: UInt16) -> SocketAddress {
    if !isIPv4 {
      return SocketAddress(psys_address(high: high.bigEndian, low: low.bigEndian, scope: 0, port: port, family: 6))
    }
    var first: UInt64 = 0
    withUnsafeMutableBytes(of: &first) {
      $0.storeBytes(of: UInt32(truncatingIfNeeded: low).bigEndian, as: UInt32.self)
    }
    return SocketAddress(psys_address(high: 0, low: first, scope: 0, port: port, family: 4))
  }
}

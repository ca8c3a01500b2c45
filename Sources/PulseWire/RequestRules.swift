// SPDX-License-Identifier: Apache-2.0
import PulseText

/// What holds for every request, whether it asks for an upgrade or not.
package enum RequestRules {
  /// RFC 9112 §3.2.1 and §3.2.2: a path with a query, also behind scheme and host. A fragment is never sent.
  package static func originForm(_ target: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    if target.contains(UInt8(ascii: "#")) { return nil }
    if target.first == UInt8(ascii: "/") { return target }
    let rest: ArraySlice<UInt8>
    if HTTPText.startsIgnoringCase(target, "http://") {
      rest = target.dropFirst(7)
    } else if HTTPText.startsIgnoringCase(target, "https://") {
      rest = target.dropFirst(8)
    } else {
      return nil
    }
    guard let path = rest.firstIndex(of: UInt8(ascii: "/")), path > rest.startIndex else { return nil }
    return rest[path...]
  }

  /// The characters of RFC 3986 §3.2.2 and §3.2.3; no user, no path.
  package static func isHost(_ host: ArraySlice<UInt8>) -> Bool {
    if host.isEmpty { return false }
    for byte in host {
      switch byte {
      case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "("), UInt8(ascii: ")"),
        UInt8(ascii: ";"), UInt8(ascii: "="):
        continue
      case UInt8(ascii: "#"), UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"):
        return false
      default:
        if !HTTPText.isToken(byte) { return false }
      }
    }
    return true
  }
}

// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// Which proxy a connection takes: that of the option, or what the environment says.
package final class ProxyRules: Sendable {
  package enum Choice: Sendable {
    case direct
    case proxy(ProxyURL)
    /// A value that is no proxy: never taken for none. One sentence.
    case bad(String)
  }

  private let plain: Choice
  private let secure: Choice
  /// The value of no_proxy.
  private let exceptions: [UInt8]

  /// None for anybody.
  package convenience init() { self.init(plain: .direct, secure: .direct, exceptions: []) }

  /// `option`: the value of option proxy; nil or empty for the environment's.
  package convenience init(option: String?) {
    if let option, !option.hasNoBytes {
      let choice = Self.choice(option, "option proxy")
      self.init(plain: choice, secure: choice, exceptions: [])
    } else {
      self.init(
        plain: Self.variable(isSecure: false), secure: Self.variable(isSecure: true),
        exceptions: Self.value("no_proxy") ?? Self.value("NO_PROXY") ?? [])
    }
  }

  init(plain: Choice, secure: Choice, exceptions: [UInt8]) {
    self.plain = plain
    self.secure = secure
    self.exceptions = exceptions
  }

  /// `host` in lower case, an IPv6 address without brackets.
  package func choice(isSecure: Bool, host: String, port: UInt16) -> Choice {
    let choice = isSecure ? secure : plain
    if case .direct = choice { return choice }
    return NoProxy.matches(exceptions, host: host, port: port) ? .direct : choice
  }

  package var hasSecureProxy: Bool { Self.isSecure(plain) || Self.isSecure(secure) }

  /// What is wrong with the choice for the scheme, whatever the host; nil if nothing is.
  package func problem(isSecure: Bool) -> String? {
    if case .bad(let text) = isSecure ? secure : plain { text } else { nil }
  }

  private static func isSecure(_ choice: Choice) -> Bool {
    if case .proxy(let url) = choice { url.scheme == .https } else { false }
  }

  /// "" and "none" stand for no proxy.
  @inline(never)
  package static func choice(_ text: String, _ source: Literal) -> Choice {
    let bytes = text.bytes
    if bytes.isEmpty || ProxyText.sameIgnoringCase(bytes[...], "none") { return .direct }
    switch ProxyURL.parse(text) {
    case .success(let url): return .proxy(url)
    case .failure(let problem): return .bad(sentence("\(source) is not the URL of a proxy: \(problem.text)"))
    }
  }

  /// What the first of the variables says that is set. Upper case only where no web server hands a header of a request
  /// on under that name (CGI).
  private static func variable(isSecure: Bool) -> Choice {
    for index in 0..<5 {
      let name: Literal
      switch index {
      case 0: name = "https_proxy"
      case 1: name = "HTTPS_PROXY"
      case 2: name = "http_proxy"
      case 3: name = "all_proxy"
      default: name = "ALL_PROXY"
      }
      if index < 3, isSecure != (index < 2) { continue }
      if let value = value(name) { return choice(String(bytes: value), name) }
    }
    return .direct
  }

  @inline(never)
  private static func value(_ name: Literal) -> [UInt8]? {
    let raw = UnsafeRawPointer(name.start).assumingMemoryBound(to: CChar.self)
    guard let found = psys_getenv(raw) else { return nil }
    return Array(UnsafeRawBufferPointer(start: found, count: psys_strlen(found)))
  }
}

/// The rules of no_proxy: names with all below them, "*", addresses, networks as 10.0.0.0/8, each with :port or not;
/// commas or blanks between. What is none of these matches nothing.
enum NoProxy {
  static func matches(_ list: [UInt8], host: String, port: UInt16) -> Bool {
    var name = host.bytes[...]
    if name.last == UInt8(ascii: ".") { name = name.dropLast() }
    let address = AddressResolver.literal(host, port: 0)
    var start = 0
    for index in 0...list.count {
      if index < list.count, list[index] != UInt8(ascii: ","), list[index] > 0x20 { continue }
      if index > start, matches(entry: list[start..<index], name, address, port) { return true }
      start = index + 1
    }
    return false
  }

  private static func matches(
    entry: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>, _ address: SocketAddress?, _ port: UInt16
  ) -> Bool {
    var entry = entry
    if entry.first == UInt8(ascii: "["), let close = entry.firstIndex(of: UInt8(ascii: "]")) {
      // "[::1]:8080", "[::1]", "[fd00::]/8"
      let rest = entry[(close + 1)...]
      entry = entry[(entry.startIndex + 1)..<close]
      if rest.first == UInt8(ascii: "/") {
        entry = ([UInt8](entry) + [UInt8](rest))[...]
      } else if !rest.isEmpty {
        guard rest.first == UInt8(ascii: ":"), ProxyText.number(rest.dropFirst(), limit: 65535) == Int(port) else {
          return false
        }
      }
    } else if let colon = entry.firstIndex(of: UInt8(ascii: ":")), entry.lastIndex(of: UInt8(ascii: ":")) == colon {
      guard ProxyText.number(entry[(colon + 1)...], limit: 65535) == Int(port) else { return false }
      entry = entry[..<colon]
    }
    if entry.count == 1, entry.first == UInt8(ascii: "*") { return true }
    if let address {
      let slash = entry.firstIndex(of: UInt8(ascii: "/")) ?? entry.endIndex
      guard let other = AddressResolver.literal(String(bytes: entry[..<slash]), port: 0),
        other.isIPv6 == address.isIPv6
      else { return false }
      let width = address.isIPv6 ? 128 : 32
      var bits = width
      if slash < entry.endIndex {
        guard let asked = ProxyText.number(entry[(slash + 1)...], limit: width) else { return false }
        bits = asked
      }
      return samePrefix(address, other, bits)
    }
    if entry.first == UInt8(ascii: "*") { entry = entry.dropFirst() }
    if entry.first == UInt8(ascii: ".") { entry = entry.dropFirst() }
    if entry.last == UInt8(ascii: ".") { entry = entry.dropLast() }
    if entry.isEmpty || entry.count > name.count { return false }
    var at = name.endIndex &- entry.count
    // A whole part of the name: example.com is not in badexample.com.
    if at > name.startIndex, name[at &- 1] != UInt8(ascii: ".") { return false }
    for byte in entry {
      if ProxyText.lower(byte) != name[at] { return false }
      at &+= 1
    }
    return true
  }

  private static func samePrefix(_ a: SocketAddress, _ b: SocketAddress, _ bits: Int) -> Bool {
    if a.isIPv6 {
      return samePrefix(a.storage.high, b.storage.high, min(bits, 64))
        && samePrefix(a.storage.low, b.storage.low, max(bits - 64, 0))
    }
    return samePrefix(a.storage.low, b.storage.low, bits)
  }

  /// The bytes of an address lie in memory in network order.
  private static func samePrefix(_ a: UInt64, _ b: UInt64, _ bits: Int) -> Bool {
    if bits <= 0 { return true }
    return (a ^ b).bigEndian >> UInt64(64 - min(bits, 64)) == 0
  }
}

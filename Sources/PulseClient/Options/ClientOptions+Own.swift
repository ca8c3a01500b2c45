// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// The options of form `own`: each checks its text and keeps it in its own way.
extension ClientOptions {
  private static let mostPins = 16
  private static let mostEndpoints = 16
  private static let mostLimits = 8
  private static let mostCloseCodes = 64

  /// Holds and gaps are told by events.
  var emitsEvents: Bool { events || holdLogin || holdConnect || resume }

  mutating func setOwn(_ key: OptionKey, _ value: String) -> Problem? {
    if key.kind == .text { return setOwnText(key, value) }
    switch key {
    case .headers: return addHeader(value)
    case .subprotocols: return addSubprotocol(value)
    case .endpoints: return addEndpoint(value)
    case .rateLimit:
      guard rateLimits.count < ClientOptions.mostLimits, let window = RateLimiter.parse(value) else { return problem(key, value) }
      rateLimits.append(window)
    case .pinSHA256:
      guard pins.count < ClientOptions.mostPins, let pin = ClientOptions.pin(value.bytes) else { return problem(key, value) }
      pins.append(pin)
    case .fatalCloseCodes:
      guard fatalCloseCodes.count < ClientOptions.mostCloseCodes, let code = OptionValue.integer(value), key.takes(code) else {
        return problem(key, value)
      }
      fatalCloseCodes.append(UInt32(code))
    default: return problem(key, value)
    }
    return nil
  }

  /// The length was looked at.
  private mutating func setOwnText(_ key: OptionKey, _ value: String) -> Problem? {
    for byte in value.bytes where byte == 0 { return problem(key, value) }
    switch key {
    case .hostConnectRate:
      guard let window = RateLimiter.parse(value) else { return problem(key, value) }
      hostConnectRate = window
    case .serverName:
      guard ClientOptions.isHostName(value.bytes) else { return problem(key, value) }
      serverName = value
    case .proxy:
      if case .bad(let wrong) = ProxyRules.choice(value, "option proxy") { return .badValue(wrong) }
      proxy = value
    case .twin:
      switch WebSocketURL.parse(value) {
      case .failure(let wrong): return .badValue(sentence("option twin: \(wrong.text)"))
      case .success(let url): twin = url
      }
    case .sequencePath: return setSequencePath(key, value.bytes)
    default: return problem(key, value)
    }
    return nil
  }

  private mutating func addHeader(_ line: String) -> Problem? {
    let bytes = line.bytes
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
      // Not what was given, which may be a token.
      return .badValue("option headers takes Name: value; there is no colon")
    }
    let header = HTTPHeader(
      name: String(bytes: bytes[0..<colon]),
      value: ClientOptions.withoutBlanks(bytes[(colon + 1)...]))
    if let problem = HeaderCheck.problem(headers + [header]) { return .badValue(problem) }
    headers.append(header)
    return nil
  }

  /// A header's value without the blanks around it, which do not belong to it (RFC 9110 §5.5).
  static func withoutBlanks(_ bytes: ArraySlice<UInt8>) -> String {
    var first = bytes.startIndex
    var last = bytes.endIndex
    while first < last, bytes[first] == 0x20 || bytes[first] == 0x09 { first += 1 }
    while last > first, bytes[last - 1] == 0x20 || bytes[last - 1] == 0x09 { last -= 1 }
    return String(bytes: bytes[first..<last])
  }

  private mutating func addSubprotocol(_ name: String) -> Problem? {
    if let problem = HeaderCheck.subprotocolProblem(subprotocols + [name]) { return .badValue(problem) }
    subprotocols.append(name)
    return nil
  }

  private mutating func addEndpoint(_ value: String) -> Problem? {
    switch WebSocketURL.parse(value) {
    case .failure(let wrong): return .badValue(sentence("option endpoints: \(wrong.text)"))
    case .success(let url):
      if endpoints.count == ClientOptions.mostEndpoints { return .badValue("option endpoints takes at most 16 URLs") }
      endpoints.append(url)
      return nil
    }
  }

  /// One path, or two with a comma between.
  private mutating func setSequencePath(_ key: OptionKey, _ text: [UInt8]) -> Problem? {
    var paths: [JSONPath] = []
    var start = 0
    for index in 0...text.count where index == text.count || text[index] == UInt8(ascii: ",") {
      switch JSONPath.parse(Array(text[start..<index])) {
      case .failure(let wrong): return problem(key, wrong)
      case .success(let path): paths.append(path)
      }
      start = index + 1
    }
    if paths.count > 2 { return problem(key, String(bytes: text)) }
    sequencePath = paths
    return nil
  }

  /// Letters, digits, and what addresses have besides; other alphabets come as A-labels (RFC 5890 §2.3.2.1).
  private static func isHostName(_ text: [UInt8]) -> Bool {
    var isMore = false
    for byte in text {
      let isLetter = byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
      let isOther = byte >= UInt8(ascii: "-") && byte <= UInt8(ascii: ":") && byte != UInt8(ascii: "/")
      if !isLetter && !isOther && byte != UInt8(ascii: "_") { return false }
      if byte != UInt8(ascii: ".") { isMore = true }
    }
    // Of a dot alone nothing would be left to check.
    return isMore
  }

  /// 32 bytes from base64, with or without "sha256/" or "sha256//" before.
  static func pin(_ text: [UInt8]) -> [UInt8]? {
    var digits = text[...]
    let prefix: Literal = "sha256/"
    if digits.count > 44, prefix.begins(digits) {
      digits = digits.dropFirst(prefix.count)
      if digits.first == UInt8(ascii: "/") && digits.count > 44 { digits = digits.dropFirst() }
    }
    guard digits.count == 44, digits.last == UInt8(ascii: "=") else { return nil }
    var bytes: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    for digit in digits.dropLast() {
      guard let value = base64(digit) else { return nil }
      bits = bits << 6 | value
      count += 6
      if count >= 8 {
        count -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    return bytes.count == 32 ? bytes : nil
  }

  private static func base64(_ digit: UInt8) -> UInt32? {
    switch digit {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit) - 71
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit) + 4
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
